//! Phases: what a subscription has in each, and going from one to the next.

use serde_json::{Value, json};

use super::super::Model;
use super::super::agenda::Due;
use super::super::fault::Fault;
use super::super::form::Params;
use super::super::route::{Answer, Call};
use super::super::shape::{elements, int, text, with_nulls};
use super::super::store::Kind;
use super::super::subscriptions::step;

/// Most phases that are running or to come.
const PHASES_MAX: usize = 10;

/// How long before its end it is told that a schedule is over, in seconds.
const EXPIRING: i64 = 7 * 86_400;

/// What a phase always has.
const PHASE: &str = "application_fee_percent billing_cycle_anchor billing_thresholds \
    collection_method default_payment_method description invoice_settings metadata on_behalf_of \
    transfer_data trial_end";

/// Returns the phase that a subscription is in by itself: its items, until their period ends.
pub(super) fn of_subscription(subscription: &Value) -> Value {
    let items = elements(&subscription["items"]["data"]);
    let start = items
        .iter()
        .map(|item| int(&item["current_period_start"]))
        .min();
    let end = items
        .iter()
        .map(|item| int(&item["current_period_end"]))
        .max();
    let shown: Vec<Value> = items.iter().map(phase_item).collect();
    let discounts: Vec<Value> = elements(&subscription["discounts"])
        .iter()
        .map(|id| json!({"coupon": null, "discount": id, "promotion_code": null}))
        .collect();
    let phase = json!({
        "add_invoice_items": [],
        "currency": subscription["currency"],
        "default_tax_rates": [],
        "discounts": discounts,
        "end_date": end,
        "items": shown,
        "metadata": {},
        "proration_behavior": "create_prorations",
        "start_date": start,
        "trial_end": subscription["trial_end"],
    });
    with_nulls(phase, PHASE)
}

fn phase_item(item: &Value) -> Value {
    let mut shown = json!({
        "billing_thresholds": null,
        "discounts": [],
        "metadata": {},
        "plan": item["price"],
        "price": item["price"],
        "tax_rates": [],
    });
    if !item["quantity"].is_null() {
        shown["quantity"] = item["quantity"].clone();
    }
    shown
}

pub(super) fn update(model: &mut Model, call: &Call) -> Answer {
    let params = &call.params;
    let mut schedule = super::running(model, call.id())?;
    if params.has("metadata") {
        schedule["metadata"] = params.merge_metadata(&schedule["metadata"]);
    }
    if let Some(end) = params.text("end_behavior") {
        schedule["end_behavior"] = end.into();
    }
    let Some(given) = params.parts("phases") else {
        return Ok(model.changed(Kind::Schedule, schedule, "subscription_schedule.updated"));
    };
    let phases = model.phases(&schedule, &given)?;
    schedule["phases"] = phases.into();
    let phase = Model::phase_at(&schedule, model.now)
        .ok_or_else(|| Fault::invalid("phases", "No phase covers the present."))?;
    schedule["current_phase"] =
        json!({"end_date": phase["end_date"], "start_date": phase["start_date"]});
    let schedule = model.changed(Kind::Schedule, schedule, "subscription_schedule.updated");
    let behavior = params
        .text("proration_behavior")
        .unwrap_or_else(|| text(&phase["proration_behavior"]));
    model.apply_phase(text(&schedule["subscription"]), &phase, behavior)?;
    model.plan_phase(call.id());
    Ok(model.object(Kind::Schedule, call.id()))
}

impl Model {
    /// Reads the phases of a call: they follow each other, from the start of the running one on.
    fn phases(&self, schedule: &Value, given: &[Params]) -> Result<Vec<Value>, Fault> {
        if given.is_empty() || given.len() > PHASES_MAX {
            return Err(Fault::invalid(
                "phases",
                format!("A schedule has from 1 to {PHASES_MAX} current and future phases."),
            ));
        }
        let current = int(&schedule["current_phase"]["start_date"]);
        let mut at = current;
        let mut phases = Vec::new();
        for (index, phase) in given.iter().enumerate() {
            let path = format!("phases[{index}]");
            let start = match phase.text("start_date") {
                Some("now") => self.now,
                Some(start) => start.parse().unwrap_or_default(),
                None => at,
            };
            if start != at {
                return Err(Fault::invalid(
                    &format!("{path}[start_date]"),
                    "You can not modify the start date of the current phase, and a phase starts \
                     where the one before ends.",
                ));
            }
            let one = self.phase(phase, start, schedule, &path)?;
            at = int(&one["end_date"]);
            if at <= start || (index == 0 && at <= self.now) {
                return Err(Fault::invalid(
                    &format!("{path}[end_date]"),
                    "The end of a phase must be in the future, and after its start.",
                ));
            }
            phases.push(one);
        }
        Ok(phases)
    }

    fn phase(
        &self,
        given: &Params,
        start: i64,
        schedule: &Value,
        path: &str,
    ) -> Result<Value, Fault> {
        let mut items = Vec::new();
        let mut interval = ("month".to_owned(), 1);
        for (index, item) in given.parts("items").unwrap_or_default().iter().enumerate() {
            let name = format!("{path}[items][{index}][price]");
            let price = self.need(Kind::Price, item.text("price").unwrap_or_default(), &name)?;
            let recurring = &price["recurring"];
            if recurring.is_null() {
                return Err(Fault::invalid(&name, "The price must be recurring."));
            }
            if index == 0 {
                interval = (
                    text(&recurring["interval"]).to_owned(),
                    int(&recurring["interval_count"]),
                );
            }
            let mut shown = json!({"price": price["id"]});
            if recurring["usage_type"] == "licensed" {
                shown["quantity"] = item.int("quantity").unwrap_or(1).into();
            } else if item.has("quantity") {
                let name = format!("{path}[items][{index}][quantity]");
                return Err(Fault::invalid(&name, "A metered price has no quantity."));
            }
            let mut shown = phase_item(&shown);
            shown["metadata"] = item.merge_metadata(&json!({}));
            items.push(shown);
        }
        let end = end_of(given, start, (&interval.0, interval.1), path)?;
        let mut discounts = Vec::new();
        for part in given.parts("discounts").unwrap_or_default() {
            if let Some(coupon) = part.text("coupon") {
                self.need(
                    Kind::Coupon,
                    coupon,
                    &format!("{path}[discounts][0][coupon]"),
                )?;
            }
            discounts.push(with_nulls(part.0, "coupon discount promotion_code"));
        }
        let phase = json!({
            "add_invoice_items": [],
            "billing_cycle_anchor": given.text_or_null("billing_cycle_anchor"),
            "currency": elements(&schedule["phases"]).first().map(|one| one["currency"].clone()),
            "default_tax_rates": [],
            "description": given.text_or_null("description"),
            "discounts": discounts,
            "end_date": end,
            "items": items,
            "metadata": given.merge_metadata(&json!({})),
            "proration_behavior": given.text("proration_behavior").unwrap_or("create_prorations"),
            "start_date": start,
            "trial_end": given.int("trial_end"),
        });
        Ok(with_nulls(phase, PHASE))
    }

    /// Notes when the running phase of a schedule ends.
    pub(super) fn plan_phase(&mut self, id: &str) {
        let schedule = self.object(Kind::Schedule, id);
        if let Some(end) = schedule["current_phase"]["end_date"].as_i64() {
            self.note(end, Due::Phase(id.to_owned()));
        }
        if let Some(end) = last_end(&schedule) {
            self.note(end - EXPIRING, Due::Expiring(id.to_owned()));
        }
    }

    /// Tells that a schedule is over in a week, unless it was changed so that it is not.
    pub(in super::super) fn schedule_expires(&mut self, id: &str) {
        let schedule = self.object(Kind::Schedule, id);
        let is_near = last_end(&schedule).is_some_and(|end| end - EXPIRING == self.now);
        if schedule["status"] == "active" && is_near {
            self.tell("subscription_schedule.expiring", &schedule);
        }
    }

    /// The running phase has ended: the next one begins, or the schedule is over.
    pub(in super::super) fn phase_changes(&mut self, id: &str) {
        let mut schedule = self.object(Kind::Schedule, id);
        let due = schedule["current_phase"]["end_date"]
            .as_i64()
            .is_some_and(|end| end <= self.now);
        if schedule["status"] != "active" || !due {
            return;
        }
        let subscription = text(&schedule["subscription"]).to_owned();
        let Some(phase) = Self::phase_at(&schedule, self.now) else {
            if schedule["end_behavior"] == "cancel" {
                self.schedule_ends(id, "completed");
                let mut ending = self.object(Kind::Subscription, &subscription);
                ending["cancel_at"] = self.now.into();
                self.store.put(Kind::Subscription, ending);
                self.cancels(&subscription);
            } else {
                self.schedule_ends(id, "released");
            }
            return;
        };
        schedule["current_phase"] =
            json!({"end_date": phase["end_date"], "start_date": phase["start_date"]});
        self.changed(Kind::Schedule, schedule, "subscription_schedule.updated");
        // The prices and coupons of a phase were looked at when it was set; one that was taken away since stays out.
        drop(self.apply_phase(&subscription, &phase, text(&phase["proration_behavior"])));
        self.plan_phase(id);
    }

    /// Gives a subscription what a phase has.
    fn apply_phase(&mut self, id: &str, phase: &Value, behavior: &str) -> Result<(), Fault> {
        let before = self.object(Kind::Subscription, id);
        let old = elements(&before["items"]["data"]).to_vec();
        let mut items: Vec<Value> = Vec::new();
        for shown in elements(&phase["items"]) {
            let twin = old.iter().find(|item| item["price"] == shown["price"]);
            let item = if let Some(twin) = twin {
                let mut twin = twin.clone();
                if !shown["quantity"].is_null() {
                    twin["quantity"] = shown["quantity"].clone();
                }
                twin
            } else {
                let mut given = json!({"price": shown["price"]});
                if let Some(quantity) = shown["quantity"].as_i64() {
                    given["quantity"] = quantity.to_string().into();
                }
                self.new_item(id, &Params(given), "items[0]")?
            };
            items.push(item);
        }
        let discounts: Vec<Params> = elements(&phase["discounts"])
            .iter()
            .cloned()
            .map(Params)
            .collect();
        let mut after = before.clone();
        after["discounts"] = self
            .discounts(&discounts, "subscription", id, &before["customer"])?
            .into();
        if before["discounts"] == after["discounts"] && same_items(&old, &items) {
            return Ok(());
        }
        self.change_phase(after, items, phase, behavior);
        Ok(())
    }
}

fn last_end(schedule: &Value) -> Option<i64> {
    elements(&schedule["phases"]).last()?["end_date"].as_i64()
}

fn same_items(old: &[Value], new: &[Value]) -> bool {
    old.len() == new.len()
        && old
            .iter()
            .zip(new)
            .all(|(old, new)| old["price"] == new["price"] && old["quantity"] == new["quantity"])
}

/// Returns the end of a phase: as given, or after one interval of its first price.
fn end_of(given: &Params, start: i64, interval: (&str, i64), path: &str) -> Result<i64, Fault> {
    match (given.int("end_date"), given.part("duration")) {
        (Some(_), Some(_)) => Err(Fault::invalid(
            &format!("{path}[duration]"),
            "You may only specify one of these parameters: duration, end_date.",
        )),
        (Some(end), None) => Ok(end),
        (None, Some(duration)) => Ok(step(
            start,
            duration.text("interval").unwrap_or("month"),
            duration.int("interval_count").unwrap_or(1),
        )),
        (None, None) => Ok(step(start, interval.0, interval.1)),
    }
}
