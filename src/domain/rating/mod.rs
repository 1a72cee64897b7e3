//! What things cost: exact until the one rounding of each invoice line, half to even.
//!
//! Amounts are US dollars. A line is rounded twice, each time from the exact amount: to micro-units for the ledger and to
//! cents for the invoice. Sums are sums of rounded lines, so that whoever adds up an invoice gets its total.

mod amount;
mod course;
mod dearest;
mod destination;
mod line;
mod percent;
mod plan;
mod price;
mod statement;
mod tariff;
#[cfg(test)]
mod tests;

pub use self::amount::{Amount, Money};
pub use self::course::{Added, Changed, Course, cut, lead_in};
pub use self::dearest::dearest;
pub use self::destination::Destination;
pub use self::line::{Line, Terms, add_on, line, step};
pub use self::percent::{InvalidPercent, Percent};
pub use self::plan::charge;
pub use self::price::price;
pub use self::statement::{
    Basis, Drawn, DrawnPart, Period, Statement, StatementFault, StatementLine, Subject, Totals,
    rate,
};
pub use self::tariff::{Included, Offer, Seller, Tariff, overage_limit};
