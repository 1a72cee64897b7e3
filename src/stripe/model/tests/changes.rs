//! Changes inside a period: proration, changes that wait for payment, other intervals.

use super::{Api, DAY, HOUR, START, id, int};

#[test]
fn a_change_that_is_not_paid_waits_and_expires() {
    for pays in [true, false] {
        let mut api = Api::new();
        let customer = api.payer("pm_card_visa");
        let product = api.product("Pro");
        let (small, large) = (
            api.flat(&product, 1_000, "month"),
            api.flat(&product, 3_000, "month"),
        );
        let subscription = api.subscribe(&customer, &small);
        api.model.set_card(&customer, "4000000000000341").unwrap();
        api.model.take_events();
        let path = format!("/v1/subscriptions/{}", id(&subscription));
        let item = id(&subscription["items"]["data"][0]);
        let given = [
            ("items[0][id]", item.as_str()),
            ("items[0][price]", &large),
            ("proration_behavior", "always_invoice"),
            ("payment_behavior", "pending_if_incomplete"),
        ];
        let refusal = api.refused(&path, &[&given[..], &[("metadata[a]", "b")]].concat());
        assert_eq!(refusal.error["param"], "metadata");
        let waiting = api.post(&path, &given);
        assert_eq!(waiting["status"], "active");
        assert_eq!(waiting["items"]["data"][0]["price"]["id"], small.as_str());
        assert_eq!(waiting["pending_update"]["expires_at"], START + 23 * HOUR);
        let invoice = waiting["latest_invoice"].as_str().unwrap();
        let price = if pays {
            api.model.set_card(&customer, "4242424242424242").unwrap();
            api.post(&format!("/v1/invoices/{invoice}/pay"), &[]);
            assert!(
                api.told()
                    .contains(&"customer.subscription.pending_update_applied".to_owned())
            );
            &large
        } else {
            api.pass(23 * HOUR);
            assert!(
                api.told()
                    .contains(&"customer.subscription.pending_update_expired".to_owned())
            );
            assert_eq!(
                api.get(&format!("/v1/invoices/{invoice}"), &[])["status"],
                "void"
            );
            &small
        };
        let now = api.subscription(&subscription);
        assert_eq!(now["items"]["data"][0]["price"]["id"], price.as_str());
        assert!(now["pending_update"].is_null());
    }
}

#[test]
fn a_change_of_interval_begins_anew() {
    let mut api = Api::new();
    let customer = api.payer("pm_card_visa");
    let product = api.product("Pro");
    let (month, year) = (
        api.flat(&product, 3_100, "month"),
        api.flat(&product, 30_000, "year"),
    );
    let subscription = api.subscribe(&customer, &month);
    api.pass(10 * DAY);
    let item = id(&subscription["items"]["data"][0]);
    let path = format!("/v1/subscriptions/{}", id(&subscription));
    let given = [("items[0][id]", item.as_str()), ("items[0][price]", &year)];
    let preview = api.post(
        "/v1/invoices/create_preview",
        &[
            ("subscription", &id(&subscription)),
            ("subscription_details[items][0][id]", &item),
            ("subscription_details[items][0][price]", &year),
        ],
    );
    let changed = api.post(
        &path,
        &[&given[..], &[("expand[]", "latest_invoice")]].concat(),
    );
    // Of January's 31 days 21 are left.
    assert_eq!(changed["latest_invoice"]["total"], 30_000 - 2_100);
    assert_eq!(preview["total"], changed["latest_invoice"]["total"]);
    assert_eq!(changed["billing_cycle_anchor"], START + 10 * DAY);
    assert_eq!(
        changed["items"]["data"][0]["current_period_end"],
        START + 375 * DAY
    );
}

#[test]
fn prorations_wait_for_the_next_invoice_unless_told_otherwise() {
    for (behavior, lines, total) in [("create_prorations", 3, 2_000 - 1_500), ("none", 1, 2_000)] {
        let mut api = Api::new();
        let customer = api.payer("pm_card_visa");
        let product = api.product("Seats");
        let price = api.flat(&product, 1_000, "month");
        let subscription = api.post(
            "/v1/subscriptions",
            &[
                ("customer", &customer),
                ("items[0][price]", &price),
                ("items[0][quantity]", "5"),
            ],
        );
        let item = &subscription["items"]["data"][0];
        let end = int(&item["current_period_end"]);
        let at = (START + (end - START) / 2).to_string();
        api.pass(20 * DAY);
        // Half of the period with 5 seats is given back, half with 2 charged, if at all.
        let path = format!("/v1/subscriptions/{}", id(&subscription));
        let half = api.post(
            &path,
            &[
                ("items[0][id]", item["id"].as_str().unwrap()),
                ("items[0][quantity]", "2"),
                ("proration_behavior", behavior),
                ("proration_date", &at),
            ],
        );
        assert_eq!(half["items"]["data"][0]["quantity"], 2);
        api.model.advance(end);
        let invoice = api.newest_invoice(&customer);
        assert_eq!(invoice["lines"]["data"].as_array().unwrap().len(), lines);
        assert_eq!(invoice["total"], total);
    }
}

#[test]
fn a_metered_price_that_is_swapped_bills_what_it_counted() {
    let mut api = Api::new();
    let customer = api.payer("pm_card_visa");
    let usage = api.product("Calls");
    let meter = api.meter("calls");
    let (old, new) = (api.metered(&usage, &meter), api.metered(&usage, &meter));
    let subscription = api.subscribe(&customer, &old);
    let item = &subscription["items"]["data"][0];
    api.use_meter("calls", &customer, 300, "before");
    api.pass(DAY);
    api.post(
        &format!("/v1/subscriptions/{}", id(&subscription)),
        &[
            ("items[0][id]", item["id"].as_str().unwrap()),
            ("items[0][price]", &new),
        ],
    );
    api.use_meter("calls", &customer, 200, "after");
    api.model.advance(int(&item["current_period_end"]) + HOUR);
    let invoice = api.newest_invoice(&customer);
    assert_eq!(
        (&invoice["total"], &invoice["status"]),
        (&(400 + 200).into(), &"paid".into())
    );
}
