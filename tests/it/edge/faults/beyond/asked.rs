//! What is asked for with reservations and estimates.

use std::collections::BTreeMap;

use bursar::grpc::pb;
use pb::estimate_cost_request::Whose;
use pb::estimate_item::Subject;

use super::super::UNITS_MAX;
use super::super::calls::item;
use super::{MANY, counted, dear, event, heavy, on_both, record, told, told_by};

#[test]
fn an_item_that_cannot_be_set_aside_is_named() {
    on_both(async |server| {
        let heavy_item = |quantity| pb::ReserveItem {
            dimensions: heavy(),
            ..item("tokens", quantity)
        };
        let mut entitlements = server.entitlements().await;
        for (items, expected) in [
            (
                vec![item("tokens", 1), heavy_item(UNITS_MAX)],
                counted("items[1].quantity", UNITS_MAX),
            ),
            (
                vec![heavy_item(1), heavy_item(MANY), heavy_item(MANY)],
                counted("items[2].quantity", MANY),
            ),
        ] {
            let check = pb::BatchCheckEntitlementsRequest {
                customer_id: "acme".to_owned(),
                items: items
                    .iter()
                    .map(|item| pb::CheckItem {
                        feature_id: item.feature_id.clone(),
                        quantity: item.quantity,
                        dimensions: item.dimensions.clone(),
                    })
                    .collect(),
                all_or_none: true,
                ..pb::BatchCheckEntitlementsRequest::default()
            };
            let reserve = pb::ReserveRequest {
                request_id: "r".to_owned(),
                customer_id: "acme".to_owned(),
                items,
                ..pb::ReserveRequest::default()
            };
            let refused = entitlements.reserve(reserve).await.unwrap_err();
            assert_eq!(told_by(&refused), expected);
            let refused = entitlements.batch_check_entitlements(check).await;
            assert_eq!(told_by(&refused.unwrap_err()), expected);
        }
        // Credits that are not there are a denial, with the numbers in it.
        let reserve = pb::ReserveRequest {
            request_id: "c".to_owned(),
            customer_id: "acme".to_owned(),
            items: vec![item("calls", UNITS_MAX)],
            ..pb::ReserveRequest::default()
        };
        let answer = entitlements.reserve(reserve).await.unwrap().into_inner();
        let credits = answer.decision.unwrap().credits.unwrap();
        assert_eq!(credits.needed_micros, UNITS_MAX * 20_000);
    });
}

#[test]
fn a_commit_names_the_event_that_is_too_much_and_records_none() {
    on_both(async |server| {
        let mut entitlements = server.entitlements().await;
        let reserve = pb::ReserveRequest {
            request_id: "r".to_owned(),
            customer_id: "acme".to_owned(),
            items: vec![item("tokens", 1)],
            ..pb::ReserveRequest::default()
        };
        let held = entitlements.reserve(reserve).await.unwrap().into_inner();
        let held = held.reservation.unwrap().reservation_id;
        let commit = |request: &str, events| pb::CommitReservationRequest {
            request_id: request.to_owned(),
            customer_id: "acme".to_owned(),
            reservation_id: held.clone(),
            events,
        };
        for (request, second, expected) in [
            (
                "weighs",
                event("tokens", "e-2", UNITS_MAX),
                counted("events[1].quantity", UNITS_MAX),
            ),
            (
                "counts",
                event("tokens", "e-2", MANY),
                counted("events[1].quantity", MANY),
            ),
            (
                "costs",
                event("calls", "e-2", UNITS_MAX),
                dear("events[1].quantity", UNITS_MAX),
            ),
        ] {
            let events = vec![event("tokens", "e-1", MANY), second];
            let refused = entitlements.commit_reservation(commit(request, events));
            assert_eq!(told_by(&refused.await.unwrap_err()), expected);
        }
        // By the hour all of them together are too much: the largest is named.
        let events = ["b-1", "b-2", "b-3"].map(|id| event("bytes", id, MANY - 3));
        let mut events = Vec::from(events);
        events[1].quantity += 1;
        let refused = entitlements.commit_reservation(commit("sums", events));
        let refused = told_by(&refused.await.unwrap_err());
        assert_eq!(refused, counted("events[1].quantity", MANY - 2));
        // None was recorded, and the reservation is still open.
        let events = ["b-1", "e-1"].map(|id| event("bytes", id, 1));
        let done = entitlements.commit_reservation(commit("last", events.into()));
        let done = done.await.unwrap().into_inner();
        for result in done.results {
            assert_eq!(result.status(), pb::RecordStatus::Recorded);
        }
    });
}

#[test]
fn an_estimate_names_the_item_that_is_too_much() {
    on_both(async |server| {
        let first = vec![event("calls", "e-0", 1)];
        assert_eq!(record(server, first).await, [None]);
        let of = |subject: &Subject, quantity| pb::EstimateItem {
            subject: Some(subject.clone()),
            quantity: Some(quantity),
            dimensions: match subject {
                Subject::MeterId(_) => heavy(),
                _ => BTreeMap::new(),
            },
        };
        let calls = Subject::FeatureId("calls".to_owned());
        let tokens = Subject::MeterId("tokens".to_owned());
        let report = Subject::ProductId("report".to_owned());
        let beyond_money = [("limit_micros", i64::MAX)];
        // Nine million reports cost nearly as much as 64 bits hold.
        let most = 9_000_000;
        for (items, expected) in [
            (
                vec![of(&calls, 1), of(&calls, UNITS_MAX)],
                dear("items[1].quantity", UNITS_MAX),
            ),
            (
                vec![of(&tokens, UNITS_MAX)],
                counted("items[0].quantity", UNITS_MAX),
            ),
            (
                vec![of(&calls, 1), of(&tokens, 1), of(&report, UNITS_MAX)],
                told("items[2].quantity", UNITS_MAX, &beyond_money),
            ),
            (
                vec![of(&report, most), of(&report, most)],
                told("items[1].quantity", most, &beyond_money),
            ),
        ] {
            let request = pb::EstimateCostRequest {
                whose: Some(Whose::CustomerId("acme".to_owned())),
                items,
            };
            let mut metering = server.metering().await;
            let refused = metering.estimate_cost(request).await.unwrap_err();
            assert_eq!(told_by(&refused), expected);
        }
    });
}
