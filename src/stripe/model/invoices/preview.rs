//! Previews: an invoice is made and everything taken back.

use serde_json::Value;

use super::super::Model;
use super::super::fault::Fault;
use super::super::form::Params;
use super::super::route::{Answer, Call};
use super::super::shape::{elements, int, text};
use super::super::store::Kind;

pub(super) const PARAMS: &str = "customer subscription \
    preview_mode=next|recurring schedule currency \
    discounts[](coupon discount promotion_code) automatic_tax(enabled!=b) \
    subscription_details(items[](id price quantity=i deleted=b clear_usage=b metadata{} \
      price_data(currency! product! unit_amount=i unit_amount_decimal \
       recurring!(interval!=day|week|month|year interval_count=i))) \
     proration_behavior=create_prorations|always_invoice|none proration_date=i trial_end \
     billing_cycle_anchor cancel_at_period_end=b cancel_at cancel_now=b resume_at start_date=i \
     billing_mode(type!=classic|flexible flexible(proration_discounts=included|itemized)))";

pub(super) fn preview(model: &mut Model, call: &Call) -> Answer {
    let now = model.now;
    let mark = model.mark();
    let made = model.previewed(&call.params);
    model.back_to(mark);
    model.now = now;
    let mut invoice = made?;
    let id = format!("upcoming_{}", text(&invoice["id"]));
    if let Some(lines) = invoice["lines"]["data"].as_array_mut() {
        for line in lines {
            line["invoice"] = id.as_str().into();
        }
    }
    invoice["id"] = id.into();
    invoice["billing_reason"] = "upcoming".into();
    invoice["automatically_finalizes_at"] = Value::Null;
    Ok(invoice)
}

impl Model {
    fn previewed(&mut self, params: &Params) -> Answer {
        let details = params.part("subscription_details");
        let details = details.unwrap_or_else(|| Params(serde_json::json!({})));
        let Some(id) = params.text("subscription") else {
            return self.preview_new(params, &details);
        };
        let mut subscription = self.need(Kind::Subscription, id, "subscription")?;
        if !subscription["ended_at"].is_null() {
            return Err(
                Fault::invalid("", "No upcoming invoices for this subscription.")
                    .code("invoice_upcoming_none"),
            );
        }
        if let Some(given) = params.parts("discounts") {
            subscription["discounts"] = self
                .discounts(&given, "subscription", id, &subscription["customer"])?
                .into();
        }
        let (lines, at_once) = self.change(&mut subscription, &details)?;
        self.store.put(Kind::Subscription, subscription.clone());
        if at_once {
            return self.update_invoice(&subscription, lines).ok_or_else(|| {
                Fault::invalid("", "Nothing to invoice for this change.")
                    .code("invoice_upcoming_none")
            });
        }
        let ends = elements(&subscription["items"]["data"])
            .iter()
            .map(|item| int(&item["current_period_end"]));
        let next = ends.min().unwrap_or(self.now);
        let cancels = details.flag("cancel_at_period_end") == Some(true)
            || subscription["cancel_at"]
                .as_i64()
                .is_some_and(|at| at <= next);
        self.now = self.now.max(next);
        let mut draft = self.renewal(&mut subscription);
        if cancels {
            draft.lines.clear();
            if draft.usage.is_empty() {
                return Err(
                    Fault::invalid("", "No upcoming invoices for this subscription.")
                        .code("invoice_upcoming_none"),
                );
            }
        }
        Ok(self.draft(draft))
    }

    /// Returns the first invoice of a subscription that does not exist.
    fn preview_new(&mut self, params: &Params, details: &Params) -> Answer {
        if !details.has("items") {
            return Err(Fault::missing_parameter("subscription"));
        }
        let mut given = details.clone();
        let customer = match params.text("customer") {
            Some(customer) => customer.to_owned(),
            None => text(&self.new_customer(&Params(serde_json::json!({})))?["id"]).to_owned(),
        };
        given.0["customer"] = customer.into();
        given.0["payment_behavior"] = "default_incomplete".into();
        if params.has("discounts") {
            given.0["discounts"] = params.0["discounts"].clone();
        }
        let id = self.create_subscription(&given)?;
        let subscription = self.object(Kind::Subscription, &id);
        let mut invoice = self.object(Kind::Invoice, text(&subscription["latest_invoice"]));
        invoice["status"] = "draft".into();
        invoice["number"] = Value::Null;
        Ok(invoice)
    }
}
