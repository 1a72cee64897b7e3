//! Credits that are bought, go back with their money, and rest while a payment is disputed.

use super::*;
use crate::harness::seen;

#[test]
fn a_pack_brings_its_credits_once_and_a_refund_takes_them_back() {
    in_a_shop(async |shop| {
        let paid = shop.buy("buy", piece("pack", 3)).await;
        assert_eq!(paid.status(), pb::PaymentStatus::Succeeded);
        assert_eq!((paid.amount_cents, paid.received_cents), (3_000, 3_000));
        assert_eq!((paid.product_id.as_str(), paid.quantity), ("pack", 3));
        assert_eq!(paid.credits_micros, 3_000 * LUC);
        assert_eq!(shop.credits().await, (3_000, 0));
        let theirs = shop.at_stripe(&paid.payment_id).await;
        assert_eq!((theirs.amount_received, theirs.livemode), (3_000, false));
        // All that announces it comes again: nothing more comes of it.
        shop.site.double.deliver_all().await;
        shop.site.pass(60).await;
        let grants = shop.wallet().await.grants;
        assert_eq!(grants.len(), 1, "{grants:?}");
        assert_eq!(grants[0].grant_id, paid.grant_id);
        assert_eq!(grants[0].reference, paid.payment_id);

        // A third of the money goes back, and a third of the credits; the same request does it once.
        for _ in 0..2 {
            let back = shop.refund("third", &paid.payment_id, 1_000, false).await;
            let back = back.unwrap();
            assert_eq!((back.refunded_cents, back.refunds.len()), (1_000, 1));
            assert_eq!(back.taken_back_micros, 1_000 * LUC);
        }
        assert_eq!(shop.credits().await, (2_000, 0));
        // The customer keeps what another part had paid for.
        let kept = shop.refund("kept", &paid.payment_id, 500, true).await;
        assert!(
            kept.unwrap()
                .refunds
                .iter()
                .any(|refund| refund.keep_credits)
        );
        assert_eq!(shop.credits().await, (2_000, 0));
        // What was spent is owed when its money goes back.
        shop.spend(1_900).await.unwrap();
        let rest = shop.refund("rest", &paid.payment_id, 0, false).await;
        let rest = rest.unwrap();
        assert_eq!(rest.refunded_cents, 3_000);
        assert_eq!(rest.taken_back_micros, 2_500 * LUC);
        assert_eq!(shop.credits().await, (0, 1_400));
        assert_eq!(shop.back_at_stripe(&paid.payment_id).await, 3_000);
        let more = shop.refund("more", &paid.payment_id, 1, false).await;
        assert_eq!(seen(&more.unwrap_err()).1, "STRIPE_REFUSED");
        let note = format!("payment {}", paid.payment_id);
        let ledger = shop.ledger().await;
        let of_it = ledger.into_iter().filter(|(_, of)| *of == note);
        let causes: Vec<_> = of_it.map(|(cause, _)| cause).collect();
        use pb::LedgerCause::{Clawback, Grant};
        assert_eq!(causes, [Clawback, Clawback, Grant]);
    });
}

#[test]
fn money_that_goes_back_at_stripe_takes_credits_back() {
    in_a_shop(async |shop| {
        let paid = shop.buy("buy", piece("pack", 1)).await;
        let refund = bursar::stripe::gateway::NewRefund {
            payment_intent: paid.payment_id.clone(),
            cents: Some(400),
            ..bursar::stripe::gateway::NewRefund::default()
        };
        shop.site
            .gateway
            .create_refund(&refund, "by_hand")
            .await
            .unwrap();
        let seen = shop.until(|all| all[0].refunded_cents == 400).await;
        assert_eq!(seen[0].taken_back_micros, 400 * LUC);
        assert_eq!(shop.credits().await, (600, 0));
    });
}

#[test]
fn a_dispute_freezes_the_wallet_until_the_bank_has_decided() {
    for won in [true, false] {
        in_a_shop(async |shop| {
            let paid = shop.buy("buy", piece("pack", 1)).await;
            shop.spend(100).await.unwrap();
            let charge = shop
                .at_stripe(&paid.payment_id)
                .await
                .latest_charge
                .unwrap();
            let opened =
                |model: &mut bursar::stripe::model::Model| model.dispute(charge.id(), 1_000);
            let dispute = shop.site.double.model(opened).unwrap();
            let open = shop.until(|all| !all[0].disputes.is_empty()).await;
            assert_eq!(open[0].disputes[0].status(), pb::DisputeStatus::Open);
            assert_eq!(open[0].disputes[0].dispute_id, dispute);
            assert_eq!(
                shop.wallet().await.frozen_for,
                std::slice::from_ref(&dispute)
            );
            let refused = shop.spend(1).await.unwrap_err();
            assert_eq!(seen(&refused).1, "WALLET_FROZEN");
            assert_eq!(check(shop).await, pb::DecisionReason::WalletFrozen);
            // Usage is a fact, and is recorded all the same.
            record(shop, "e-1", 2).await;
            assert_eq!(shop.credits().await, (898, 0));

            let closed =
                |model: &mut bursar::stripe::model::Model| model.close_dispute(&dispute, won);
            shop.site.double.model(closed).unwrap();
            let is_over =
                |all: &[pb::Payment]| all[0].disputes[0].status() != pb::DisputeStatus::Open;
            let over = shop.until(is_over).await;
            assert!(shop.wallet().await.frozen_for.is_empty());
            if won {
                assert_eq!(over[0].disputes[0].status(), pb::DisputeStatus::Won);
                assert_eq!(over[0].taken_back_micros, 0);
                assert_eq!(shop.credits().await, (898, 0));
                shop.spend(1).await.unwrap();
            } else {
                assert_eq!(over[0].disputes[0].status(), pb::DisputeStatus::Lost);
                assert_eq!(over[0].taken_back_micros, 1_000 * LUC);
                assert_eq!(shop.credits().await, (0, 102));
                assert_eq!(seen(&shop.spend(1).await.unwrap_err()).1, "WALLET_BLOCKED");
            }
        });
    }
}

#[test]
fn a_declined_card_leaves_a_payment_that_says_why() {
    in_a_shop(async |shop| {
        let payer = shop.payer().await;
        let card = |number: &'static str| {
            let payer = payer.clone();
            move |model: &mut bursar::stripe::model::Model| model.set_card(&payer, number)
        };
        shop.site.double.model(card("4000000000000341")).unwrap();
        let declined = shop.charge("now", 1).await.unwrap_err();
        assert_eq!(declined.code(), Code::FailedPrecondition);
        assert_eq!(seen(&declined).1, "PAYMENT_DECLINED");
        let failed = shop.until(|all| all.len() == 1).await;
        assert_eq!(failed[0].status(), pb::PaymentStatus::Failed);
        assert_eq!(failed[0].failure.as_ref().unwrap().code, "generic_decline");
        assert_eq!(shop.credits().await, (0, 0));
        // The same request, made again when there is another card, is another attempt: nothing came of the first.
        shop.site.double.model(card(GOOD)).unwrap();
        let paid = shop.charge("now", 1).await.unwrap();
        assert_eq!(paid.status(), pb::PaymentStatus::Succeeded);
        assert_eq!(shop.credits().await, (1_000, 0));
        let again = shop.charge("now", 1).await.unwrap();
        assert_eq!(again.payment_id, paid.payment_id);
        assert_eq!(shop.payments().await.len(), 2);
        assert_eq!(shop.credits().await, (1_000, 0));
    });
}

#[test]
fn whoever_has_the_address_of_a_page_pays_for_the_customer() {
    in_a_shop(async |shop| {
        let request = pb::CreatePaymentLinkRequest {
            request_id: "link".to_owned(),
            customer_id: "acme".to_owned(),
            purchase: Some(piece("pack", 1)),
        };
        let link = shop.billing.create_payment_link(request).await.unwrap();
        let link = link.into_inner();
        assert!(link.url.starts_with("https://") && !link.sandbox);
        for times in 1..=2_usize {
            let id = &link.link_id;
            let paid = |model: &mut bursar::stripe::model::Model| model.pay_link(id, GOOD);
            shop.site.double.model(paid).unwrap();
            shop.until(|all| all.len() == times).await;
            let credits = i64::try_from(times).unwrap() * 1_000;
            assert_eq!(shop.credits().await, (credits, 0));
        }
    });
}

#[test]
fn a_plan_brings_its_credits_when_it_is_bought_and_once_each_renewal() {
    in_a_shop(async |shop| {
        use pb::SubscriptionStatus::Active;
        let every = pb::BillingInterval::Month;
        shop.site.check_out("acme", "team", every).await;
        shop.site.until_is("acme", "team", Active).await;
        assert_eq!(shop.credits().await, (100, 0));
        shop.spend(30).await.unwrap();
        let before = shop.site.standing("acme").await.current_period_end;
        for _ in 0..2 {
            // Several events tell of each: the invoice, its payment, the subscription.
            shop.site.double.deliver_all().await;
            assert_eq!(shop.credits().await, (70, 0));
        }
        shop.site.pass(31 * 24 * 60).await;
        let renewed = |of: &pb::Subscription| of.current_period_end != before;
        shop.site.until("acme", renewed).await;
        shop.site.double.deliver_all().await;
        assert_eq!(shop.credits().await, (100, 0));
        use pb::LedgerCause as Cause;
        let causes: Vec<_> = shop.ledger().await.into_iter().map(|one| one.0).collect();
        assert_eq!(causes, [Cause::Rollover, Cause::Debit, Cause::Grant]);
    });
}

impl Shop {
    /// Charges what the customer pays with by default for packs.
    async fn charge(&mut self, request: &str, packs: i32) -> Result<pb::Payment, Status> {
        let request = pb::CreatePaymentIntentRequest {
            request_id: request.to_owned(),
            customer_id: "acme".to_owned(),
            purchase: Some(piece("pack", packs)),
            charge_now: true,
        };
        let answer = self
            .billing
            .create_payment_intent(request)
            .await?
            .into_inner();
        assert_eq!(answer.client_secret, "");
        Ok(answer.payment.unwrap())
    }

    /// Returns who the customer is at Stripe.
    async fn payer(&mut self) -> String {
        // Opening a page creates it there.
        self.page("page", piece("pack", 1)).await;
        let page = self.site.gateway.list_customers(None, Cursor::FIRST).await;
        page.unwrap().data[0].id.clone()
    }
}

async fn check(shop: &mut Shop) -> pb::DecisionReason {
    let request = pb::CheckEntitlementRequest {
        customer_id: "acme".to_owned(),
        feature_id: "jobs".to_owned(),
        quantity: Some(1),
        ..pb::CheckEntitlementRequest::default()
    };
    let answer = shop.wallets.entitlements.check_entitlement(request).await;
    let decision = answer.unwrap().into_inner().decision.unwrap();
    assert!(!decision.allowed);
    decision.reason()
}

/// Records use of jobs, each of which costs a dollar's hundredth part in credits.
async fn record(shop: &mut Shop, id: &str, quantity: i64) {
    let event = pb::UsageEvent {
        event_id: id.to_owned(),
        customer_id: "acme".to_owned(),
        meter_id: "jobs".to_owned(),
        quantity,
        ..pb::UsageEvent::default()
    };
    let events = vec![event];
    let mut metering = shop.site.server.metering().await;
    let request = pb::RecordUsageBatchRequest { events };
    let answer = metering.record_usage_batch(request).await.unwrap();
    let result = &answer.into_inner().results[0];
    assert_eq!(result.status(), pb::RecordStatus::Recorded, "{result:?}");
}
