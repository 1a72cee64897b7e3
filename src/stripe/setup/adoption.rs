//! Prices that Stripe had before: an operator says which plan each is of, and it takes the place of one that would be made.

use std::str::FromStr;

use super::agreement::{ADOPTED_KEY, metadata, says, unfit};
use super::{Difference, Setup, SetupFault, key};
use crate::domain::billing::{ListedPrice, PriceList, Sold};
use crate::domain::catalog::Interval;
use crate::domain::id::PlanId;
use crate::stripe::gateway::PriceChange;

/// What the name of a variable may end with, and how often the plan is paid then.
const ENDINGS: [(&str, Interval); 5] = [
    ("_monthly", Interval::Month),
    ("_month", Interval::Month),
    ("_yearly", Interval::Year),
    ("_annual", Interval::Year),
    ("_year", Interval::Year),
];

/// Says of which plan a price at Stripe is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adoption {
    /// The plan.
    pub plan: PlanId,
    /// How often it is paid.
    pub interval: Interval,
    /// The id of the price.
    pub price: String,
}

/// It does not say which price is of which plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be PLAN=PRICE, PLAN:month=PRICE or PLAN:year=PRICE, with a price such as price_1Q2w")]
pub struct BadAdoption;

impl FromStr for Adoption {
    type Err = BadAdoption;

    fn from_str(text: &str) -> Result<Self, BadAdoption> {
        let (plan, price) = text.split_once('=').ok_or(BadAdoption)?;
        let (plan, interval) = match plan.split_once(':') {
            None => (plan, Interval::Month),
            Some((plan, "month")) => (plan, Interval::Month),
            Some((plan, "year")) => (plan, Interval::Year),
            Some(_) => return Err(BadAdoption),
        };
        if !is_price(price) {
            return Err(BadAdoption);
        }
        Ok(Self {
            plan: PlanId::new(plan).map_err(|_| BadAdoption)?,
            interval,
            price: price.to_owned(),
        })
    }
}

impl Adoption {
    /// Reads a variable as other programs have it, what stands behind `STRIPE_PRICE_` being its name: `PRO` or
    /// `TEAM_PLUS_YEARLY`. `None`: it names no plan of the list, or no price.
    #[must_use]
    pub fn of_variable(name: &str, value: &str, list: &PriceList) -> Option<Self> {
        let name = name.to_lowercase();
        let ends = |(ending, interval): (&str, Interval)| {
            name.strip_suffix(ending).map(|name| (name, interval))
        };
        let named = ENDINGS.into_iter().find_map(ends);
        let (name, interval) = named.unwrap_or((&name, Interval::Month));
        let plan = list.prices.iter().find_map(|listed| match &listed.sold {
            Sold::Plan(plan, of)
                if *of == interval && plan.as_str().replace('-', "_").to_lowercase() == name =>
            {
                Some(plan.clone())
            }
            Sold::Plan(..) | Sold::Overage(..) | Sold::Usage(..) | Sold::Piece(_) => None,
        })?;
        is_price(value).then(|| Self {
            plan,
            interval,
            price: value.to_owned(),
        })
    }

    fn listed<'a>(&self, list: &'a PriceList) -> Option<&'a ListedPrice> {
        let sold = Sold::Plan(self.plan.clone(), self.interval);
        list.prices.iter().find(|listed| listed.sold == sold)
    }
}

fn is_price(id: &str) -> bool {
    id.starts_with("price_") || id.starts_with("plan_")
}

impl Setup {
    /// Puts prices that Stripe had before in the place of those that would be made.
    pub(super) async fn adopt(
        &self,
        (list, adopted): (&PriceList, &[Adoption]),
        found: &mut Vec<Difference>,
    ) -> Result<(), SetupFault> {
        for adoption in adopted {
            let listed = adoption
                .listed(list)
                .ok_or_else(|| SetupFault::NotSold(adoption.plan.clone()))?;
            let price = self.gateway.retrieve_price(&adoption.price).await?;
            let why = match unfit(&price, listed) {
                None if price.active => None,
                None => Some("it is not active"),
                unfit => unfit,
            };
            if let Some(why) = why {
                return Err(SetupFault::Unfit {
                    price: adoption.price.clone(),
                    plan: adoption.plan.clone(),
                    why,
                });
            }
            found.retain(|difference| match difference {
                Difference::CreatePrice(one) | Difference::ReplacePrice { listed: one, .. } => {
                    one.lookup_key != listed.lookup_key
                }
                Difference::CreateMeter(_)
                | Difference::RenameMeter { .. }
                | Difference::AdoptPrice { .. }
                | Difference::CreatePortal(_)
                | Difference::ChangePortal { .. }
                | Difference::CreateEndpoint { .. }
                | Difference::ChangeEndpoint { .. }
                | Difference::ReplaceEndpoint { .. } => true,
            });
            let is_known = price.lookup_key.as_deref() == Some(&*listed.lookup_key);
            if !is_known || !says(&price, &listed.sold) {
                found.push(Difference::AdoptPrice {
                    id: price.id,
                    listed: listed.clone(),
                });
            }
        }
        Ok(())
    }

    /// Gives a price the name of one of the list.
    pub(super) async fn take_price(
        &self,
        id: &str,
        listed: &ListedPrice,
    ) -> Result<(), SetupFault> {
        let mut metadata = metadata(&listed.sold);
        metadata.insert(ADOPTED_KEY.to_owned(), "true".to_owned());
        let change = PriceChange {
            lookup_key: Some(listed.lookup_key.to_string()),
            metadata,
            ..PriceChange::default()
        };
        let key = format!("{}_{}", key(&("adopt", id, &change)), self.turn);
        self.gateway.update_price(id, &change, &key).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::billing::price_list;
    use crate::domain::catalog::parse_catalog;

    #[test]
    fn prices_are_named_by_flags_and_by_variables() {
        let adoption: Adoption = "pro:year=price_1".parse().unwrap();
        assert_eq!(
            (adoption.plan.as_str(), adoption.interval),
            ("pro", Interval::Year)
        );
        let adoption: Adoption = "pro=plan_1".parse().unwrap();
        assert_eq!(
            (adoption.interval, &*adoption.price),
            (Interval::Month, "plan_1")
        );
        for bad in ["pro", "pro:week=price_1", "=price_1", "pro=", "pro=prod_1"] {
            assert_eq!(bad.parse::<Adoption>(), Err(BadAdoption), "{bad}");
        }
        let source = "[plans.team-plus]\nname = \"T\"\nprices = { month = \"3\", year = \"30\" }\n\
            [plans.pro]\nname = \"P\"\nprices = { month = \"6\" }\n";
        let list = price_list(&parse_catalog(source).unwrap());
        for (name, value, expected) in [
            ("PRO", "price_1", Some(("pro", Interval::Month))),
            ("PRO_MONTHLY", "price_1", Some(("pro", Interval::Month))),
            (
                "TEAM_PLUS_YEARLY",
                "price_1",
                Some(("team-plus", Interval::Year)),
            ),
            ("TEAM_PLUS", "price_1", Some(("team-plus", Interval::Month))),
            ("PRO_YEARLY", "price_1", None),
            ("OTHER", "price_1", None),
            ("PRO", "", None),
        ] {
            let found = Adoption::of_variable(name, value, &list);
            let found = found.map(|one| (one.plan.to_string(), one.interval));
            let expected = expected.map(|(plan, interval)| (plan.to_owned(), interval));
            assert_eq!(found, expected, "{name}");
        }
    }
}
