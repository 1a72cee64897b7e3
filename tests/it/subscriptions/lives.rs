//! Each plan of the shipped catalogs that has a price, and what is expected of its life: the table that `lifecycle` goes by.

use bursar::grpc::pb::BillingInterval as Every;
use bursar::grpc::pb::SubscriptionStatus as Status;

/// What a customer of a plan may do.
pub struct Rights {
    /// A feature that is granted, as itself or by its value; `None`: nothing but use is.
    pub granted: Option<(&'static str, &'static str)>,
    /// A feature that is not.
    pub withheld: Option<&'static str>,
    /// A metered feature, and its first limit; `None`: unlimited.
    pub metered: (&'static str, Option<i64>),
}

/// What becomes of a customer that wants another plan.
pub enum Move {
    /// It gets one, and may go back when the period ends. Cents are those of a whole period of it.
    To {
        plan: &'static str,
        every: Every,
        cents: i64,
        rights: &'static Rights,
    },
    /// It promised to stay.
    Refused { to: &'static str },
}

/// Use of a meter, and what of it Stripe is to bill.
pub struct Use {
    pub meter: &'static str,
    pub quantity: i64,
    pub billed: i64,
}

/// The life of a plan.
pub struct Life {
    pub plan: &'static str,
    pub every: Every,
    /// What a period costs, in cents.
    pub cents: i64,
    pub begins: Status,
    pub rights: &'static Rights,
    /// What is used; nothing of it is billed where Stripe counts nothing.
    pub usage: Use,
    pub change: Move,
}

const fn rights(
    granted: (&'static str, &'static str),
    withheld: &'static str,
    metered: (&'static str, Option<i64>),
) -> Rights {
    Rights {
        granted: Some(granted),
        withheld: Some(withheld),
        metered,
    }
}

const fn used(meter: &'static str, quantity: i64, billed: i64) -> Use {
    Use {
        meter,
        quantity,
        billed,
    }
}

const STARTER: Rights = rights(
    ("ai_suite", "basic"),
    "priority_routing",
    ("tokens", Some(50_000)),
);
const AIMS_PRO: Rights = rights(("ai_suite", "full"), "sla", ("tokens", Some(150_000)));
const AIMS_ENTERPRISE: Rights = Rights {
    granted: Some(("sla", "")),
    withheld: None,
    metered: ("tokens", None),
};
const P2P: Rights = rights(("concurrent", ""), "agents", ("tokens", None));
const MONTHS_3: Rights = rights(("agents", ""), "sla", ("tokens", Some(100_000)));
const MONTHS_6: Rights = rights(("agents", ""), "sla", ("tokens", Some(250_000)));
const MONTHS_9: Rights = rights(("agents", ""), "sla", ("tokens", Some(500_000)));

const fn to(plan: &'static str, cents: i64, rights: &'static Rights) -> Move {
    Move::To {
        plan,
        every: Every::Month,
        cents,
        rights,
    }
}

const fn monthly(
    plan: &'static str,
    cents: i64,
    rights: &'static Rights,
    usage: Use,
    change: Move,
) -> Life {
    Life {
        plan,
        every: Every::Month,
        cents,
        begins: Status::Active,
        rights,
        usage,
        change,
    }
}

/// The 3-6-9 plans. Those with commitments are left at their end only.
pub const AIMS: &[Life] = &[
    monthly(
        "starter",
        300,
        &STARTER,
        used("tokens", 50_007, 7),
        to("pro", 600, &AIMS_PRO),
    ),
    monthly(
        "pro",
        600,
        &AIMS_PRO,
        used("tokens", 150_007, 7),
        to("enterprise", 900, &AIMS_ENTERPRISE),
    ),
    // There is none above it: a lateral change, to the one below.
    monthly(
        "enterprise",
        900,
        &AIMS_ENTERPRISE,
        used("tokens", 9, 0),
        to("pro", 600, &AIMS_PRO),
    ),
    // Its use draws on a wallet.
    monthly(
        "p2p",
        0,
        &P2P,
        used("tokens", 9, 0),
        to("starter", 300, &STARTER),
    ),
    monthly(
        "3mo",
        1_999,
        &MONTHS_3,
        used("tokens", 100_007, 7),
        Move::Refused { to: "6mo" },
    ),
    monthly(
        "6mo",
        1_799,
        &MONTHS_6,
        used("tokens", 250_007, 7),
        Move::Refused { to: "9mo" },
    ),
    monthly(
        "9mo",
        1_499,
        &MONTHS_9,
        used("tokens", 500_007, 7),
        Move::Refused { to: "enterprise" },
    ),
];

const JUNIOR: Rights = rights(("basic_tasks", ""), "research", ("work", Some(144_000)));
const ANALYST: Rights = rights(("research", ""), "strategic_work", ("work", Some(288_000)));
const LEAD: Rights = rights(
    ("strategic_work", ""),
    "dedicated_agent",
    ("work", Some(576_000)),
);

/// Agents as employees. Each call is sold, from the first.
pub const AEGIS: &[Life] = &[
    monthly(
        "junior",
        99_900,
        &JUNIOR,
        used("api_calls", 1, 1),
        to("analyst", 199_900, &ANALYST),
    ),
    monthly(
        "analyst",
        199_900,
        &ANALYST,
        used("api_calls", 1, 1),
        to("lead", 499_900, &LEAD),
    ),
    // The one above it has no price: a lateral change, to the one below.
    monthly(
        "lead",
        499_900,
        &LEAD,
        used("api_calls", 1, 1),
        to("analyst", 199_900, &ANALYST),
    ),
];

const AIAS_PRO: Rights = rights(
    ("custom_integrations", ""),
    "sla",
    ("api_calls", Some(100_000)),
);

/// The one above it has no price: a change of interval. Nothing that is counted is billed by Stripe.
pub const AIAS_BY_MONTH: &[Life] = &[Life {
    plan: "pro",
    every: Every::Month,
    cents: 9_900,
    begins: Status::Active,
    rights: &AIAS_PRO,
    usage: used("api_calls", 1, 0),
    change: Move::To {
        plan: "pro",
        every: Every::Year,
        cents: 99_000,
        rights: &AIAS_PRO,
    },
}];

/// As [`AIAS_BY_MONTH`], the other way round.
pub const AIAS_BY_YEAR: &[Life] = &[Life {
    plan: "pro",
    every: Every::Year,
    cents: 99_000,
    begins: Status::Active,
    rights: &AIAS_PRO,
    usage: used("api_calls", 1, 0),
    change: Move::To {
        plan: "pro",
        every: Every::Month,
        cents: 9_900,
        rights: &AIAS_PRO,
    },
}];

const DEFAULT_PRO: Rights = Rights {
    granted: Some(("support", "priority")),
    withheld: None,
    metered: ("tokens", Some(1_000_000)),
};

/// The one above it has no price: a change of interval, after the trial.
pub const DEFAULT_BY_MONTH: &[Life] = &[Life {
    plan: "pro",
    every: Every::Month,
    cents: 2_900,
    begins: Status::Trialing,
    rights: &DEFAULT_PRO,
    usage: used("tokens", 9, 0),
    change: Move::To {
        plan: "pro",
        every: Every::Year,
        cents: 29_000,
        rights: &DEFAULT_PRO,
    },
}];

/// As [`DEFAULT_BY_MONTH`], the other way round.
pub const DEFAULT_BY_YEAR: &[Life] = &[Life {
    plan: "pro",
    every: Every::Year,
    cents: 29_000,
    begins: Status::Trialing,
    rights: &DEFAULT_PRO,
    usage: used("tokens", 9, 0),
    change: Move::To {
        plan: "pro",
        every: Every::Month,
        cents: 2_900,
        rights: &DEFAULT_PRO,
    },
}];

impl Life {
    /// Names its customer.
    pub fn id(&self) -> String {
        format!(
            "{}-{}",
            self.plan,
            if self.every == Every::Year {
                "year"
            } else {
                "month"
            }
        )
    }

    /// Whether its customer may leave when it likes.
    pub const fn is_free(&self) -> bool {
        matches!(self.change, Move::To { .. })
    }
}
