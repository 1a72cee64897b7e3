//! Usage, events and customers as CSV.

use bursar::grpc::pb;
use pb::customer_service_client::CustomerServiceClient;
use pb::metering_service_client::MeteringServiceClient;

use super::process::{Ground, Kind, bursar, done, refused, run};
use crate::harness::event;

/// 2026-11-01T00:00:00Z is long gone or far ahead of the test's clock, so events are those of today.
const YEARS: [&str; 4] = ["--from", "2025-01-01", "--to", "2125-01-01"];

async fn filled(ground: &Ground, kind: Kind) -> String {
    let database = ground.place(kind).await;
    let server = ground.serve(&database).await;
    let mut customers = CustomerServiceClient::new(server.channel.clone());
    let acme = pb::CreateCustomerRequest {
        request_id: "r-acme".to_owned(),
        customer: Some(pb::Customer {
            customer_id: "acme".to_owned(),
            display_name: "Acme".to_owned(),
            ..pb::Customer::default()
        }),
    };
    customers.create_customer(acme).await.unwrap();
    let agent = pb::CreateSubaccountRequest {
        request_id: "r-agent".to_owned(),
        subaccount: Some(pb::Subaccount {
            customer_id: "acme".to_owned(),
            subaccount_id: "agent".to_owned(),
            ..pb::Subaccount::default()
        }),
    };
    customers.create_subaccount(agent).await.unwrap();
    let mut events = vec![
        event("acme", "a-1", 5),
        event("acme", "a-2", 7),
        event("acme", "a-3", 1),
        event("acme", "a-4", 3),
        event("b,\"olt", "b-1", 2),
    ];
    events[1].subaccount_id = "agent".to_owned();
    events[2].dimensions = [("model".to_owned(), "large, \"v2\"".to_owned())].into();
    events[3].meter_id = "pages".to_owned();
    events[3].subaccount_id = "agent".to_owned();
    events[4].metadata = [("note".to_owned(), "x".to_owned())].into();
    let mut metering = MeteringServiceClient::new(server.channel.clone());
    let request = pb::RecordUsageBatchRequest { events };
    let results = metering.record_usage_batch(request).await.unwrap();
    let results = results.into_inner().results;
    let recorded = i32::from(pb::RecordStatus::Recorded);
    assert!(
        results.iter().all(|one| one.status == recorded),
        "{results:?}"
    );
    let void = pb::VoidUsageRequest {
        request_id: "r-void".to_owned(),
        customer_id: "acme".to_owned(),
        event_ids: vec!["a-1".to_owned()],
        reason: "a mistake".to_owned(),
        ..pb::VoidUsageRequest::default()
    };
    metering.void_usage(void).await.unwrap();
    server.stop().await;
    database
}

/// The lines of an export without times, in order.
fn lines(text: &str) -> Vec<String> {
    let is_time = |cell: &&str| cell.len() >= 20 && cell.ends_with('Z') && cell.contains('T');
    let mut lines: Vec<String> = text
        .lines()
        .map(|line| {
            let cells = line
                .split(',')
                .map(|cell| if is_time(&cell) { "TIME" } else { cell });
            cells.collect::<Vec<_>>().join(",")
        })
        .collect();
    lines[1..].sort();
    lines
}

#[test]
fn usage_events_and_customers_are_exported_from_both_databases() {
    run(async {
        let ground = Ground::new();
        for kind in [Kind::Sqlite, Kind::Postgres] {
            let database = filled(&ground, kind).await;
            let export = |what: &str, more: &[&str]| {
                done(&[&["export", what, "--database", &database], &YEARS[..], more].concat())
            };
            let usage = [
                "customer_id,meter_id,unit,start_time,end_time,subaccount_id,dimension.model,dimensions_cut,event_count,sum,max,latest",
                "\"b,\"\"olt\",tokens,token,TIME,TIME,,,false,1,2,2,2",
                "acme,pages,page,TIME,TIME,agent,,false,1,3,3,3",
                "acme,tokens,token,TIME,TIME,,\"large, \"\"v2\"\"\",false,1,1,1,1",
                "acme,tokens,token,TIME,TIME,agent,,false,1,7,7,7",
            ];
            assert_eq!(lines(&export("usage", &[])), usage);
            assert_eq!(lines(&export("usage", &["--by", "hour"])), usage);
            let acme = export("usage", &["--customer", "acme", "--meter", "tokens"]);
            assert_eq!(lines(&acme)[1..], usage[3..]);
            assert_eq!(lines(&export("usage", &["--meter", "calls"])).len(), 1);
            let events = lines(&export("events", &["--customer", "acme"]));
            assert_eq!(
                events,
                [
                    "customer_id,event_id,kind,meter_id,unit,subaccount_id,count_time,event_time,record_time,quantity,weighted,reservation_id,charged_quantity,charge_micros,credit_unit,payer_subaccount_id,dimension.model,metadata",
                    "acme,a-1,usage,tokens,token,,TIME,TIME,TIME,5,5,,,,,,,",
                    "acme,a-1,void,tokens,token,,TIME,TIME,TIME,-5,-5,,,,,,,\"{\"\"reason\"\":\"\"a mistake\"\"}\"",
                    "acme,a-2,usage,tokens,token,agent,TIME,TIME,TIME,7,7,,,,,,,",
                    "acme,a-3,usage,tokens,token,,TIME,TIME,TIME,1,1,,,,,,\"large, \"\"v2\"\"\",",
                    "acme,a-4,usage,pages,page,agent,TIME,TIME,TIME,3,3,,3,60000,USD,,,",
                ]
            );
            let customers = done(&["export", "customers", "--database", &database]);
            assert_eq!(
                lines(&customers),
                [
                    "customer_id,display_name,email,plan_id,status,create_time,delete_time",
                    "\"b,\"\"olt\",,,,,TIME,",
                    "acme,Acme,,,,TIME,",
                ]
            );
        }
        let empty = ["--from", "2026-01-01", "--to", "2026-01-01"];
        let database = ground.place(Kind::Sqlite).await;
        let what = ["export", "usage", "--database", &database];
        let why = refused(&[&what[..], &empty[..]].concat());
        assert!(why.contains("is not before"), "{why}");
        let half = ["--from", "2026-01-01T00:30:00Z", "--to", "2027-01-01"];
        let output = bursar(&[&what[..], &half[..]].concat());
        assert_eq!(output.status.code(), Some(2));
    });
}
