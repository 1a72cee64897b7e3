//! What work would cost.

use crate::domain::rating::Seller;
use crate::engine::{
    CostAsk, CostItem, CostOf, ESTIMATE_ITEMS_MAX, Engine, Error, ItemCost, Whose,
};
use crate::grpc::convert::price::cost;
use crate::grpc::convert::{at, count, dimensions, id, required, units};
use crate::grpc::pb;
use pb::estimate_cost_request::Whose as PbWhose;
use pb::estimate_item::Subject;

pub(super) async fn estimate_cost(
    engine: &Engine,
    request: pb::EstimateCostRequest,
) -> Result<pb::EstimateCostResponse, Error> {
    let whose = match required("whose", request.whose)? {
        PbWhose::CustomerId(text) => Whose::Customer(id("customer_id", text)?),
        PbWhose::PlanId(text) => Whose::Plan(id("plan_id", text)?),
    };
    count("items", request.items.len(), 1, ESTIMATE_ITEMS_MAX)?;
    let items = request.items.into_iter().enumerate();
    let items = items.map(|(index, one)| item(one).map_err(|wrong| at("items", index, wrong)));
    let ask = CostAsk {
        whose,
        items: items.collect::<Result<_, _>>()?,
    };
    let answer = engine.estimate_cost(ask).await?;
    Ok(pb::EstimateCostResponse {
        items: answer.items.into_iter().map(estimated).collect(),
        total: Some(cost(answer.total)),
    })
}

fn item(item: pb::EstimateItem) -> Result<CostItem, Error> {
    let of = match required("subject", item.subject)? {
        Subject::FeatureId(text) => CostOf::Feature(id("feature_id", text)?),
        Subject::ProductId(text) => CostOf::Product(id("product_id", text)?),
        Subject::MeterId(text) => CostOf::Meter(id("meter_id", text)?),
    };
    Ok(CostItem {
        of,
        quantity: units("quantity", item.quantity, 1, 0)?,
        dimensions: dimensions("dimensions", item.dimensions)?,
    })
}

fn estimated(item: ItemCost) -> pb::EstimatedCost {
    let (product_id, feature_id) = match item.seller {
        None => (String::new(), String::new()),
        Some(Seller::Product(id)) => (id.into(), String::new()),
        Some(Seller::Feature(id)) => (String::new(), id.into()),
    };
    pb::EstimatedCost {
        weighted_milli: item.weighted.0,
        included_milli: item.included.0,
        charged_milli: item.line.quantity.0,
        full: Some(cost(item.line.full)),
        discount: Some(cost(item.line.discount)),
        discount_percent: item.discount.to_string(),
        amount: Some(cost(item.line.amount)),
        destination: pb::Destination::from(item.destination).into(),
        product_id,
        feature_id,
    }
}
