//! What the API says: it creates the customers before the first round, and must agree with the clients after the last.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::net::SocketAddr;

use bursar::grpc::pb;
use bursar::grpc::pb::customer_service_client::CustomerServiceClient;
use bursar::grpc::pb::metering_service_client::MeteringServiceClient;
use bursar::grpc::pb::operations_service_client::OperationsServiceClient;
use tonic::transport::{Channel, Endpoint};

use crate::checker::{Findings, Kind};
use crate::clients::wire::timestamp;
use crate::fold::compare_totals;
use crate::history::History;
use crate::world::{COLD, CUSTOMERS, Group, HOT, Meter, PARTS, SECOND, customer_id};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

const HOUR: i64 = 3600 * SECOND;
/// Customers whose events are listed one by one.
const LISTED: [u32; 4] = [0, COLD / 2, COLD, COLD + HOT - 1];

/// Connects and runs something to its end.
pub fn with_server<T>(addr: SocketAddr, run: impl AsyncFnOnce(Channel) -> Result<T>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let channel = Endpoint::from_shared(format!("http://{addr}"))?
            .connect()
            .await?;
        run(channel).await
    })
}

/// Creates all customers, and the agents of those that have some; their windows step from `anchor`.
pub fn create_customers(addr: SocketAddr, anchor: i64) -> Result<()> {
    with_server(addr, async |channel| {
        let mut service = CustomerServiceClient::new(channel);
        for number in 0..CUSTOMERS {
            let customer_id = customer_id(number);
            let customer = pb::Customer {
                customer_id: customer_id.clone(),
                billing_anchor: Some(timestamp(anchor)),
                ..pb::Customer::default()
            };
            let request = pb::CreateCustomerRequest {
                request_id: customer_id.clone(),
                customer: Some(customer),
            };
            service.create_customer(request).await?;
            let has_agents = Group::of(number) == Group::Funded;
            for part in PARTS.iter().skip(1).filter(|_| has_agents) {
                let subaccount = pb::Subaccount {
                    customer_id: customer_id.clone(),
                    subaccount_id: (*part).to_owned(),
                    ..pb::Subaccount::default()
                };
                let request = pb::CreateSubaccountRequest {
                    request_id: format!("{customer_id}/{part}"),
                    subaccount: Some(subaccount),
                };
                service.create_subaccount(request).await?;
            }
        }
        Ok(())
    })
}

/// Asks the server what it would tell anybody, and compares.
pub fn check(
    addr: SocketAddr,
    history: &History,
    totals: &BTreeMap<(u32, Meter), (i64, i64)>,
    began: i64,
    found: &mut Findings,
) -> Result<()> {
    with_server(addr, async |channel| {
        let mut metering = MeteringServiceClient::new(channel.clone());
        let usage = usage(&mut metering, began)
            .await
            .map_err(|error| format!("GetUsage: {error}"))?;
        compare_totals("told by GetUsage", totals, &usage, found);
        for customer in LISTED {
            let listed = list(&mut metering, customer).await;
            let listed = listed.map_err(|error| format!("ListUsageEvents: {error}"))?;
            compare_list(customer, &listed, history, found);
        }
        let operations = OperationsServiceClient::new(channel);
        let audited = audit(operations.clone(), found).await;
        audited.map_err(|error| format!("AuditCounters: {error}"))?;
        let audited = audit_ledgers(operations, history, found).await;
        audited.map_err(|error| format!("AuditLedgers: {error}").into())
    })
}

async fn usage(
    metering: &mut MeteringServiceClient<Channel>,
    began: i64,
) -> Result<BTreeMap<(u32, Meter), (i64, i64)>> {
    let hour = began / HOUR;
    let mut totals = BTreeMap::new();
    for customer in 0..CUSTOMERS {
        for meter in Meter::ALL {
            let request = pb::GetUsageRequest {
                customer_id: customer_id(customer),
                meter_id: meter.id().to_owned(),
                start_time: Some(timestamp((hour - 24 * 5) * HOUR)),
                end_time: Some(timestamp((hour + 24) * HOUR)),
                ..pb::GetUsageRequest::default()
            };
            let answer = metering.get_usage(request).await?.into_inner();
            let rows = answer.rows.iter();
            let total = rows.fold((0, 0), |total, row| {
                (total.0 + row.event_count, total.1 + row.value_milli)
            });
            totals.insert((customer, meter), total);
        }
    }
    Ok(totals)
}

/// Lists the ids of a customer's events.
async fn list(metering: &mut MeteringServiceClient<Channel>, customer: u32) -> Result<Vec<String>> {
    let mut request = pb::ListUsageEventsRequest {
        customer_id: customer_id(customer),
        page_size: 1000,
        ..pb::ListUsageEventsRequest::default()
    };
    let mut ids = Vec::new();
    loop {
        let page = metering
            .list_usage_events(request.clone())
            .await?
            .into_inner();
        let events = page.events.into_iter().filter_map(|stored| stored.event);
        ids.extend(events.map(|event| event.event_id));
        if page.next_page_token.is_empty() {
            return Ok(ids);
        }
        request.page_token = page.next_page_token;
    }
}

fn compare_list(customer: u32, listed: &[String], history: &History, found: &mut Findings) {
    let mut seen = BTreeSet::new();
    for id in listed {
        if !seen.insert(id) {
            found.add(
                Kind::Duplicated,
                format!("customer {customer}: {id} is listed twice"),
            );
        }
        if !history.events.contains_key(&(customer, id.clone())) {
            found.add(
                Kind::Unexpected,
                format!("customer {customer}: {id} is listed and was never sent"),
            );
        }
    }
    let sent = history
        .events
        .range((customer, String::new())..(customer + 1, String::new()));
    for ((_, id), _) in sent.filter(|(_, sent)| sent.acked().is_some()) {
        if !seen.contains(id) {
            found.add(
                Kind::Lost,
                format!("customer {customer}: {id} is acknowledged and not listed"),
            );
        }
    }
}

async fn audit(
    mut operations: OperationsServiceClient<Channel>,
    found: &mut Findings,
) -> Result<()> {
    let mut request = pb::AuditCountersRequest {
        page_size: 1000,
        ..pb::AuditCountersRequest::default()
    };
    let mut checked = 0;
    loop {
        let page = operations
            .audit_counters(request.clone())
            .await?
            .into_inner();
        checked += page.counters_checked;
        for wrong in &page.mismatches {
            found.add(Kind::Counter, format!("AuditCounters: {wrong:?}"));
        }
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    if checked == 0 {
        found.add(Kind::Counter, "AuditCounters checked nothing");
    }
    Ok(())
}

/// Has the server prove its ledgers: a second opinion.
async fn audit_ledgers(
    mut operations: OperationsServiceClient<Channel>,
    history: &History,
    found: &mut Findings,
) -> Result<()> {
    let mut request = pb::AuditLedgersRequest {
        page_size: 1000,
        ..pb::AuditLedgersRequest::default()
    };
    let mut checked = 0;
    loop {
        let page = operations
            .audit_ledgers(request.clone())
            .await?
            .into_inner();
        checked += page.transactions_checked;
        for fault in &page.faults {
            found.add(Kind::Ledger, format!("AuditLedgers: {fault:?}"));
        }
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    if checked == 0
        && history
            .wallet_calls()
            .any(|(_, call, _)| call.moved().is_some())
    {
        found.add(Kind::Ledger, "AuditLedgers looked at no transaction");
    }
    Ok(())
}
