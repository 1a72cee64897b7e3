//! Commitments, month by month: what is paid, what costs nothing, and when a customer may go.

use bursar::grpc::pb;
use pb::BillingInterval as Every;
use pb::SubscriptionStatus as Status;
use tonic::Code;

use super::Site;
use crate::harness::run_for;
use crate::stripe::{Calls, DeliveryPlan, Fault, Method};

const HOUR: u32 = 60;

/// A plan with a commitment.
struct Promise {
    plan: &'static str,
    paid: usize,
    delivered: usize,
    /// What a month costs, in cents.
    cents: i64,
    /// What is used of tokens each month, and what that costs beyond what is included, in cents.
    usage: (i64, i64),
}

/// Lives through all months of a commitment and two more, and returns what each month's invoice came to.
async fn live(promise: &Promise) -> Vec<i64> {
    let mut site = Site::selling("aims").await;
    // Each webhook twice: what they bring about is brought about once.
    site.double.plan_delivery(DeliveryPlan::duplicated());
    site.create("acme").await;
    site.check_out("acme", promise.plan, Every::Month).await;
    site.until_is("acme", promise.plan, Status::Active).await;
    if promise.delivered > promise.paid {
        site.until_scheduled("acme").await;
    }
    let promised = site.standing("acme").await.commitment.unwrap();
    let mut paid = vec![site.newest_total("acme").await];
    for month in 1..=promise.delivered + 1 {
        let (tokens, _) = promise.usage;
        site.record("acme", "tokens", tokens, &format!("use-{month}"))
            .await;
        site.pass(HOUR + 1).await;
        let included = site.catalog.plans[promise.plan].entitlements["tokens"].clone();
        let beyond = tokens - included_in(&included);
        let all = beyond * i64::try_from(month).unwrap();
        site.until_at_stripe("acme", "tokens", all).await;
        if month == 2 {
            let once = usize::from(promise.delivered > promise.paid);
            assert_eq!(made(&site, "/v1/coupons"), once);
            assert_eq!(made(&site, "/v1/subscription_schedules"), once);
        }
        if month < promise.delivered {
            stays(&mut site, month).await;
        } else if month == promise.delivered {
            // The last month: at its end, and not before.
            assert!(site.cancel("acme", true).await.is_err());
            let leaving = site.cancel("acme", false).await.unwrap();
            assert!(leaving.cancel_time.unwrap().seconds >= promised.end_time.unwrap().seconds);
            site.resume("acme").await;
        }
        site.pass_period("acme").await;
        paid.push(site.newest_total("acme").await);
        site.until_is("acme", promise.plan, Status::Active).await;
    }
    // It goes on by the month, and the customer may go.
    let gone = site.cancel("acme", true).await.unwrap();
    assert_eq!(gone.status(), Status::Canceled);
    site.server.stop().await;
    site.double.stop().await;
    paid
}

/// Returns how often something was made at Stripe.
fn made(site: &Site, path: &str) -> usize {
    let calls = site.double.calls();
    let made = |call: &&crate::stripe::Recorded| call.method == "POST" && call.path == path;
    calls.iter().filter(made).count()
}

fn included_in(spec: &bursar::domain::catalog::EntitlementSpec) -> i64 {
    match spec {
        bursar::domain::catalog::EntitlementSpec::Metered(metered) => {
            metered.limits[0].amount.unwrap()
        }
        _ => panic!("tokens are metered"),
    }
}

/// A customer that promised to stay cannot go, nor to another plan.
async fn stays(site: &mut Site, month: usize) {
    for now in [true, false] {
        let refused = site.cancel("acme", now).await.unwrap_err();
        assert_eq!(refused.code(), Code::FailedPrecondition, "month {month}");
    }
    for timing in [pb::PlanChangeTiming::Now, pb::PlanChangeTiming::PeriodEnd] {
        let to = ("starter", Every::Month);
        let refused = site
            .change_plan("acme", to, timing, None)
            .await
            .unwrap_err();
        assert_eq!(refused.code(), Code::FailedPrecondition, "month {month}");
    }
}

/// What each invoice comes to: the month ahead, and what was used beyond the month before.
fn expected(promise: &Promise) -> Vec<i64> {
    let ahead = |month: usize| {
        let is_free = (promise.paid..promise.delivered).contains(&month);
        if is_free { 0 } else { promise.cents }
    };
    let mut expected = vec![promise.cents];
    expected.extend((1..=promise.delivered + 1).map(|month| ahead(month) + promise.usage.1));
    expected
}

fn holds(promise: &'static Promise) {
    run_for(180, async {
        assert_eq!(live(promise).await, expected(promise), "{}", promise.plan);
    });
}

#[test]
fn nine_months_are_paid_and_twelve_delivered() {
    holds(&Promise {
        plan: "9mo",
        paid: 9,
        delivered: 12,
        cents: 1_499,
        usage: (600_000, 200),
    });
}

#[test]
fn six_months_are_paid_and_six_delivered() {
    holds(&Promise {
        plan: "6mo",
        paid: 6,
        delivered: 6,
        cents: 1_799,
        usage: (350_000, 250),
    });
}

#[test]
fn three_months_are_paid_and_three_delivered() {
    holds(&Promise {
        plan: "3mo",
        paid: 3,
        delivered: 3,
        cents: 1_999,
        usage: (200_000, 300),
    });
}

#[test]
fn a_schedule_that_was_begun_is_finished() {
    run_for(60, async {
        let mut site = Site::selling("aims").await;
        // The schedule is made, and the calls that name its phases are lost for a while.
        let calls = Calls::of(Method::Post, "/v1/subscription_schedules/");
        site.double
            .faults()
            .next(20, calls, Fault::Error500BeforeEffect);
        site.create("acme").await;
        site.check_out("acme", "9mo", Every::Month).await;
        site.until_is("acme", "9mo", Status::Active).await;
        for _ in 0..60 {
            if site.double.faults().left() == 0 {
                break;
            }
            site.pass(30).await;
            tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        }
        site.pass(90).await;
        site.until_scheduled("acme").await;
        let schedules = site.schedules("acme").await;
        assert_eq!(schedules.len(), 1);
        assert_eq!(schedules[0].phases.len(), 2);
        let coupon = schedules[0].phases[1].discounts[0].coupon.as_ref().unwrap();
        let coupon = site.gateway.retrieve_coupon(coupon.id()).await.unwrap();
        let only = coupon.applies_to.unwrap().products;
        assert_eq!(
            only,
            ["bursar_plan_9mo"],
            "use beyond the plan stays billed"
        );
        site.server.stop().await;
        site.double.stop().await;
    });
}
