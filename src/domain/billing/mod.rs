//! What is billed through Stripe: usage sealed into chunks, where each stands on its way, and what is still to be sealed;
//! subscriptions and payments as Stripe has them, and what follows from them.

mod chunk;
mod evidence;
mod inbound;
mod mirror;
mod money_mode;
mod next_look;
mod payment;
mod price_list;
mod sale;
mod tab;
#[cfg(test)]
mod tests;
mod verdict;

pub use self::chunk::{
    Chunk, ChunkState, DOUBT_AFTER, LEASE, NotClaimed, Outcome, TOO_OLD, ValueTooLong,
};
pub use self::evidence::{Evidence, Ledger, summed};
pub use self::inbound::{Inbound, InboundState};
pub use self::mirror::{GRACE, Kept, Mirrored, Reflection, StripeStatus, in_force, reflect};
pub use self::money_mode::MoneyMode;
pub use self::next_look::{FIRST_LOOK, LOOK_AGAIN, next_look};
pub use self::payment::{
    CURRENCY, DisputeStatus, Payment, PaymentDispute, PaymentFailure, PaymentRefund, PaymentStatus,
    Purpose, Settlement,
};
pub use self::price_list::{
    ListFault, ListedAmount, ListedMeter, ListedPrice, PriceList, Sold, items_of, price_list, word,
};
pub use self::sale::{NotSold, Purchase, QUANTITY_MAX, Sale, sale};
pub use self::tab::{PlanOf, PlanSpan, SETTLING, Sealing, Tab, TabPeriod};
pub use self::verdict::{Expected, Verdict};
