//! Invoice items.

use super::super::shape::Metadata;
use super::{Link, object};

object! {
    /// What the next invoice of a customer will have as a line.
    InvoiceItem {
        /// Cents. Below zero it is credit.
        amount: i64,
        /// `usd`.
        currency: String,
        /// Who.
        customer: Option<Link>,
        /// What customers read.
        description: Option<String>,
        /// The invoice that has it; `None`: none yet.
        invoice: Option<Link>,
        /// What time it is for.
        period: super::super::calls::Span,
        /// Whether money is real.
        livemode: bool,
        /// Ours.
        metadata: Metadata,
    }
}
