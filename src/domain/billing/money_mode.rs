//! What money a database deals in: none, Stripe's test money, or real money. The three never mix.

/// What money is moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MoneyMode {
    /// None: a sandbox stands in Stripe's place.
    Sandbox,
    /// Stripe's test money, which is none.
    Test,
    /// Real money.
    Live,
}

/// How keys begin that an account gives out for programs, and what money they move.
const KEYS: [(&str, MoneyMode); 4] = [
    ("sk_test_", MoneyMode::Test),
    ("rk_test_", MoneyMode::Test),
    ("sk_live_", MoneyMode::Live),
    ("rk_live_", MoneyMode::Live),
];

impl MoneyMode {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Sandbox, Self::Test, Self::Live];

    /// Returns the word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Sandbox => "sandbox",
            Self::Test => "test",
            Self::Live => "live",
        }
    }

    /// Reads the word for it; `None`: it is none.
    #[must_use]
    pub fn read(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.word() == word)
    }

    /// Returns what money a key for Stripe moves; `None`: it is no secret key of Stripe's.
    #[must_use]
    pub fn of_key(key: &str) -> Option<Self> {
        let found = KEYS.iter().find(|(begin, _)| key.starts_with(begin));
        found.map(|(_, mode)| *mode)
    }

    /// Whether the money is real, as `livemode` of Stripe's objects says.
    #[must_use]
    pub const fn is_live(self) -> bool {
        match self {
            Self::Live => true,
            Self::Sandbox | Self::Test => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_say_what_money_they_move() {
        for (key, mode) in [
            ("sk_test_1", Some(MoneyMode::Test)),
            ("rk_test_1", Some(MoneyMode::Test)),
            ("sk_live_1", Some(MoneyMode::Live)),
            ("rk_live_1", Some(MoneyMode::Live)),
            ("pk_test_1", None),
            ("pk_live_1", None),
            ("whsec_1", None),
            ("", None),
        ] {
            assert_eq!(MoneyMode::of_key(key), mode, "{key}");
        }
        for mode in MoneyMode::ALL {
            assert_eq!(MoneyMode::read(mode.word()), Some(mode));
        }
        assert_eq!(MoneyMode::read("real"), None);
    }
}
