//! Why wallets refuse.

use super::{AMOUNT_MAX, GRANTS_MAX, HoldState};
use crate::domain::id::{GrantId, HoldId};
use crate::domain::time::Timestamp;

/// Why an operation is refused, with the numbers behind it, in micro-units.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The balance does not cover it.
    #[error("{needed} micro-units are needed and {available} available")]
    InsufficientCredits {
        /// What was asked for.
        needed: i64,
        /// What there is.
        available: i64,
    },
    /// The cap on what the wallet may spend in a window does not leave room for it.
    #[error("{needed} micro-units are needed and the cap of {cap} leaves {left}")]
    CapReached {
        /// What was asked for.
        needed: i64,
        /// The cap.
        cap: i64,
        /// What it leaves until its window ends.
        left: i64,
        /// When its window ends.
        window_end: Timestamp,
    },
    /// Something is owed.
    #[error("{owed} micro-units are owed")]
    BlockedByReceivable {
        /// What is owed.
        owed: i64,
    },
    /// A payment for its credits is disputed.
    #[error("the payment for its credits is disputed: {dispute}")]
    Frozen {
        /// Names the dispute.
        dispute: Box<str>,
    },
    /// The wallet has no such grant.
    #[error("there is no grant {0}")]
    UnknownGrant(GrantId),
    /// The grant is there already.
    #[error("there is a grant {0} already")]
    GrantExists(GrantId),
    /// The grant ended before.
    #[error("the grant ended at {expire_time}")]
    GrantExpired {
        /// When it ended.
        expire_time: Timestamp,
    },
    /// More is taken back than was granted and not taken back yet.
    #[error("{amount} micro-units are to be taken back, and {left} can be")]
    ClawbackTooLarge {
        /// What was asked for.
        amount: i64,
        /// What can be taken back.
        left: i64,
    },
    /// The grant came from another wallet of the customer; money stands behind what it came from.
    #[error(
        "the grant {grant} came from another wallet: take back the money behind {origin}, which it came from"
    )]
    GrantTransferred {
        /// The grant.
        grant: GrantId,
        /// The grant that it came from.
        origin: Box<str>,
    },
    /// More is given back than was spent.
    #[error("{amount} micro-units are to be given back, and {left} were spent")]
    RefundTooLarge {
        /// What was asked for.
        amount: i64,
        /// What was spent.
        left: i64,
    },
    /// The wallet has no such hold.
    #[error("there is no hold {0}")]
    UnknownHold(HoldId),
    /// The hold is there already.
    #[error("there is a hold {0} already")]
    HoldExists(HoldId),
    /// The hold ended before.
    #[error("the hold is {}, {captured} micro-units captured", .state.as_str())]
    HoldResolved {
        /// How.
        state: HoldState,
        /// What was captured of it.
        captured: i64,
    },
    /// What was paid for by a payment was granted before.
    #[error("the payment {reference} brought the grant {grant}")]
    PaymentGranted {
        /// Names the payment.
        reference: Box<str>,
        /// What it brought.
        grant: GrantId,
    },
    /// The wallet has as many grants of which something is left as it may.
    #[error("a wallet has at most {GRANTS_MAX} grants of which something is left")]
    TooManyGrants,
    /// The wallet would hold too much.
    #[error(
        "the wallet holds {holds} micro-units, and {amount} more are above the most, {AMOUNT_MAX}"
    )]
    WalletFull {
        /// What would come.
        amount: i64,
        /// What it holds, set aside or not.
        holds: i64,
    },
    /// More is captured than is held.
    #[error("{amount} micro-units are to be captured and {held} are held")]
    CaptureTooLarge {
        /// What was asked for.
        amount: i64,
        /// What is held.
        held: i64,
    },
    /// More would be owed than can be.
    #[error("{owed} micro-units are owed, and {amount} more are beyond 64 bits")]
    OwesTooMuch {
        /// What would be owed on top.
        amount: i64,
        /// What is owed.
        owed: i64,
    },
    /// An amount below 1 or above [`AMOUNT_MAX`].
    #[error("amounts are from 1 to {AMOUNT_MAX} micro-units")]
    AmountOutOfRange,
    /// The wallets of a transfer are one, or hold different units.
    #[error("credits go from one wallet to another of the same unit")]
    WalletsDoNotMatch,
}
