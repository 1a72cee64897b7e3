//! Prices of every form, lookup keys, coupons.

use super::{Api, DAY, Given, HOUR, Method, id};

/// The parameters of a price that say what it costs.
type Amounts<'a> = Vec<(&'a str, &'a str)>;

#[test]
fn each_form_of_price_has_its_amounts() {
    let tiers: Given = &[
        ("billing_scheme", "tiered"),
        ("tiers[0][up_to]", "10"),
        ("tiers[0][unit_amount]", "100"),
        ("tiers[1][up_to]", "inf"),
        ("tiers[1][unit_amount]", "50"),
        ("tiers[1][flat_amount]", "300"),
    ];
    let graduated = [tiers, &[("tiers_mode", "graduated")]].concat();
    let volume = [tiers, &[("tiers_mode", "volume")]].concat();
    let packages = vec![
        ("unit_amount", "500"),
        ("transform_quantity[divide_by]", "10"),
        ("transform_quantity[round]", "up"),
    ];
    let rounded_down = vec![
        ("unit_amount", "500"),
        ("transform_quantity[divide_by]", "10"),
        ("transform_quantity[round]", "down"),
    ];
    let cases: [(Amounts, &str, i64); 10] = [
        (vec![("unit_amount", "250")], "3", 750),
        (vec![("unit_amount_decimal", "0.05")], "30", 2),
        (vec![("unit_amount_decimal", "0.05")], "29", 1),
        (vec![("unit_amount_decimal", "12.5")], "3", 38),
        (packages, "11", 1_000),
        (rounded_down, "19", 500),
        (graduated.clone(), "10", 1_000),
        (graduated, "12", 1_000 + 100 + 300),
        (volume.clone(), "10", 1_000),
        (volume, "12", 600 + 300),
    ];
    for (amounts, quantity, expected) in cases {
        let mut api = Api::new();
        let product = api.product("Seats");
        let mut given = vec![
            ("product", product.as_str()),
            ("currency", "usd"),
            ("recurring[interval]", "month"),
        ];
        given.extend(amounts.clone());
        let price = id(&api.post("/v1/prices", &given));
        let customer = api.payer("pm_card_visa");
        let given = [
            ("customer", customer.as_str()),
            ("items[0][price]", &price),
            ("items[0][quantity]", quantity),
        ];
        api.post("/v1/subscriptions", &given);
        let invoice = api.newest_invoice(&customer);
        assert_eq!(invoice["subtotal"], expected, "{amounts:?} for {quantity}");
    }
}

#[test]
fn prices_that_make_no_sense_are_refused() {
    let recurring = ("recurring[interval]", "month");
    let cases: [(Given, &str); 8] = [
        (&[recurring], "unit_amount"),
        (
            &[("unit_amount", "1"), ("unit_amount_decimal", "1")],
            "unit_amount",
        ),
        (&[("unit_amount_decimal", "1.2.3")], "unit_amount"),
        (
            &[
                ("unit_amount", "1"),
                recurring,
                ("recurring[usage_type]", "metered"),
            ],
            "recurring[meter]",
        ),
        (
            &[
                ("unit_amount", "1"),
                recurring,
                ("recurring[interval_count]", "37"),
            ],
            "recurring[interval_count]",
        ),
        (&[("billing_scheme", "tiered")], "tiers_mode"),
        (
            &[
                ("billing_scheme", "tiered"),
                ("tiers_mode", "volume"),
                ("tiers[0][up_to]", "5"),
                ("tiers[0][unit_amount]", "1"),
            ],
            "tiers[0][up_to]",
        ),
        (
            &[
                ("unit_amount", "1"),
                ("transform_quantity[divide_by]", "1"),
                ("transform_quantity[round]", "up"),
            ],
            "transform_quantity[divide_by]",
        ),
    ];
    for (more, param) in cases {
        let mut api = Api::new();
        let product = api.product("Pro");
        let given = [&[("product", product.as_str()), ("currency", "usd")], more].concat();
        let refusal = api.refused("/v1/prices", &given);
        assert_eq!(refusal.error["param"], param);
    }
}

#[test]
fn a_lookup_key_has_one_price() {
    let mut api = Api::new();
    let product = api.product("Pro");
    let given = [
        ("product", product.as_str()),
        ("currency", "usd"),
        ("unit_amount", "100"),
        ("lookup_key", "pro"),
    ];
    let first = id(&api.post("/v1/prices", &given));
    assert_eq!(
        api.refused("/v1/prices", &given).error["param"],
        "lookup_key"
    );
    let given = [&given[..], &[("transfer_lookup_key", "true")]].concat();
    let second = id(&api.post("/v1/prices", &given));
    let found = api.get("/v1/prices", &[("lookup_keys[]", "pro")]);
    assert_eq!(found["data"].as_array().unwrap().len(), 1);
    assert_eq!(found["data"][0]["id"], second.as_str());
    assert!(api.get(&format!("/v1/prices/{first}"), &[])["lookup_key"].is_null());
}

#[test]
fn tiers_are_shown_where_a_call_asks() {
    let mut api = Api::new();
    let product = api.product("Calls");
    let meter = api.meter("calls");
    let price = api.metered(&product, &meter);
    let path = format!("/v1/prices/{price}");
    assert!(api.get(&path, &[])["tiers"].is_null());
    assert_eq!(
        api.get(&path, &[("expand[]", "tiers")])["tiers"][0]["up_to"],
        100
    );
    let list = api.get("/v1/prices", &[("expand[]", "data.tiers")]);
    assert!(list["data"][0]["tiers"][1]["up_to"].is_null());
    assert_eq!(list["data"][0]["tiers"][1]["unit_amount_decimal"], "2");
}

#[test]
fn coupons_hold_for_their_duration() {
    let cases: [(Given, [i64; 3]); 4] = [
        (
            &[("percent_off", "25"), ("duration", "forever")],
            [750, 750, 750],
        ),
        (
            &[
                ("amount_off", "300"),
                ("currency", "usd"),
                ("duration", "once"),
            ],
            [700, 1_000, 1_000],
        ),
        (
            &[
                ("percent_off", "12.5"),
                ("duration", "repeating"),
                ("duration_in_months", "2"),
            ],
            [875, 875, 1_000],
        ),
        (
            &[("percent_off", "100"), ("duration", "once")],
            [0, 1_000, 1_000],
        ),
    ];
    for (given, totals) in cases {
        let mut api = Api::new();
        let coupon = id(&api.post("/v1/coupons", given));
        let product = api.product("Pro");
        let price = api.flat(&product, 1_000, "month");
        let customer = api.payer("pm_card_visa");
        api.post(
            "/v1/subscriptions",
            &[
                ("customer", &customer),
                ("items[0][price]", &price),
                ("discounts[0][coupon]", &coupon),
            ],
        );
        for total in totals {
            assert_eq!(api.newest_invoice(&customer)["total"], total, "{given:?}");
            api.pass(31 * DAY + HOUR);
        }
    }
}

#[test]
fn a_coupon_of_a_product_leaves_other_lines_alone() {
    let mut api = Api::new();
    let (plan, extra) = (api.product("Plan"), api.product("Extra"));
    let (one, two) = (
        api.flat(&plan, 1_000, "month"),
        api.flat(&extra, 400, "month"),
    );
    let coupon = id(&api.post(
        "/v1/coupons",
        &[
            ("percent_off", "100"),
            ("duration", "forever"),
            ("applies_to[products][0]", &plan),
        ],
    ));
    let customer = api.payer("pm_card_visa");
    api.post(
        "/v1/subscriptions",
        &[
            ("customer", &customer),
            ("items[0][price]", &one),
            ("items[1][price]", &two),
            ("discounts[0][coupon]", &coupon),
        ],
    );
    let invoice = api.newest_invoice(&customer);
    assert_eq!(
        (&invoice["subtotal"], &invoice["total"]),
        (&1_400.into(), &400.into())
    );
    assert_eq!(
        invoice["lines"]["data"][0]["discount_amounts"][0]["amount"],
        1_000
    );
    assert!(
        invoice["lines"]["data"][1]["discount_amounts"]
            .as_array()
            .unwrap()
            .is_empty()
    );
    let path = format!("/v1/coupons/{coupon}");
    assert!(api.get(&path, &[])["applies_to"].is_null());
    let shown = api
        .send(Method::Get, &path, &[("expand[]", "applies_to")], None)
        .unwrap();
    assert_eq!(shown["applies_to"]["products"][0], plan.as_str());
}

#[test]
fn a_product_that_was_deleted_can_come_back() {
    let mut api = Api::new();
    let given = [("id", "prod_mine"), ("name", "Mine")];
    api.post("/v1/products", &given);
    assert_eq!(
        api.refused("/v1/products", &given).error["code"],
        "resource_already_exists"
    );
    api.delete("/v1/products/prod_mine", &[]);
    api.post("/v1/products", &given);
    assert_eq!(
        api.get("/v1/products", &[])["data"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}
