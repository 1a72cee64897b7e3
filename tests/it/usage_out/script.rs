//! What happens, in which order.

use proptest::collection::vec;
use proptest::prelude::*;

use crate::stripe::Fault;

/// Customers, each with a payer.
pub const CUSTOMERS: usize = 4;
/// Meters that Stripe bills.
pub const METERS: usize = 2;

/// What happens.
#[derive(Debug, Clone)]
pub enum Act {
    /// A customer uses something; below zero: it is taken back.
    Use {
        customer: usize,
        meter: usize,
        quantity: i64,
    },
    /// Time passes.
    Pass { minutes: u32 },
    /// What is due is sealed and sent.
    Send,
    /// The process ends so long after it began to send, and starts again.
    Crash { millis: u64 },
    /// So many calls in a thousand go wrong from now on.
    Weather { per_mille: u32 },
    /// For so many hours no call gets through.
    Outage { hours: u32, how: Outage },
    /// The database is backed up, sends go on for so many rounds, and then the backup is restored.
    Restore { rounds: u32 },
}

/// How nothing gets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outage {
    /// Nobody listens.
    Refused,
    /// Nobody knows what arrives.
    Unclear,
    /// All arrives, and nobody hears of it.
    Mute,
}

impl Outage {
    /// Returns what goes wrong with each call; nothing: none arrives.
    pub fn faults(self) -> Vec<Fault> {
        match self {
            Self::Refused => Vec::new(),
            Self::Unclear => vec![
                Fault::CloseBeforeEffect,
                Fault::ResetAfterEffect,
                Fault::Error500BeforeEffect,
                Fault::Error500AfterEffect,
                Fault::HtmlBadGateway,
            ],
            Self::Mute => vec![
                Fault::ResetAfterEffect,
                Fault::Error500AfterEffect,
                Fault::HtmlBadGatewayAfterEffect,
            ],
        }
    }
}

/// Returns everything that can go wrong with one call.
pub fn all_faults() -> Vec<Fault> {
    vec![
        Fault::CloseBeforeEffect,
        Fault::TimeoutBeforeEffect,
        Fault::TimeoutAfterEffect,
        Fault::ResetAfterEffect,
        Fault::Error500BeforeEffect,
        Fault::Error500AfterEffect,
        Fault::SavedError500AfterEffect,
        Fault::RateLimited {
            reason: Some("global-rate".to_owned()),
            retry_after: Some(3),
        },
        Fault::RateLimited {
            reason: None,
            retry_after: None,
        },
        Fault::HtmlBadGateway,
        Fault::HtmlBadGatewayAfterEffect,
        Fault::Truncated,
    ]
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        8 => (0..CUSTOMERS, 0..METERS, -60..600_i64).prop_map(|(customer, meter, quantity)| Act::Use {
            customer,
            meter,
            quantity,
        }),
        5 => (1..150_u32).prop_map(|minutes| Act::Pass { minutes }),
        5 => Just(Act::Send),
        3 => (0..25_u64).prop_map(|millis| Act::Crash { millis }),
        3 => prop_oneof![Just(0), 200..900_u32].prop_map(|per_mille| Act::Weather { per_mille }),
        1 => (1..6_u32).prop_map(|rounds| Act::Restore { rounds }),
    ]
}

fn outage() -> impl Strategy<Value = Act> {
    let how = prop_oneof![
        1 => Just(Outage::Refused),
        2 => Just(Outage::Unclear),
        3 => Just(Outage::Mute),
    ];
    (21..=30_u32, how).prop_map(|(hours, how)| Act::Outage { hours, how })
}

/// Returns scripts, each with a long outage in it.
pub fn scripts() -> impl Strategy<Value = Vec<Act>> {
    (vec(act(), 10..25), outage(), vec(act(), 10..25)).prop_map(|(mut script, outage, after)| {
        script.push(outage);
        script.extend(after);
        script
    })
}
