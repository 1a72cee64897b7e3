//! Coupons, and the discounts that they give.

use jiff::{Timestamp, ToSpan, tz::TimeZone};
use serde_json::{Number, Value, json};

use super::super::Model;
use super::super::fault::Fault;
use super::super::form::Params;
use super::super::list;
use super::super::route::{Answer, Call, Route};
use super::super::shape::{elements, int, text, with_nulls};
use super::super::store::Kind;
use super::amounts::{PICO, decimal, divided};

pub(in super::super) const ROUTES: &[Route] = &[
    Route::post(
        "/v1/coupons",
        "id percent_off amount_off=i currency duration=forever|once|repeating \
         duration_in_months=i name metadata{} max_redemptions=i redeem_by=i applies_to(products[])",
        create,
    ),
    Route::get(
        "/v1/coupons",
        "created(gt=i gte=i lt=i lte=i) limit=i starting_after ending_before",
        |model, call| list::answer(model, call, Kind::Coupon, "/v1/coupons", |_| true),
    ),
    Route::get("/v1/coupons/*", "", |model, call| {
        model.named(Kind::Coupon, call)
    }),
    Route::post("/v1/coupons/*", "name metadata{}", update),
    Route::delete("/v1/coupons/*", "", delete),
];

fn create(model: &mut Model, call: &Call) -> Answer {
    let params = &call.params;
    let id = match params.text("id") {
        Some(id) if model.store.get(Kind::Coupon, id).is_some() => {
            return Err(
                Fault::invalid("id", "Coupon already exists.").code("resource_already_exists")
            );
        }
        Some(id) => id.to_owned(),
        None => model.store.new_id(Kind::Coupon.prefix()),
    };
    let percent = match params.text("percent_off") {
        Some(percent) => decimal(percent)
            .filter(|value| (1..=100 * PICO).contains(value))
            .and_then(|_| percent.parse::<Number>().ok())
            .map(Value::Number)
            .ok_or_else(|| {
                Fault::invalid("percent_off", "Percent must be above 0 and at most 100.")
            })?,
        None => Value::Null,
    };
    if percent.is_null() == params.int("amount_off").is_none() {
        return Err(Fault::invalid(
            "percent_off",
            "You must specify either percent_off or amount_off, and not both.",
        ));
    }
    if params.has("amount_off") && !params.has("currency") {
        return Err(Fault::missing_parameter("currency"));
    }
    let duration = params.text("duration").unwrap_or("once");
    if (duration == "repeating") != params.has("duration_in_months") {
        return Err(Fault::invalid(
            "duration_in_months",
            "A repeating coupon, and no other, needs duration_in_months.",
        ));
    }
    let mut coupon = json!({
        "id": id,
        "object": "coupon",
        "amount_off": params.int("amount_off"),
        "created": model.now,
        "currency": params.text_or_null("currency"),
        "duration": duration,
        "duration_in_months": params.int("duration_in_months"),
        "livemode": false,
        "max_redemptions": params.int("max_redemptions"),
        "metadata": params.merge_metadata(&json!({})),
        "name": params.text_or_null("name"),
        "percent_off": percent,
        "redeem_by": params.int("redeem_by"),
        "times_redeemed": 0,
        "valid": true,
        "_percent": params.text_or_null("percent_off"),
    });
    if let Some(part) = params.part("applies_to") {
        let products = part.texts("products");
        for product in &products {
            model.need(Kind::Product, product, "applies_to[products]")?;
        }
        coupon["applies_to"] = json!({"products": products});
    }
    Ok(model.made(Kind::Coupon, coupon, "coupon.created"))
}

fn update(model: &mut Model, call: &Call) -> Answer {
    let mut coupon = model.find(Kind::Coupon, call.id())?;
    if call.params.has("name") {
        coupon["name"] = call.params.text_or_null("name");
    }
    if call.params.has("metadata") {
        coupon["metadata"] = call.params.merge_metadata(&coupon["metadata"]);
    }
    Ok(model.changed(Kind::Coupon, coupon, "coupon.updated"))
}

/// A deleted coupon gives no new discounts; those that it gave stay, so the object does as well.
fn delete(model: &mut Model, call: &Call) -> Answer {
    let mut coupon = model.find(Kind::Coupon, call.id())?;
    coupon["valid"] = false.into();
    coupon["deleted"] = true.into();
    model.tell("coupon.deleted", &coupon);
    model.store.put(Kind::Coupon, coupon);
    Ok(json!({"id": call.id(), "object": "coupon", "deleted": true}))
}

impl Model {
    /// Gives the discounts that a `discounts` parameter names, to a subscription or an invoice (`owner` is the key), and
    /// returns their ids.
    pub(in super::super) fn discounts(
        &mut self,
        given: &[Params],
        owner: &str,
        id: &str,
        customer: &Value,
    ) -> Result<Vec<Value>, Fault> {
        let mut ids = Vec::new();
        for part in given {
            if let Some(discount) = part.text("discount") {
                self.need(Kind::Discount, discount, "discounts[0][discount]")?;
                ids.push(discount.into());
                continue;
            }
            let coupon = part
                .text("coupon")
                .ok_or_else(|| Fault::missing_parameter("discounts[0][coupon]"))?;
            let mut coupon = self.need(Kind::Coupon, coupon, "discounts[0][coupon]")?;
            let used = int(&coupon["times_redeemed"]);
            let over = coupon["max_redemptions"]
                .as_i64()
                .is_some_and(|most| used >= most)
                || coupon["redeem_by"].as_i64().is_some_and(|by| self.now > by);
            if over {
                return Err(Fault::invalid(
                    "discounts[0][coupon]",
                    format!("Coupon expired: {}", text(&coupon["id"])),
                )
                .code("coupon_expired"));
            }
            coupon["times_redeemed"] = (used + 1).into();
            let end = coupon["duration_in_months"]
                .as_i64()
                .map_or(Value::Null, |months| months_later(self.now, months).into());
            let mut discount = json!({
                "id": self.store.new_id(Kind::Discount.prefix()),
                "object": "discount",
                "customer": customer,
                "end": end,
                "source": {"coupon": coupon["id"], "type": "coupon"},
                "start": self.now,
            });
            discount[owner] = id.into();
            self.store.put(Kind::Coupon, coupon);
            ids.push(discount["id"].clone());
            let discount = with_nulls(
                discount,
                "checkout_session customer_account invoice invoice_item promotion_code \
                 subscription subscription_item",
            );
            self.store.put(Kind::Discount, discount);
        }
        Ok(ids)
    }

    /// Returns those of a subscription's discounts that still hold at a time.
    pub(in super::super) fn discounts_in_force(&self, ids: &Value, at: i64) -> Vec<Value> {
        elements(ids)
            .iter()
            .filter(|id| {
                let discount = self.store.get(Kind::Discount, text(id));
                discount.is_some_and(|one| one["end"].as_i64().is_none_or(|end| at < end))
            })
            .cloned()
            .collect()
    }

    /// Returns the coupon of a discount.
    pub(in super::super) fn coupon_of(&self, discount: &str) -> Value {
        let discount = self.object(Kind::Discount, discount);
        self.object(Kind::Coupon, text(&discount["source"]["coupon"]))
    }

    /// Returns how much a discount takes from each of the amounts of an invoice's lines, each with its product; a fixed
    /// amount is spread over them in proportion.
    pub(in super::super) fn discount_amounts(
        &self,
        discount: &str,
        lines: &[(i64, String)],
    ) -> Vec<i64> {
        let coupon = self.coupon_of(discount);
        let only = elements(&coupon["applies_to"]["products"]);
        let fits = |product: &str| only.is_empty() || only.iter().any(|one| one == product);
        if let Some(percent) = coupon["_percent"].as_str() {
            let percent = decimal(percent).unwrap_or_default();
            return lines
                .iter()
                .map(|(amount, product)| {
                    if fits(product) {
                        divided(i128::from(*amount) * percent, 100 * PICO)
                    } else {
                        0
                    }
                })
                .collect();
        }
        let base: i64 = lines
            .iter()
            .filter(|(amount, product)| *amount > 0 && fits(product))
            .map(|(amount, _)| amount)
            .sum();
        let mut left = int(&coupon["amount_off"]).min(base);
        let mut left_base = base;
        lines
            .iter()
            .map(|(amount, product)| {
                if *amount <= 0 || !fits(product) || left_base == 0 {
                    return 0;
                }
                let share = divided(
                    i128::from(left) * i128::from(*amount),
                    i128::from(left_base),
                );
                left -= share;
                left_base -= amount;
                share
            })
            .collect()
    }
}

/// Returns the time some months later.
fn months_later(seconds: i64, months: i64) -> i64 {
    Timestamp::from_second(seconds)
        .ok()
        .and_then(|time| {
            time.to_zoned(TimeZone::UTC)
                .checked_add(months.months())
                .ok()
        })
        .map_or(seconds, |time| time.timestamp().as_second())
}
