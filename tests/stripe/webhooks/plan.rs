//! In what order and how often events are sent.

/// When events are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sending {
    /// As soon as they are due.
    AsTheyCome,
    /// When `deliver_all` is called.
    WhenAsked,
}

/// In what order and how often events are sent. The constructors give one trouble each; the fields make mixtures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeliveryPlan {
    /// When.
    pub sending: Sending,
    /// In any order, made of this seed; `None`: in the order in which they came.
    pub shuffled: Option<u64>,
    /// How often each event is sent, from 1 on.
    pub copies: u32,
    /// How many sendings in a thousand are lost on the way, with all that would be their second attempts.
    pub lost_per_mille: u32,
    /// How long after the event, in seconds of the virtual clock.
    pub delay_seconds: i64,
}

impl DeliveryPlan {
    /// Each event once, as it comes.
    #[must_use]
    pub const fn in_order() -> Self {
        Self {
            sending: Sending::AsTheyCome,
            shuffled: None,
            copies: 1,
            lost_per_mille: 0,
            delay_seconds: 0,
        }
    }

    /// Each event once, in any order, when asked for.
    #[must_use]
    pub const fn shuffled(seed: u64) -> Self {
        Self {
            sending: Sending::WhenAsked,
            shuffled: Some(seed),
            ..Self::in_order()
        }
    }

    /// Each event twice, the second time after all that wait.
    #[must_use]
    pub const fn duplicated() -> Self {
        Self {
            copies: 2,
            ..Self::in_order()
        }
    }

    /// So many in a thousand never.
    #[must_use]
    pub const fn dropped(lost_per_mille: u32) -> Self {
        Self {
            lost_per_mille,
            ..Self::in_order()
        }
    }

    /// Each event so long after it came, in seconds of the virtual clock.
    #[must_use]
    pub const fn delayed(delay_seconds: i64) -> Self {
        Self {
            delay_seconds,
            ..Self::in_order()
        }
    }

    /// The same, when asked for.
    #[must_use]
    pub const fn when_asked(mut self) -> Self {
        self.sending = Sending::WhenAsked;
        self
    }
}
