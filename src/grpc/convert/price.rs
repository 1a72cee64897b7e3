//! Products and prices.

use super::{id, known, required, within};
use crate::domain::catalog::{
    CatalogEdit, CreditPack, Interval, PriceTier, Pricing, Product, ProductPrice,
};
use crate::domain::id::ProductId;
use crate::domain::rating::{Destination, Money};
use crate::engine::{CatalogAnswer, Error};
use crate::grpc::pb;
use pb::price::Model;
use pb::product::Kind;
use pb::set_price_request::{NewPrice, Subject};

/// Reads a product. Whether its values may stand in a catalog is for the catalog to say.
pub(in crate::grpc) fn product(product: Option<pb::Product>) -> Result<Product, Error> {
    let product = required("product", product)?;
    read_product(product).map_err(|wrong| within("product", wrong))
}

fn read_product(product: pb::Product) -> Result<Product, Error> {
    let key: ProductId = id("product_id", product.product_id)?;
    let name: Box<str> = if product.display_name.is_empty() {
        key.as_str().into()
    } else {
        product.display_name.into()
    };
    match required("kind", product.kind)? {
        Kind::Usage(usage) => {
            let read = || {
                let price = required("price", usage.price)?;
                Ok(Product::Usage {
                    id: key,
                    name,
                    meter: id("meter_id", usage.meter_id)?,
                    pricing: pricing(price).map_err(|wrong| within("price", wrong))?,
                    minimum_micros: usage.minimum_micros,
                })
            };
            read().map_err(|wrong| within("usage", wrong))
        }
        Kind::Outcome(outcome) => Ok(Product::Outcome {
            id: key,
            name,
            amount_micros: outcome.amount_micros,
        }),
        Kind::CreditPack(pack) => Ok(Product::CreditPack(CreditPack {
            id: key,
            name,
            credit_unit: pack.credit_unit.into(),
            credits_micros: pack.credits_micros,
            amount_micros: pack.amount_micros,
        })),
    }
}

fn pricing(price: pb::Price) -> Result<Pricing, Error> {
    Ok(match required("model", price.model)? {
        Model::Flat(flat) => Pricing::Flat {
            amount_micros: flat.amount_micros,
        },
        Model::PerUnit(unit) => Pricing::PerUnit {
            amount_micros: unit.amount_micros,
            per: if unit.per == 0 { 1 } else { unit.per },
        },
        Model::Package(package) => Pricing::Package {
            amount_micros: package.amount_micros,
            size: package.size,
        },
        Model::Graduated(price) => Pricing::Graduated {
            tiers: tiers(price),
        },
        Model::Volume(price) => Pricing::Volume {
            tiers: tiers(price),
        },
    })
}

fn tiers(price: pb::TieredPrice) -> Vec<PriceTier> {
    let read = |tier: pb::PriceTier| PriceTier {
        up_to: tier.up_to,
        unit_micros: tier.unit_micros,
    };
    price.tiers.into_iter().map(read).collect()
}

/// Reads whose price is to be which.
pub(in crate::grpc) fn new_price(request: pb::SetPriceRequest) -> Result<CatalogEdit, Error> {
    let subject = required("subject", request.subject)?;
    let price = required("new_price", request.new_price)?;
    let least = request.minimum_micros;
    match subject {
        Subject::ProductId(text) => {
            let product = id("product_id", text)?;
            let price = match price {
                NewPrice::Price(price) => ProductPrice::Usage {
                    pricing: pricing(price).map_err(|wrong| within("price", wrong))?,
                    minimum_micros: least,
                },
                NewPrice::AmountMicros(_) if least.is_some() => {
                    let rule = "must be absent: only products that are priced by use have one";
                    return Err(Error::invalid("minimum_micros", rule));
                }
                NewPrice::AmountMicros(micros) => ProductPrice::Amount(micros),
                NewPrice::PlanPrice(_) => {
                    let rule = "must be price or amount_micros instead, for a product";
                    return Err(Error::invalid("plan_price", rule));
                }
            };
            Ok(CatalogEdit::PriceProduct { product, price })
        }
        Subject::PlanId(text) => {
            let plan = id("plan_id", text)?;
            if least.is_some() {
                let rule = "must be absent: only products that are priced by use have one";
                return Err(Error::invalid("minimum_micros", rule));
            }
            let (interval, amount_micros) = plan_price(price)?;
            Ok(CatalogEdit::PricePlan {
                plan,
                interval,
                amount_micros,
            })
        }
    }
}

fn plan_price(price: NewPrice) -> Result<(Interval, Option<i64>), Error> {
    let wrong = match price {
        NewPrice::PlanPrice(price) => {
            let interval = match known("plan_price.interval", price.interval)? {
                pb::BillingInterval::Unspecified => {
                    return Err(Error::invalid("plan_price.interval", "must be given"));
                }
                pb::BillingInterval::Month => Interval::Month,
                pb::BillingInterval::Year => Interval::Year,
            };
            if !["", "USD"].contains(&&*price.currency) {
                let rule = "must be USD or empty: other currencies are refused";
                return Err(Error::invalid("plan_price.currency", rule));
            }
            return Ok((interval, price.amount_micros));
        }
        NewPrice::Price(_) => "price",
        NewPrice::AmountMicros(_) => "amount_micros",
    };
    Err(Error::invalid(
        wrong,
        "must be plan_price instead, for a plan",
    ))
}

/// Writes what a change of the catalog came to.
pub(in crate::grpc) fn changes(answer: CatalogAnswer) -> (i64, Vec<pb::CatalogChange>) {
    let changes = answer.changes.into_iter().map(Into::into);
    (answer.version, changes.collect())
}

/// Writes an amount of money.
pub(in crate::grpc) fn cost(money: Money) -> pb::Cost {
    pb::Cost {
        amount_micros: money.micros,
        amount_cents: money.cents,
    }
}

impl From<Destination> for pb::Destination {
    fn from(destination: Destination) -> Self {
        match destination {
            Destination::Included => Self::Included,
            Destination::Wallet => Self::Wallet,
            Destination::StripeMeter => Self::StripeMeter,
            Destination::OwnInvoice => Self::OwnInvoice,
            Destination::Receivable => Self::Receivable,
        }
    }
}
