//! Payments that count for what is delivered, once, and products that are sold by the piece.

use super::*;
use crate::harness::seen;

impl Shop {
    async fn verify(
        &mut self,
        request: &str,
        (customer, payment): (&str, &str),
        cents: i64,
    ) -> Result<(pb::PaymentVerdict, Option<pb::Payment>), Status> {
        let request = pb::VerifyPaymentRequest {
            request_id: request.to_owned(),
            customer_id: customer.to_owned(),
            payment_id: payment.to_owned(),
            amount_cents: cents,
        };
        let answer = self.billing.verify_payment(request).await?.into_inner();
        let is_verified = answer.verdict() == pb::PaymentVerdict::Verified;
        assert_eq!(answer.verified, is_verified);
        Ok((answer.verdict(), answer.payment))
    }

    async fn verdict(&mut self, request: &str, payment: &str, cents: i64) -> pb::PaymentVerdict {
        let of = ("acme", payment);
        self.verify(request, of, cents).await.unwrap().0
    }
}

#[test]
fn an_outcome_is_bought_and_delivered_for_once() {
    in_a_shop(async |shop| {
        use pb::PaymentVerdict as Verdict;
        let paid = shop.buy("buy", piece("report", 1)).await;
        assert_eq!((paid.product_id.as_str(), paid.quantity), ("report", 1));
        assert_eq!((paid.credits_micros, paid.grant_id.as_str()), (0, ""));
        assert_eq!(
            shop.at_stripe(&paid.payment_id).await.amount_received,
            99_900
        );
        shop.site.create("other").await;
        let id = &paid.payment_id;
        assert_eq!(
            shop.verdict("less", id, 99_800).await,
            Verdict::AmountDiffers
        );
        let other = shop.verify("other", ("other", id), 99_900).await.unwrap();
        assert_eq!(other, (Verdict::OtherCustomer, None));
        assert_eq!(shop.verdict("first", id, 99_900).await, Verdict::Verified);
        assert_eq!(shop.verdict("second", id, 99_900).await, Verdict::Used);
        assert_eq!(shop.verdict("first", id, 99_900).await, Verdict::Verified);
        assert!(shop.payments().await[0].verified);
        let unknown = shop.verify("none", ("acme", "pi_unknown"), 1).await;
        assert_eq!(seen(&unknown.unwrap_err()).1, "PAYMENT_NOT_FOUND");
        let invalid = shop.verify("none", ("acme", "in_1/../x"), 1).await;
        assert_eq!(invalid.unwrap_err().code(), Code::InvalidArgument);
        assert_eq!(shop.ledger().await, []);
    });
}

#[test]
fn what_has_not_come_or_went_back_does_not_count() {
    in_a_shop(async |shop| {
        use pb::PaymentVerdict as Verdict;
        let request = pb::CreatePaymentIntentRequest {
            request_id: "ask".to_owned(),
            customer_id: "acme".to_owned(),
            purchase: Some(pb::Purchase {
                amount_cents: 2_500,
                description: "An hour of advice".to_owned(),
                ..pb::Purchase::default()
            }),
            charge_now: false,
        };
        let asked = shop.billing.create_payment_intent(request.clone()).await;
        let asked = asked.unwrap().into_inner();
        let again = shop.billing.create_payment_intent(request).await;
        assert_eq!(asked, again.unwrap().into_inner());
        let payment = asked.payment.unwrap();
        assert!(asked.client_secret.starts_with(&payment.payment_id));
        assert_eq!(payment.description, "An hour of advice");
        assert_eq!(payment.status(), pb::PaymentStatus::Open);
        let id = payment.payment_id;
        assert_eq!(
            shop.verdict("early", &id, 2_500).await,
            Verdict::NotSucceeded
        );

        let paid = shop.buy_report_after(&id).await;
        shop.refund("back", &paid, 100, false).await.unwrap();
        assert_eq!(shop.verdict("late", &paid, 99_900).await, Verdict::Refunded);
    });
}

impl Shop {
    /// Buys a report beside a payment that is open.
    async fn buy_report_after(&mut self, open: &str) -> String {
        let page = self.page("buy", piece("report", 1)).await;
        let paid = |model: &mut bursar::stripe::model::Model| model.complete_checkout(&page, GOOD);
        self.site.double.model(paid).unwrap();
        let all = self.until(|all| all.len() == 2).await;
        let found = all.into_iter().find(|one| one.payment_id != open);
        found.unwrap().payment_id
    }
}

#[test]
fn each_field_of_a_purchase_says_what_is_wrong_with_it() {
    in_a_shop(async |shop| {
        let full = pb::Purchase {
            product_id: "pack".to_owned(),
            ..pb::Purchase::default()
        };
        let amount = pb::Purchase {
            amount_cents: 50,
            description: "x".to_owned(),
            ..pb::Purchase::default()
        };
        type Spoil = fn(&mut pb::Purchase);
        let cases: [(&pb::Purchase, Spoil, &str); 9] = [
            (&full, |one| one.quantity = -1, "purchase.quantity"),
            (&full, |one| one.quantity = 10_001, "purchase.quantity"),
            (&full, |one| one.amount_cents = 50, "purchase.amount_cents"),
            (
                &full,
                |one| one.description = "x".to_owned(),
                "purchase.description",
            ),
            (
                &full,
                |one| one.product_id = "calls".to_owned(),
                "purchase.product_id",
            ),
            (
                &amount,
                |one| one.amount_cents = 49,
                "purchase.amount_cents",
            ),
            (
                &amount,
                |one| one.description.clear(),
                "purchase.description",
            ),
            (&amount, |one| one.quantity = 1, "purchase.quantity"),
            (
                &amount,
                |one| one.subaccount_id = "bot".to_owned(),
                "purchase.subaccount_id",
            ),
        ];
        for (nth, (base, spoil, field)) in cases.into_iter().enumerate() {
            let mut purchase = base.clone();
            spoil(&mut purchase);
            let request = pb::CreatePaymentLinkRequest {
                request_id: format!("wrong-{nth}"),
                customer_id: "acme".to_owned(),
                purchase: Some(purchase),
            };
            let refused = shop.billing.create_payment_link(request).await.unwrap_err();
            let (_, reason, seen) = seen(&refused);
            assert_eq!(
                (reason.as_str(), seen.contains(field)),
                ("FIELD_INVALID", true),
                "{nth}: {seen}"
            );
        }
        let request = pb::CreatePaymentLinkRequest {
            request_id: "gone".to_owned(),
            customer_id: "acme".to_owned(),
            purchase: Some(piece("gone", 1)),
        };
        let refused = shop.billing.create_payment_link(request).await.unwrap_err();
        assert_eq!(seen(&refused).1, "PRODUCT_NOT_FOUND");
    });
}
