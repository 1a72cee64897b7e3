//! Prices: flat, metered, tiered, in packages; once or recurring.

use serde_json::{Value, json};

use super::super::Model;
use super::super::fault::Fault;
use super::super::form::Params;
use super::super::list;
use super::super::route::{Answer, Call, Route};
use super::super::shape::{int, text, with_nulls};
use super::super::store::Kind;
use super::amounts::{PICO, decimal, decimal_text};

pub(in super::super) const ROUTES: &[Route] = &[
    Route::post(
        "/v1/prices",
        "currency! product \
         product_data(name! id active=b metadata{} unit_label statement_descriptor tax_code) \
         unit_amount=i unit_amount_decimal active=b nickname metadata{} lookup_key \
         transfer_lookup_key=b billing_scheme=per_unit|tiered tiers_mode=graduated|volume \
         tiers[](up_to! unit_amount=i unit_amount_decimal flat_amount=i flat_amount_decimal) \
         transform_quantity(divide_by!=i round!=up|down) \
         recurring(interval!=day|week|month|year interval_count=i meter \
         usage_type=licensed|metered trial_period_days=i) \
         tax_behavior=exclusive|inclusive|unspecified",
        |model, call| model.new_price(&call.params),
    ),
    Route::get(
        "/v1/prices",
        "active=b currency product type=one_time|recurring lookup_keys[] \
         recurring(interval meter usage_type) created(gt=i gte=i lt=i lte=i) limit=i \
         starting_after ending_before",
        list_prices,
    ),
    Route::get("/v1/prices/*", "", |model, call| {
        model.named(Kind::Price, call)
    }),
    Route::post(
        "/v1/prices/*",
        "active=b metadata{} nickname lookup_key transfer_lookup_key=b \
         tax_behavior=exclusive|inclusive|unspecified",
        update,
    ),
];

fn list_prices(model: &mut Model, call: &Call) -> Answer {
    let params = &call.params;
    let keys = params.texts("lookup_keys");
    let recurring = params.part("recurring");
    list::answer(model, call, Kind::Price, "/v1/prices", |price| {
        let same = |name: &str| params.text(name).is_none_or(|value| price[name] == value);
        let inner = |name: &str| {
            let asked = recurring.as_ref().and_then(|part| part.text(name));
            asked.is_none_or(|value| price["recurring"][name] == value)
        };
        params
            .flag("active")
            .is_none_or(|active| price["active"] == active)
            && ["currency", "product", "type"].into_iter().all(same)
            && ["interval", "meter", "usage_type"].into_iter().all(inner)
            && (keys.is_empty() || keys.iter().any(|key| price["lookup_key"] == key.as_str()))
    })
}

fn update(model: &mut Model, call: &Call) -> Answer {
    let params = &call.params;
    let mut price = model.find(Kind::Price, call.id())?;
    if let Some(active) = params.flag("active") {
        price["active"] = active.into();
    }
    if params.has("metadata") {
        price["metadata"] = params.merge_metadata(&price["metadata"]);
    }
    for key in ["nickname", "tax_behavior"] {
        if params.has(key) {
            price[key] = params.text_or_null(key);
        }
    }
    if params.has("lookup_key") {
        model.take_lookup_key(params, call.id())?;
        price["lookup_key"] = params.text_or_null("lookup_key");
    }
    Ok(model.changed(Kind::Price, price, "price.updated"))
}

impl Model {
    /// Makes a price.
    pub(in super::super) fn new_price(&mut self, params: &Params) -> Answer {
        let product = match (params.text("product"), params.part("product_data")) {
            (Some(product), None) => self.need(Kind::Product, product, "product")?,
            (None, Some(data)) => self.new_product(&data)?,
            (None, None) => return Err(Fault::missing_parameter("product")),
            (Some(_), Some(_)) => {
                return Err(Fault::invalid(
                    "product",
                    "You may only specify one of these parameters: product, product_data.",
                ));
            }
        };
        let recurring = match params.part("recurring") {
            Some(part) => self.recurring(&part)?,
            None => Value::Null,
        };
        let id = self.store.new_id(Kind::Price.prefix());
        self.take_lookup_key(params, &id)?;
        let price = json!({
            "id": id,
            "object": "price",
            "active": params.flag("active").unwrap_or(true),
            "billing_scheme": params.text("billing_scheme").unwrap_or("per_unit"),
            "created": self.now,
            "currency": params.text("currency").unwrap_or_default().to_lowercase(),
            "livemode": false,
            "lookup_key": params.text_or_null("lookup_key"),
            "metadata": params.merge_metadata(&json!({})),
            "nickname": params.text_or_null("nickname"),
            "product": product["id"],
            "recurring": recurring,
            "tax_behavior": params.text("tax_behavior").unwrap_or("unspecified"),
            "tiers_mode": params.text_or_null("tiers_mode"),
            "type": if recurring.is_null() { "one_time" } else { "recurring" },
        });
        let price = with_amounts(price, params)?;
        let price = with_nulls(price, "custom_unit_amount transform_quantity");
        Ok(self.made(Kind::Price, price, "price.created"))
    }

    fn recurring(&self, params: &Params) -> Result<Value, Fault> {
        let usage_type = params.text("usage_type").unwrap_or("licensed");
        let count = params.int("interval_count").unwrap_or(1);
        let interval = params.text("interval").unwrap_or_default();
        let most = match interval {
            "day" => 1_095,
            "week" => 156,
            "month" => 36,
            _ => 3,
        };
        if !(1..=most).contains(&count) {
            return Err(Fault::invalid(
                "recurring[interval_count]",
                "The interval must be from one day to three years long.",
            ));
        }
        match (usage_type, params.text("meter")) {
            ("metered", None) => {
                return Err(Fault::invalid(
                    "recurring[meter]",
                    "A metered price needs a meter: prices without one are no longer supported.",
                ));
            }
            ("metered", Some(meter)) => {
                self.need(Kind::Meter, meter, "recurring[meter]")?;
            }
            (_, Some(_)) => {
                return Err(Fault::invalid(
                    "recurring[meter]",
                    "Only a price whose usage_type is metered can have a meter.",
                ));
            }
            (_, None) => {}
        }
        let trial = params.int("trial_period_days");
        Ok(json!({
            "interval": interval,
            "interval_count": count,
            "meter": params.text_or_null("meter"),
            "trial_period_days": trial,
            "usage_type": usage_type,
        }))
    }

    /// Sees to it that no other price has the lookup key that a call gives.
    fn take_lookup_key(&mut self, params: &Params, id: &str) -> Result<(), Fault> {
        let Some(key) = params.text("lookup_key") else {
            return Ok(());
        };
        let holder = self
            .store
            .all(Kind::Price)
            .find(|price| price["lookup_key"] == key && price["id"] != id)
            .cloned();
        if let Some(mut holder) = holder {
            if params.flag("transfer_lookup_key") != Some(true) {
                return Err(Fault::invalid(
                    "lookup_key",
                    format!(
                        "A price (`{}`) already uses that lookup key.",
                        text(&holder["id"])
                    ),
                )
                .code("resource_already_exists"));
            }
            holder["lookup_key"] = Value::Null;
            self.changed(Kind::Price, holder, "price.updated");
        }
        Ok(())
    }
}

fn with_amounts(mut price: Value, params: &Params) -> Result<Value, Fault> {
    if price["billing_scheme"] == "tiered" {
        if params.has("unit_amount") || params.has("unit_amount_decimal") {
            return Err(Fault::invalid(
                "unit_amount",
                "A tiered price has its amounts in its tiers.",
            ));
        }
        if price["tiers_mode"].is_null() {
            return Err(Fault::missing_parameter("tiers_mode"));
        }
        price["tiers"] = tiers(params)?;
        price["unit_amount"] = Value::Null;
        price["unit_amount_decimal"] = Value::Null;
        return Ok(price);
    }
    if params.has("tiers") || params.has("tiers_mode") {
        return Err(Fault::invalid(
            "tiers",
            "Only a price whose billing_scheme is tiered can have tiers.",
        ));
    }
    let (amount, text) = amount(params, "unit_amount", "")?
        .ok_or_else(|| Fault::missing_parameter("unit_amount"))?;
    price["unit_amount"] = amount;
    price["unit_amount_decimal"] = text;
    if let Some(part) = params.part("transform_quantity") {
        let divide_by = part.int("divide_by").unwrap_or_default();
        if divide_by < 2 {
            return Err(Fault::invalid(
                "transform_quantity[divide_by]",
                "This value must be at least 2.",
            ));
        }
        price["transform_quantity"] = json!({"divide_by": divide_by, "round": part.0["round"]});
    }
    Ok(price)
}

/// Returns the amount in its two forms: as a whole number of cents, `null` if it is not one, and as a decimal text.
fn amount(params: &Params, name: &str, path: &str) -> Result<Option<(Value, Value)>, Fault> {
    let decimal_name = format!("{name}_decimal");
    let given = match (params.text(name), params.text(&decimal_name)) {
        (None, None) => return Ok(None),
        (Some(_), Some(_)) => {
            return Err(Fault::invalid(
                name,
                format!("You may only specify one of these parameters: {name}, {decimal_name}."),
            ));
        }
        (Some(one), None) | (None, Some(one)) => one,
    };
    let value = decimal(given).filter(|value| *value >= 0).ok_or_else(|| {
        Fault::invalid(
            &format!("{path}{name}"),
            format!("Invalid decimal: {given}"),
        )
    })?;
    let whole = if value % PICO == 0 {
        i64::try_from(value / PICO).map_or(Value::Null, Into::into)
    } else {
        Value::Null
    };
    Ok(Some((whole, decimal_text(value).into())))
}

fn tiers(params: &Params) -> Result<Value, Fault> {
    let given = params.parts("tiers").unwrap_or_default();
    let mut tiers = Vec::new();
    let mut last = 0;
    for (index, tier) in given.iter().enumerate() {
        let path = format!("tiers[{index}]");
        let up_to = match tier.text("up_to") {
            Some("inf") => Value::Null,
            Some(number) => number.parse::<i64>().map_or(Value::Null, Into::into),
            None => Value::Null,
        };
        let is_last = index + 1 == given.len();
        if up_to.is_null() != is_last || (!is_last && int(&up_to) <= last) {
            return Err(Fault::invalid(
                &format!("{path}[up_to]"),
                "Tiers must rise, and the last one, and no other, must go up to `inf`.",
            ));
        }
        last = int(&up_to);
        let nothing = (Value::Null, Value::Null);
        let (unit, unit_decimal) = amount(tier, "unit_amount", &path)?.unwrap_or(nothing.clone());
        let (flat, flat_decimal) = amount(tier, "flat_amount", &path)?.unwrap_or(nothing);
        if unit_decimal.is_null() && flat_decimal.is_null() {
            return Err(Fault::missing_parameter(&format!("{path}[unit_amount]")));
        }
        tiers.push(json!({
            "flat_amount": flat,
            "flat_amount_decimal": flat_decimal,
            "unit_amount": unit,
            "unit_amount_decimal": unit_decimal,
            "up_to": up_to,
        }));
    }
    if tiers.is_empty() {
        return Err(Fault::missing_parameter("tiers"));
    }
    Ok(tiers.into())
}
