//! What work would cost, told before it is done.

use std::collections::HashMap;
use std::sync::Arc;

use super::Engine;
use super::cost::Position;
use super::error::{Error, Rule, Thing};
use crate::domain::account::{Rehearsal, WouldDraw};
use crate::domain::catalog::{CreditPack, FeatureKind, Filter, Meter, Pricing, Product};
use crate::domain::id::{CustomerId, FeatureId, MeterId, PlanId, ProductId};
use crate::domain::quantity::{Excess, Milli, Overflow};
use crate::domain::rating::{Course, Destination, Line, Money, Percent, Seller, Terms, line};
use crate::domain::usage::Labels;

/// Most items of one estimate.
pub const ESTIMATE_ITEMS_MAX: usize = 100;
/// What an amount on an invoice goes beyond that leaves 64 bits.
const BEYOND_MONEY: Excess = Excess::Charged {
    cost: None,
    limit: i64::MAX,
};

/// A question for the cost of work.
#[derive(Debug, Clone)]
pub struct CostAsk {
    /// Whose work.
    pub whose: Whose,
    /// What it would use, each after those before it.
    pub items: Vec<CostItem>,
}

/// Whose work is to be estimated.
#[derive(Debug, Clone)]
pub enum Whose {
    /// That of a customer, as it stands now.
    Customer(CustomerId),
    /// That of someone who came to a plan just now.
    Plan(PlanId),
}

/// Something that work would use.
#[derive(Debug, Clone)]
pub struct CostItem {
    /// Of what.
    pub of: CostOf,
    /// Units of the meter, events, or pieces; not negative.
    pub quantity: i64,
    /// Dimensions of the usage to come.
    pub dimensions: Labels,
}

/// What would be used.
#[derive(Debug, Clone)]
pub enum CostOf {
    /// A metered feature.
    Feature(FeatureId),
    /// A product.
    Product(ProductId),
    /// A meter.
    Meter(MeterId),
}

/// What work would cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CostAnswer {
    /// By item.
    pub items: Vec<ItemCost>,
    /// All items together.
    pub total: Money,
}

/// What one item would cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemCost {
    /// What it would count.
    pub weighted: Milli,
    /// The part that is not charged.
    pub included: Milli,
    /// The part that is, and what it costs.
    pub line: Line,
    /// Where the charged part ends up; [`Destination::Included`] when there is none.
    pub destination: Destination,
    /// Who charges it; `None`: nothing does.
    pub seller: Option<Seller>,
    /// What is taken off the price.
    pub discount: Percent,
}

/// Where items begin that were not looked at yet: after those before them.
struct Progress {
    /// What draws on wallets.
    rehearsal: Rehearsal,
    /// What is billed after use, by meter.
    courses: HashMap<MeterId, Vec<Course>>,
}

impl Engine {
    /// Says what work would cost, item after item, and changes nothing.
    ///
    /// # Errors
    /// When customer, plan or something that would be used does not exist, or an item breaks a rule.
    pub async fn estimate_cost(&self, ask: CostAsk) -> Result<CostAnswer, Error> {
        let (position, rehearsal) = match &ask.whose {
            Whose::Customer(id) => {
                let position = self.position(id).await?;
                let held = position.held.as_ref().filter(|held| !held.is_deleted);
                let held = held.ok_or_else(|| Error::not_found(Thing::Customer, id))?;
                let rehearsal = held.rehearsal.clone();
                (position, rehearsal)
            }
            Whose::Plan(id) => self.newcomer(id)?,
        };
        let mut progress = Progress {
            rehearsal,
            courses: HashMap::new(),
        };
        let mut items = Vec::with_capacity(ask.items.len());
        let mut total = Money::ZERO;
        for (index, item) in ask.items.iter().enumerate() {
            let cost = self.item_cost(&position, item, &mut progress).await;
            let added = cost.and_then(|cost| {
                total = total.plus(cost.line.amount)?;
                Ok(cost)
            });
            let too_dear = |wrong: Error| wrong.blame("quantity", item.quantity, BEYOND_MONEY);
            items.push(added.map_err(|wrong| too_dear(wrong).below(&format!("items[{index}]")))?);
        }
        Ok(CostAnswer { items, total })
    }

    /// Returns where someone stands who comes to a plan now.
    fn newcomer(&self, id: &PlanId) -> Result<(Position, Rehearsal), Error> {
        let catalog = self.catalog().catalog;
        let unknown = || Error::not_found(Thing::Plan, id);
        let plan = catalog.plans.get(id).cloned().ok_or_else(unknown)?;
        let rehearsal = Rehearsal::of_plan(&catalog, &plan, self.now());
        let position = Position {
            catalog,
            plan: Some(plan),
            held: None,
        };
        Ok((position, rehearsal.map_err(|_| unknown())?))
    }

    async fn item_cost(
        &self,
        position: &Position,
        item: &CostItem,
        progress: &mut Progress,
    ) -> Result<ItemCost, Error> {
        let mut dimensions = item.dimensions.clone();
        let meter = match &item.of {
            CostOf::Meter(id) => id.clone(),
            CostOf::Feature(id) => {
                let (meter, filter) = metered(position, id)?;
                narrow(&mut dimensions, &filter)?;
                meter
            }
            CostOf::Product(id) => match position.catalog.products.get(id) {
                None => return Err(Error::not_found(Thing::Product, id)),
                Some(Product::Usage { meter, .. }) => meter.clone(),
                Some(
                    Product::Outcome { amount_micros, .. }
                    | Product::CreditPack(CreditPack { amount_micros, .. }),
                ) => return pieces(id, *amount_micros, item.quantity),
            },
        };
        let meter = self.meter(&meter)?;
        check_dimensions(&meter, &dimensions)?;
        let too_much = |excess| Error::overrun("quantity", item.quantity, excess);
        let weighted = meter.weigh_units(item.quantity, &dimensions);
        let weighted = weighted.map_err(|Overflow| too_much(Excess::Counted))?;
        let drawn = progress.rehearsal.draw(&meter.id, &dimensions, weighted);
        if let Some(drawn) = drawn.map_err(too_much)? {
            return Ok(drawing(weighted, drawn)?);
        }
        if !progress.courses.contains_key(&meter.id) {
            let begun = self.begin(position, &meter).await?;
            progress.courses.insert(meter.id.clone(), begun);
        }
        let of_meter = progress.courses.entry(meter.id.clone()).or_default();
        let matching = of_meter
            .iter_mut()
            .find(|course| course.tariff.filter.accepts(&dimensions));
        let Some(course) = matching else {
            return Ok(free(weighted));
        };
        let added = course.add(weighted)?;
        Ok(ItemCost {
            weighted,
            included: added.included,
            line: added.line,
            destination: ends(added.line, course.tariff.destination),
            seller: Some(course.tariff.seller.clone()),
            discount: course.tariff.terms.discount,
        })
    }

    /// Returns the tariffs by which a meter is billed, as far as the customer has come with each.
    async fn begin(&self, position: &Position, meter: &Arc<Meter>) -> Result<Vec<Course>, Error> {
        let tariffs = position.offer().tariffs(&meter.id);
        let mut begun = Vec::with_capacity(tariffs.len());
        for tariff in tariffs {
            begun.push(match &position.held {
                Some(held) => self.bring_up(held.course(tariff), held, meter).await?,
                None => Course::new(tariff),
            });
        }
        Ok(begun)
    }
}

fn pieces(id: &ProductId, amount_micros: i64, count: i64) -> Result<ItemCost, Error> {
    let pricing = Pricing::PerUnit {
        amount_micros,
        per: 1,
    };
    let quantity = Milli::from_units(count)?;
    Ok(ItemCost {
        weighted: quantity,
        included: Milli::ZERO,
        line: line(&pricing, quantity, Terms::default())?,
        destination: Destination::OwnInvoice,
        seller: Some(Seller::Product(id.clone())),
        discount: Percent::ZERO,
    })
}

/// Returns where the charged part of use ends up.
fn ends(line: Line, destination: Destination) -> Destination {
    if line.quantity == Milli::ZERO {
        Destination::Included
    } else {
        destination
    }
}

fn drawing(weighted: Milli, drawn: WouldDraw) -> Result<ItemCost, Overflow> {
    Ok(ItemCost {
        weighted,
        included: weighted.minus(drawn.line.quantity)?,
        line: drawn.line,
        destination: ends(drawn.line, Destination::Wallet),
        seller: Some(Seller::Feature(drawn.feature)),
        discount: Percent::ZERO,
    })
}

const fn free(weighted: Milli) -> ItemCost {
    ItemCost {
        weighted,
        included: weighted,
        line: Line::settled(Milli::ZERO, Money::ZERO),
        destination: Destination::Included,
        seller: None,
        discount: Percent::ZERO,
    }
}

/// Returns meter and filter of a metered feature.
fn metered(position: &Position, id: &FeatureId) -> Result<(MeterId, Filter), Error> {
    let feature = position.catalog.features.get(id);
    match &feature
        .ok_or_else(|| Error::not_found(Thing::Feature, id))?
        .kind
    {
        FeatureKind::Metered { meter, filter } => Ok((meter.clone(), filter.clone())),
        other @ (FeatureKind::Boolean
        | FeatureKind::Static
        | FeatureKind::Allocation
        | FeatureKind::Concurrency
        | FeatureKind::Rate) => Err(Error::FeatureKind {
            id: id.to_string(),
            kind: other.as_str(),
            wanted: "metered",
        }),
    }
}

/// Adds the values that usage of a feature carries.
fn narrow(dimensions: &mut Labels, filter: &Filter) -> Result<(), Error> {
    for (key, value) in &filter.0 {
        let given = dimensions.insert(key.clone(), value.clone());
        if given.is_some_and(|given| given != *value) {
            let field = format!("dimensions[{key:?}]");
            return Err(Error::invalid(
                field,
                format!("must be {value:?} for this feature"),
            ));
        }
    }
    Ok(())
}

fn check_dimensions(meter: &Meter, dimensions: &Labels) -> Result<(), Error> {
    if !meter.aggregation.is_additive() {
        let rule = "must name what sums or counts: other meters cost nothing";
        return Err(Error::invalid("subject", rule));
    }
    let declared = |key: &str| meter.dimensions.iter().any(|name| **name == *key);
    match dimensions.keys().find(|key| !declared(key)) {
        Some(key) => Err(Error::Invalid {
            field: format!("dimensions[{key:?}]"),
            rule: Rule::DimensionUndeclared,
        }),
        None => Ok(()),
    }
}
