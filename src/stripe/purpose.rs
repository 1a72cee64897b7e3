//! What a payment is for, as it is kept in the metadata of objects at Stripe, which only the account's owner can write.

use super::gateway::{CUSTOMER_KEY, Metadata};
use crate::domain::billing::Purpose;
use crate::domain::id::{CustomerId, ProductId, SubaccountId};
use crate::domain::wallet::WalletKey;

/// What kind of thing is paid: one of the words below.
const PURPOSE: &str = "bursar_purpose";
const CREDITS: &str = "credits";
const OUTCOME: &str = "outcome";
const AMOUNT: &str = "amount";
/// The product, by its id in the catalog.
const PRODUCT: &str = "bursar_product";
/// How many of it.
const QUANTITY: &str = "bursar_quantity";
/// The unit of the credits.
const CREDIT_UNIT: &str = "bursar_credit_unit";
/// How many of them, in micro-units.
const CREDIT_MICROS: &str = "bursar_credit_micros";
/// The subaccount whose wallet gets them.
const SUBACCOUNT: &str = "bursar_subaccount";
/// On a refund: that the customer keeps the credits.
pub(super) const KEEPS_CREDITS: &str = "bursar_keep_credits";

/// Says of whom and for what a payment is.
pub(super) fn written(customer: &CustomerId, purpose: &Purpose) -> Metadata {
    let mut fields = vec![(CUSTOMER_KEY, customer.to_string())];
    match purpose {
        Purpose::Credits {
            product,
            quantity,
            wallet,
            micros,
        } => {
            fields.push((PURPOSE, CREDITS.to_owned()));
            fields.extend(product.iter().map(|id| (PRODUCT, id.to_string())));
            fields.push((QUANTITY, quantity.to_string()));
            fields.push((CREDIT_UNIT, wallet.unit.to_string()));
            fields.push((CREDIT_MICROS, micros.to_string()));
            fields.extend(wallet.owner.iter().map(|id| (SUBACCOUNT, id.to_string())));
        }
        Purpose::Outcome { product, quantity } => {
            fields.push((PURPOSE, OUTCOME.to_owned()));
            fields.push((PRODUCT, product.to_string()));
            fields.push((QUANTITY, quantity.to_string()));
        }
        Purpose::Amount => fields.push((PURPOSE, AMOUNT.to_owned())),
        Purpose::Other => {}
    }
    let fields = fields.into_iter();
    fields.map(|(key, value)| (key.to_owned(), value)).collect()
}

/// Returns whose a payment is; `None`: nobody that it names.
pub(super) fn owner(metadata: &Metadata) -> Option<CustomerId> {
    CustomerId::new(metadata.get(CUSTOMER_KEY)?.as_str()).ok()
}

/// Returns what a payment is for. What does not read as we write it is somebody else's.
pub(super) fn read(metadata: &Metadata) -> Purpose {
    understood(metadata).unwrap_or(Purpose::Other)
}

fn understood(metadata: &Metadata) -> Option<Purpose> {
    let text = |key: &str| metadata.get(key).map(String::as_str);
    let product = || match text(PRODUCT) {
        Some(id) => ProductId::new(id).map(Some).ok(),
        None => Some(None),
    };
    let number = |key: &str| {
        let number: Option<i64> = text(key)?.parse().ok();
        number.filter(|number| *number > 0)
    };
    match text(PURPOSE)? {
        CREDITS => {
            let owner = text(SUBACCOUNT).map(SubaccountId::new);
            let owner = owner.transpose().ok()?;
            Some(Purpose::Credits {
                product: product()?,
                quantity: number(QUANTITY)?,
                wallet: WalletKey::of(owner.as_ref(), text(CREDIT_UNIT)?),
                micros: number(CREDIT_MICROS)?,
            })
        }
        OUTCOME => Some(Purpose::Outcome {
            product: product()??,
            quantity: number(QUANTITY)?,
        }),
        AMOUNT => Some(Purpose::Amount),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_what_is_not_ours_is_nothing() {
        let customer = CustomerId::new("acme").unwrap();
        let product = ProductId::new("pack").unwrap();
        let agent = SubaccountId::new("agent").unwrap();
        for purpose in [
            Purpose::Credits {
                product: Some(product.clone()),
                quantity: 2,
                wallet: WalletKey::of(Some(&agent), "LUC"),
                micros: 5,
            },
            Purpose::Credits {
                product: None,
                quantity: 1,
                wallet: WalletKey::own("USD"),
                micros: 1,
            },
            Purpose::Outcome {
                product,
                quantity: 1,
            },
            Purpose::Amount,
            Purpose::Other,
        ] {
            let metadata = written(&customer, &purpose);
            assert_eq!(read(&metadata), purpose);
            assert_eq!(owner(&metadata).as_ref(), Some(&customer));
        }
        let mut broken = written(
            &customer,
            &Purpose::Credits {
                product: None,
                quantity: 1,
                wallet: WalletKey::own("USD"),
                micros: 1,
            },
        );
        broken.insert(CREDIT_MICROS.to_owned(), "-1".to_owned());
        assert_eq!(read(&broken), Purpose::Other);
        assert_eq!(owner(&Metadata::new()), None);
    }
}
