//! Disputes: a card's owner takes a payment back.

use serde_json::{Value, json};

use super::Model;
use super::list;
use super::route::Route;
use super::shape::{int, text, with_nulls};
use super::store::Kind;

/// How long evidence can be given.
const EVIDENCE_SECONDS: i64 = 9 * 86_400;
/// What a dispute costs, in cents.
const FEE: i64 = 1_500;

pub(super) const ROUTES: &[Route] = &[
    Route::get(
        "/v1/disputes",
        "charge payment_intent created(gt=i gte=i lt=i lte=i) limit=i starting_after ending_before",
        |model, call| {
            list::answer(model, call, Kind::Dispute, "/v1/disputes", |dispute| {
                ["charge", "payment_intent"].into_iter().all(|name| {
                    call.params
                        .text(name)
                        .is_none_or(|value| dispute[name] == value)
                })
            })
        },
    ),
    Route::get("/v1/disputes/*", "", |model, call| {
        model.named(Kind::Dispute, call)
    }),
];

impl Model {
    /// Opens a dispute: the money is withdrawn at once. Returns its id.
    pub(super) fn open_dispute(&mut self, charge: &str, amount: i64) -> String {
        let mut charge = self.object(Kind::Charge, charge);
        let id = self.store.new_id(Kind::Dispute.prefix());
        let withdrawal = self.movement(&id, -amount, FEE, "adjustment", &charge["currency"]);
        let evidence = with_nulls(
            json!({"enhanced_evidence": {}}),
            "access_activity_log billing_address cancellation_policy \
             cancellation_policy_disclosure cancellation_rebuttal customer_communication \
             customer_email_address customer_name customer_purchase_ip customer_signature \
             duplicate_charge_documentation duplicate_charge_explanation duplicate_charge_id \
             product_description receipt refund_policy refund_policy_disclosure \
             refund_refusal_explanation service_date service_documentation shipping_address \
             shipping_carrier shipping_date shipping_documentation shipping_tracking_number \
             uncategorized_file uncategorized_text",
        );
        let dispute = json!({
            "id": id,
            "object": "dispute",
            "amount": amount,
            "balance_transactions": [withdrawal],
            "charge": charge["id"],
            "created": self.now,
            "currency": charge["currency"],
            "enhanced_eligibility_types": [],
            "evidence": evidence,
            "evidence_details": {
                "due_by": self.now + EVIDENCE_SECONDS,
                "enhanced_eligibility": {},
                "has_evidence": false,
                "past_due": false,
                "submission_count": 0,
            },
            "is_charge_refundable": false,
            "livemode": false,
            "metadata": {},
            "payment_intent": charge["payment_intent"],
            "payment_method_details": {
                "card": {"brand": "visa", "case_type": "chargeback", "network_reason_code": "10"},
                "type": "card",
            },
            "reason": "fraudulent",
            "status": "needs_response",
        });
        charge["disputed"] = true.into();
        self.changed(Kind::Charge, charge, "charge.updated");
        self.made(Kind::Dispute, dispute.clone(), "charge.dispute.created");
        self.tell("charge.dispute.funds_withdrawn", &dispute);
        id
    }

    /// Ends a dispute; one that is won brings the money back. Returns whether it was open.
    pub(super) fn end_dispute(&mut self, id: &str, won: bool) -> bool {
        let mut dispute = self.object(Kind::Dispute, id);
        if dispute["status"] != "needs_response" {
            return false;
        }
        dispute["status"] = if won { "won" } else { "lost" }.into();
        if won {
            let back = self.movement(
                id,
                int(&dispute["amount"]),
                0,
                "adjustment",
                &dispute["currency"],
            );
            if let Some(list) = dispute["balance_transactions"].as_array_mut() {
                list.push(back);
            }
            self.store.put(Kind::Dispute, dispute.clone());
            self.tell("charge.dispute.funds_reinstated", &dispute);
        }
        self.store.put(Kind::Dispute, dispute.clone());
        self.tell("charge.dispute.closed", &dispute);
        true
    }

    /// Returns a movement of the account's balance.
    fn movement(
        &mut self,
        source: &str,
        amount: i64,
        fee: i64,
        kind: &str,
        currency: &Value,
    ) -> Value {
        json!({
            "id": self.store.new_id("txn"),
            "object": "balance_transaction",
            "amount": amount,
            "available_on": self.now,
            "balance_type": "payments",
            "created": self.now,
            "currency": currency,
            "description": null,
            "exchange_rate": null,
            "fee": fee,
            "fee_details": [],
            "net": amount - fee,
            "reporting_category": "dispute",
            "source": source,
            "status": "available",
            "type": kind,
        })
    }

    /// Returns what open and lost disputes hold of the account's money, in cents of a currency.
    pub(super) fn disputed(&self, currency: &str) -> i64 {
        self.store
            .all(Kind::Dispute)
            .filter(|dispute| dispute["status"] != "won" && text(&dispute["currency"]) == currency)
            .map(|dispute| int(&dispute["amount"]))
            .sum()
    }
}
