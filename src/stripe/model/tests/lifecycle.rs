//! One customer's way: checkout, use, renewal, upgrade, downgrade, a failed payment, recovery, the end.

use serde_json::Value;

use super::{Api, DAY, HOUR, id, int};

/// What the acts of the story share.
struct Story {
    api: Api,
    customer: String,
    small: String,
    large: String,
    metered: String,
    subscription: Value,
}

#[test]
fn a_subscription_lives_from_checkout_to_its_end() {
    let mut story = Story::begin();
    story.uses_and_renews();
    story.upgrades();
    let schedule = story.downgrades_and_fails();
    story.recovers();
    story.ends(&schedule);
}

impl Story {
    /// The customer pays at a checkout page.
    fn begin() -> Self {
        let mut api = Api::new();
        let (product, usage) = (api.product("Pro"), api.product("Calls"));
        let meter = api.meter("calls");
        let (small, large) = (
            api.flat(&product, 1_000, "month"),
            api.flat(&product, 3_000, "month"),
        );
        let metered = api.metered(&usage, &meter);
        let customer = id(&api.post("/v1/customers", &[("email", "a@example.com")]));
        let given = [
            ("mode", "subscription"),
            ("customer", &customer),
            ("client_reference_id", "c1"),
            ("line_items[0][price]", &small),
            ("line_items[0][quantity]", "1"),
            ("line_items[1][price]", &metered),
            ("subscription_data[metadata][plan]", "pro"),
            ("success_url", "https://example.com/ok"),
        ];
        let session = api.post("/v1/checkout/sessions", &given);
        assert_eq!(session["amount_total"], 1_000);
        api.model.take_events();
        api.model
            .complete_checkout(&id(&session), "4242424242424242")
            .unwrap();
        let told = api.told();
        for kind in [
            "customer.subscription.created",
            "invoice.created",
            "invoice.finalized",
            "charge.succeeded",
            "payment_intent.succeeded",
            "invoice.paid",
            "invoice.payment_succeeded",
            "customer.subscription.updated",
            "checkout.session.completed",
        ] {
            assert_eq!(
                told.iter().filter(|one| *one == kind).count(),
                1,
                "{kind} in {told:?}"
            );
        }
        let session = api.get(&format!("/v1/checkout/sessions/{}", id(&session)), &[]);
        assert_eq!(
            (&session["status"], &session["payment_status"]),
            (&"complete".into(), &"paid".into())
        );
        let path = format!(
            "/v1/subscriptions/{}",
            session["subscription"].as_str().unwrap()
        );
        let subscription = api.get(&path, &[]);
        assert_eq!(subscription["status"], "active");
        assert_eq!(subscription["metadata"]["plan"], "pro");
        assert_eq!(subscription["billing_mode"]["type"], "flexible");
        Self {
            api,
            customer,
            small,
            large,
            metered,
            subscription,
        }
    }

    fn path(&self) -> String {
        format!("/v1/subscriptions/{}", id(&self.subscription))
    }

    fn now(&mut self) -> Value {
        self.api.subscription(&self.subscription)
    }

    /// 350 calls, of which 250 cost 2 cents, and 10 more that come when the period is over: they count until the invoice
    /// is final.
    fn uses_and_renews(&mut self) {
        let api = &mut self.api;
        api.pass(10 * DAY);
        api.use_meter("calls", &self.customer, 300, "u1");
        api.use_meter("calls", &self.customer, 50, "u2");
        let end = int(&self.subscription["items"]["data"][0]["current_period_end"]);
        api.model.advance(end);
        assert_eq!(api.newest_invoice(&self.customer)["status"], "draft");
        let before = (end - 10).to_string();
        let late = [
            ("event_name", "calls"),
            ("payload[stripe_customer_id]", &self.customer),
            ("payload[value]", "10"),
            ("timestamp", &before),
        ];
        api.post("/v1/billing/meter_events", &late);
        api.pass(HOUR);
        let invoice = api.newest_invoice(&self.customer);
        assert_eq!(invoice["status"], "paid");
        assert_eq!(invoice["billing_reason"], "subscription_cycle");
        assert_eq!(invoice["total"], 1_000 + 260 * 2);
    }

    /// Halfway, half of 10 dollars comes back and half of 30 is charged.
    fn upgrades(&mut self) {
        let now = self.now();
        let item = &now["items"]["data"][0];
        let (start, end) = (
            int(&item["current_period_start"]),
            int(&item["current_period_end"]),
        );
        self.api.model.advance(start + (end - start) / 2);
        let given = [
            ("items[0][id]", item["id"].as_str().unwrap()),
            ("items[0][price]", &self.large),
            ("proration_behavior", "always_invoice"),
            ("payment_behavior", "pending_if_incomplete"),
            ("expand[]", "latest_invoice"),
        ];
        let path = self.path();
        let upgraded = self.api.post(&path, &given);
        assert_eq!(
            upgraded["items"]["data"][0]["price"]["id"],
            self.large.as_str()
        );
        assert_eq!(upgraded["latest_invoice"]["total"], 1_000);
        assert_eq!(upgraded["latest_invoice"]["status"], "paid");
        assert_eq!(
            upgraded["latest_invoice"]["lines"]["data"][0]["amount"],
            -500
        );
        assert!(upgraded["pending_update"].is_null());
    }

    /// The smaller plan begins with the next period, whose payment fails.
    fn downgrades_and_fails(&mut self) -> String {
        let now = self.now();
        let item = &now["items"]["data"][0];
        let (start, end) = (
            &item["current_period_start"],
            int(&item["current_period_end"]),
        );
        let (start, end_text) = (start.to_string(), end.to_string());
        let given = [(
            "from_subscription",
            self.subscription["id"].as_str().unwrap(),
        )];
        let schedule = id(&self.api.post("/v1/subscription_schedules", &given));
        let given = [
            ("end_behavior", "release"),
            ("phases[0][items][0][price]", self.large.as_str()),
            ("phases[0][items][1][price]", &self.metered),
            ("phases[0][start_date]", &start),
            ("phases[0][end_date]", &end_text),
            ("phases[1][items][0][price]", &self.small),
            ("phases[1][items][1][price]", &self.metered),
            ("phases[1][duration][interval]", "month"),
            ("phases[1][duration][interval_count]", "1"),
            ("phases[1][proration_behavior]", "none"),
        ];
        self.api
            .post(&format!("/v1/subscription_schedules/{schedule}"), &given);
        self.api
            .model
            .set_card(&self.customer, "4000000000000341")
            .unwrap();
        let path = self.path();
        self.api.post(&path, &[("default_payment_method", "")]);
        self.api.model.take_events();
        self.api.model.advance(end + HOUR);
        let now = self.now();
        assert_eq!(now["items"]["data"][0]["price"]["id"], self.small.as_str());
        assert_eq!(now["latest_invoice"]["total"], 1_000);
        assert_eq!(now["latest_invoice"]["status"], "open");
        assert_eq!(now["latest_invoice"]["attempt_count"], 1);
        assert_eq!(now["status"], "past_due");
        assert!(
            self.api
                .told()
                .contains(&"invoice.payment_failed".to_owned())
        );
        schedule
    }

    /// The next try finds a good card.
    fn recovers(&mut self) {
        self.api
            .model
            .set_card(&self.customer, "4242424242424242")
            .unwrap();
        self.api.pass(3 * DAY);
        let now = self.now();
        assert_eq!(now["status"], "active");
        assert_eq!(now["latest_invoice"]["attempt_count"], 2);
    }

    /// The schedule lets go of the subscription, which ends with a later period.
    fn ends(&mut self, schedule: &str) {
        self.api.pass(31 * DAY);
        let schedule = self
            .api
            .get(&format!("/v1/subscription_schedules/{schedule}"), &[]);
        assert_eq!(schedule["status"], "released");
        assert!(self.now()["schedule"].is_null());
        let path = self.path();
        let canceling = self.api.post(&path, &[("cancel_at_period_end", "true")]);
        self.api.model.advance(int(&canceling["cancel_at"]));
        let ended = self.now();
        assert_eq!(ended["status"], "canceled");
        assert_eq!(
            ended["cancellation_details"]["reason"],
            "cancellation_requested"
        );
        assert!(
            self.api
                .told()
                .contains(&"customer.subscription.deleted".to_owned())
        );
    }
}
