//! What is sold once: products by the piece, credits by the pack, and amounts.

use crate::domain::catalog::{Catalog, Product};
use crate::domain::id::{ProductId, SubaccountId};
use crate::domain::wallet::{AMOUNT_MAX, WalletKey};

use super::payment::Purpose;
use super::price_list::Sold;

/// Micro-units of dollars in a cent.
const MICROS_A_CENT: i64 = 10_000;
/// Most pieces that are bought at once.
pub const QUANTITY_MAX: i64 = 10_000;

/// What somebody wants to pay for.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub enum Purchase {
    /// Pieces of a product.
    Product {
        /// Which: an outcome or a credit pack.
        product: ProductId,
        /// How many, 1 to [`QUANTITY_MAX`].
        quantity: i64,
        /// The subaccount whose wallet gets the credits; `None`: the customer's own.
        subaccount: Option<SubaccountId>,
    },
    /// An amount.
    Amount {
        /// Cents of US dollars.
        cents: i64,
        /// What customers read.
        description: Box<str>,
    },
}

/// A purchase as it is charged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sale {
    /// Cents in all.
    pub cents: i64,
    /// What customers read.
    pub name: Box<str>,
    /// What it is for.
    pub purpose: Purpose,
    /// The lookup key of its price, and how many of it; `None`: it is an amount.
    pub price: Option<(String, i64)>,
}

/// Why something cannot be sold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotSold {
    /// The catalog has no such product.
    #[error("there is no product {0}")]
    Unknown(ProductId),
    /// It is sold by use.
    #[error("is sold by use, not by the piece")]
    ByUse,
    /// It costs nothing, or a part of a cent.
    #[error("costs no whole cents")]
    NoWholeCents,
    /// Outcomes come to no wallet.
    #[error("brings no credits, so it is no subaccount's")]
    NoCredits,
    /// It comes to more than can be charged or granted.
    #[error("is too much")]
    TooMuch,
}

/// Returns how a purchase is charged.
///
/// # Errors
/// When it is not sold so.
pub fn sale(catalog: &Catalog, purchase: &Purchase) -> Result<Sale, NotSold> {
    let (product, quantity, subaccount) = match purchase {
        Purchase::Product {
            product,
            quantity,
            subaccount,
        } => (product, *quantity, subaccount.as_ref()),
        Purchase::Amount { cents, description } => {
            return Ok(Sale {
                cents: *cents,
                name: description.clone(),
                purpose: Purpose::Amount,
                price: None,
            });
        }
    };
    let of = catalog.products.get(product);
    let (micros, purpose) = match of.ok_or_else(|| NotSold::Unknown(product.clone()))? {
        Product::Usage { .. } => return Err(NotSold::ByUse),
        Product::Outcome { .. } if subaccount.is_some() => return Err(NotSold::NoCredits),
        Product::Outcome { amount_micros, .. } => {
            let purpose = Purpose::Outcome {
                product: product.clone(),
                quantity,
            };
            (*amount_micros, purpose)
        }
        Product::CreditPack(pack) => {
            let micros = pack.credits_micros.checked_mul(quantity);
            let micros = micros.filter(|micros| *micros <= AMOUNT_MAX);
            let purpose = Purpose::Credits {
                product: Some(product.clone()),
                quantity,
                wallet: WalletKey::of(subaccount, &pack.credit_unit),
                micros: micros.ok_or(NotSold::TooMuch)?,
            };
            (pack.amount_micros, purpose)
        }
    };
    if micros <= 0 || micros % MICROS_A_CENT != 0 {
        return Err(NotSold::NoWholeCents);
    }
    let cents = (micros / MICROS_A_CENT).checked_mul(quantity);
    Ok(Sale {
        cents: cents.ok_or(NotSold::TooMuch)?,
        name: of.map_or_else(Box::default, |product| product.name().into()),
        purpose,
        price: Some((Sold::Piece(product.clone()).lookup_key(), quantity)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::catalog::parse_catalog;

    const CATALOG: &str = r#"
credit_units.LUC = { per_dollar = 100 }
meters.calls = { aggregation = "count" }
[products]
report = { outcome = "12.50" }
thousand = { credit_pack = { credit_unit = "LUC", credits = 1_000, price = "9.00" } }
calls = { usage = { meter = "calls", per_unit = "0.10" } }
"#;

    fn bought(id: &str, quantity: i64, subaccount: Option<&str>) -> Result<Sale, NotSold> {
        let purchase = Purchase::Product {
            product: ProductId::new(id).unwrap(),
            quantity,
            subaccount: subaccount.map(|id| SubaccountId::new(id).unwrap()),
        };
        sale(&parse_catalog(CATALOG).unwrap(), &purchase)
    }

    #[test]
    fn pieces_and_packs_are_sold_and_use_is_not() {
        let report = bought("report", 2, None).unwrap();
        assert_eq!(report.cents, 2_500);
        assert_eq!(report.price, Some(("bursar_product_report".to_owned(), 2)));
        let pack = bought("thousand", 3, Some("agent")).unwrap();
        assert_eq!(pack.cents, 2_700);
        let owner = SubaccountId::new("agent").unwrap();
        let expected = Purpose::Credits {
            product: Some(ProductId::new("thousand").unwrap()),
            quantity: 3,
            wallet: WalletKey::of(Some(&owner), "LUC"),
            micros: 3_000_000_000,
        };
        assert_eq!(pack.purpose, expected);
        assert_eq!(bought("calls", 1, None), Err(NotSold::ByUse));
        assert_eq!(bought("report", 1, Some("agent")), Err(NotSold::NoCredits));
        let gone = ProductId::new("gone").unwrap();
        assert_eq!(bought("gone", 1, None), Err(NotSold::Unknown(gone)));
    }
}
