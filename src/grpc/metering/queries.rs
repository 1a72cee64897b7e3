//! Questions about usage.

use crate::domain::time::Timestamp;
use crate::domain::window::TimeRange;
use crate::engine::{Engine, Error, GROUP_BY_MAX, Granularity, UsageAsk, UsageTotal};
use crate::grpc::convert::page::page;
use crate::grpc::convert::price::cost;
use crate::grpc::convert::usage::stored;
use crate::grpc::convert::{
    count, dimensions, id, known, optional_id, optional_timestamp, required, timestamp,
    to_timestamp,
};
use crate::grpc::pb;
use crate::storage::EventQuery;

pub(super) async fn get_usage(
    engine: &Engine,
    mut request: pb::GetUsageRequest,
) -> Result<pb::GetUsageResponse, Error> {
    let page = page(&mut request)?;
    count("group_by", request.group_by.len(), 0, GROUP_BY_MAX)?;
    let instant = |field, stamp| timestamp(field, required(field, stamp)?);
    let group_by = request.group_by.into_iter().map(Box::from);
    let ask = UsageAsk {
        customer: id("customer_id", request.customer_id)?,
        subaccount: optional_id("subaccount_id", request.subaccount_id)?,
        meter: id("meter_id", request.meter_id)?,
        range: TimeRange {
            start: instant("start_time", request.start_time)?,
            end: instant("end_time", request.end_time)?,
        },
        granularity: granularity(known("granularity", request.granularity)?),
        group_by: group_by.collect(),
        filter: dimensions("filter", request.filter)?,
        after: page.after.clone(),
        limit: page.limit,
        with_cost: request.with_cost,
    };
    let found = engine.usage(ask.clone()).await?;
    let rows = found.items.into_iter();
    Ok(pb::GetUsageResponse {
        rows: rows.map(|total| row(total, &ask.group_by)).collect(),
        next_page_token: page.next_token(found.next),
    })
}

fn granularity(given: pb::UsageGranularity) -> Granularity {
    match given {
        pb::UsageGranularity::Unspecified | pb::UsageGranularity::None => Granularity::None,
        pb::UsageGranularity::Hour => Granularity::Hour,
        pb::UsageGranularity::Day => Granularity::Day,
        pb::UsageGranularity::Month => Granularity::Month,
    }
}

fn row(total: UsageTotal, group_by: &[Box<str>]) -> pb::UsageRow {
    let mut stated = total.group;
    let names = group_by.iter();
    let group = names
        .map(|name| {
            let value = stated.remove(name).unwrap_or_default();
            (name.to_string(), value.into())
        })
        .collect();
    pb::UsageRow {
        start_time: Some(to_timestamp(total.range.start)),
        end_time: Some(to_timestamp(total.range.end)),
        group,
        value: total.value.units_down(),
        value_milli: total.value.0,
        event_count: total.events,
        complete: !total.overflowed,
        cost: total.cost.map(cost),
    }
}

pub(super) async fn list_usage_events(
    engine: &Engine,
    mut request: pb::ListUsageEventsRequest,
) -> Result<pb::ListUsageEventsResponse, Error> {
    let page = page(&mut request)?;
    let start = optional_timestamp("start_time", request.start_time)?;
    let end = optional_timestamp("end_time", request.end_time)?;
    let query = EventQuery {
        customer: id("customer_id", request.customer_id)?,
        subaccount: optional_id("subaccount_id", request.subaccount_id)?,
        meter: optional_id("meter_id", request.meter_id)?,
        range: TimeRange {
            start: start.unwrap_or(Timestamp::MIN),
            end: end.unwrap_or(Timestamp::MAX),
        },
        dimensions: dimensions("dimensions", request.dimensions)?,
        ids: Vec::new(),
        reservation: optional_id("reservation_id", request.reservation_id)?,
        standing: request.exclude_voided,
        after: page.after.clone(),
        limit: page.limit,
    };
    let found = engine.events(query).await?;
    let events = found.items.into_iter();
    Ok(pb::ListUsageEventsResponse {
        events: events.map(|one| stored(one.row, one.voided)).collect(),
        next_page_token: page.next_token(found.next),
    })
}
