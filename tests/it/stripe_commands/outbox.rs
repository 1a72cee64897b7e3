//! Usage on its way, as operators see it.

use bursar::grpc::pb;
use pb::SubscriptionStatus as Status;

use super::{Said, bursar};
use crate::harness::run;
use crate::stripe::{Calls, Fault, Method};
use crate::subscriptions::Site;

const HOUR: u32 = 60;
/// Beyond what `pro` includes, whatever that is.
const UNITS: i64 = 10_000_000;

async fn outbox(site: &Site, args: &[&str]) -> Said {
    let server = site.server.serving.grpc_addr.to_string();
    let all = [&["outbox", "--server", &server][..], args].concat();
    bursar(&site.double, &[], &all).await
}

async fn use_some(site: &Site) {
    let mut metering = site.server.metering().await;
    let event = pb::UsageEvent {
        event_id: "e-1".to_owned(),
        customer_id: "acme".to_owned(),
        meter_id: "tokens".to_owned(),
        quantity: UNITS,
        ..pb::UsageEvent::default()
    };
    let events = vec![event];
    let request = pb::RecordUsageBatchRequest { events };
    metering.record_usage_batch(request).await.unwrap();
}

/// Waits until a list says something; returns the name of the chunk in it.
async fn until(site: &Site, args: &[&str], part: &str) -> (Said, String) {
    for _ in 0..100 {
        let said = outbox(site, args).await;
        if let Some(line) = said.out.lines().find(|line| line.contains(part)) {
            let name = line.find("acme tokens").map(|at| &line[at..]).unwrap();
            let name = name.split("  ").next().unwrap().to_owned();
            return (said, name);
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("no list says {part}");
}

#[test]
fn what_is_in_doubt_is_listed_explained_and_sent_once_more_by_who_has_looked() {
    run(async {
        let mut site = Site::selling("aims").await;
        site.create("acme").await;
        site.check_out("acme", "pro", pb::BillingInterval::Month)
            .await;
        site.until_is("acme", "pro", Status::Active).await;
        assert_eq!(outbox(&site, &["list"]).await.done().trim(), "nothing");
        // Nobody knows what became of usage, and Stripe's sums cannot be asked.
        let faults = site.double.faults();
        let events = Calls::of(Method::Post, "/v1/billing/meter_events");
        let sums = Calls::of(Method::Get, "/v1/billing/meters");
        faults.mix(1_000, events, vec![Fault::Error500BeforeEffect]);
        faults.mix(1_000, sums, vec![Fault::Error500BeforeEffect]);
        use_some(&site).await;
        site.pass(HOUR + 1).await;
        until(&site, &["list"], "sending").await;
        site.pass(21 * HOUR).await;
        let (said, name) = until(&site, &["list"], "in_doubt").await;
        assert_eq!(said.code, Some(1), "it wants a look");
        let explained = outbox(&site, &["explain", &name]).await.done();
        assert!(
            explained.contains("whether Stripe has it is not known"),
            "{explained}"
        );
        assert!(
            explained.contains("requeue it if they lack it"),
            "{explained}"
        );
        let refused = outbox(&site, &["requeue", &name]).await;
        assert_eq!(refused.code, Some(1));
        assert!(refused.err.contains("--not-at-stripe"), "{refused:?}");
        faults.clear();
        let sent = outbox(&site, &["requeue", &name, "--not-at-stripe"]).await;
        assert!(sent.done().contains("bursar_"));
        let (said, _) = until(&site, &["list", "--state", "delivered"], "delivered").await;
        assert_eq!(said.code, Some(0));
        let refused = outbox(&site, &["requeue", &name]).await;
        assert!(refused.err.contains("Stripe has it"), "{refused:?}");
        let unknown = outbox(&site, &["explain", "acme tokens 1 1"]).await;
        assert!(unknown.err.contains("there is no chunk"), "{unknown:?}");
        let (payer, _) = site.at_stripe("acme").await;
        let sum = site
            .double
            .effective_sum("aims_tokens", &payer, 0, i64::MAX);
        assert!((1..=UNITS).contains(&sum), "{sum}");
        assert!(site.double.doubled_identifiers().is_empty());
        site.server.stop().await;
        site.double.stop().await;
    });
}
