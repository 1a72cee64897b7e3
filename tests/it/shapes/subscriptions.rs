//! Customers, checkout, the portal, subscriptions and their schedules.

use bursar::stripe::gateway::{
    CancelNow, CheckoutPage, Cursor, CustomerChange, Interval, ItemChange, NewCustomer, NewItem,
    NewPhase, NewPortalSession, NewSubscription, PauseBehavior, PaymentBehavior, PaymentItem,
    PaymentTerms, PhaseEnd, PhasePlan, Proration, SubscriptionChange, SubscriptionFilter,
    SubscriptionTerms, Trial, WithoutPayment,
};

use super::rig::{Rig, metadata};

const PRORATIONS: [Proration; 3] = [
    Proration::NextInvoice,
    Proration::InvoiceNow,
    Proration::None,
];

pub async fn call(rig: &Rig) {
    customers(rig).await;
    checkout(rig).await;
    made(rig).await;
    changed(rig).await;
    ended(rig).await;
    schedules(rig).await;
}

fn items() -> Vec<NewItem> {
    vec![
        NewItem {
            price: "price_fixed".to_owned(),
            quantity: Some(2),
        },
        NewItem {
            price: "price_metered".to_owned(),
            quantity: None,
        },
    ]
}

async fn customers(rig: &Rig) {
    let stripe = &rig.gateway;
    let new = NewCustomer {
        ours: "acme".to_owned(),
        name: Some("Ann & Co".to_owned()),
        email: Some("a+b@example.com".to_owned()),
        payment_method: None,
        metadata: metadata(),
    };
    let paying = NewCustomer {
        payment_method: Some("pm_card_visa".to_owned()),
        ..new.clone()
    };
    rig.note(
        "create_customer",
        stripe.create_customer(&paying, "k").await,
    );
    rig.note("create_customer", stripe.create_customer(&new, "k").await);
    rig.note("delete_customer", stripe.delete_customer("cus_1").await);
    rig.note("retrieve_customer", stripe.retrieve_customer("cus_1").await);
    let change = CustomerChange {
        name: Some("Ann".to_owned()),
        email: Some("c@example.com".to_owned()),
        default_payment_method: Some("pm_1".to_owned()),
        metadata: metadata(),
    };
    rig.note(
        "update_customer",
        stripe.update_customer("cus_1", &change, "k").await,
    );
    rig.note(
        "list_customers",
        stripe.list_customers(None, Cursor::FIRST).await,
    );
    let mail = Some("a+b@example.com");
    rig.note(
        "list_customers",
        stripe.list_customers(mail, Cursor::after("cus_1")).await,
    );
}

async fn checkout(rig: &Rig) {
    let stripe = &rig.gateway;
    let page = CheckoutPage {
        customer: "cus_1".to_owned(),
        success_url: "https://example.com/ok?cs={CHECKOUT_SESSION_ID}".to_owned(),
        cancel_url: Some("https://example.com/no".to_owned()),
        client_reference_id: Some("acme".to_owned()),
        coupons: vec!["bursar_free_3".to_owned()],
        expires_at: Some(1_795_219_330),
        metadata: metadata(),
    };
    for trial_days in [None, Some(14)] {
        let terms = SubscriptionTerms {
            items: items(),
            trial_days,
        };
        let answer = stripe
            .create_subscription_checkout(&page, &terms, "k")
            .await;
        rig.note("create_subscription_checkout", answer);
    }
    let least = CheckoutPage {
        customer: "cus_1".to_owned(),
        success_url: "https://example.com/ok".to_owned(),
        ..CheckoutPage::default()
    };
    for (page, keep_method) in [
        (&page, true),
        (&page, false),
        (&least, true),
        (&least, false),
    ] {
        let terms = PaymentTerms {
            items: payment_items(),
            keep_method,
        };
        let answer = stripe.create_payment_checkout(page, &terms, "k").await;
        rig.note("create_payment_checkout", answer);
    }
    let answer = stripe.retrieve_checkout_session("cs_test_1").await;
    rig.note("retrieve_checkout_session", answer);
    let answer = stripe.expire_checkout_session("cs_test_1", "k").await;
    rig.note("expire_checkout_session", answer);
    let session = NewPortalSession {
        customer: "cus_1".to_owned(),
        configuration: Some("bpc_1".to_owned()),
        return_url: Some("https://example.com/account".to_owned()),
    };
    rig.note(
        "create_portal_session",
        stripe.create_portal_session(&session, "k").await,
    );
}

pub fn payment_items() -> Vec<PaymentItem> {
    vec![
        PaymentItem::Price {
            price: "price_pack".to_owned(),
            quantity: 3,
        },
        PaymentItem::Amount {
            cents: 1234,
            name: "A report".to_owned(),
        },
    ]
}

async fn made(rig: &Rig) {
    let stripe = &rig.gateway;
    let trial = |without_payment| {
        Some(Trial {
            days: 14,
            without_payment,
        })
    };
    for (trial, payment_behavior) in [
        (None, PaymentBehavior::AllowIncomplete),
        (
            trial(WithoutPayment::Cancel),
            PaymentBehavior::DefaultIncomplete,
        ),
        (
            trial(WithoutPayment::Pause),
            PaymentBehavior::ErrorIfIncomplete,
        ),
        (
            trial(WithoutPayment::Invoice),
            PaymentBehavior::PendingIfIncomplete,
        ),
    ] {
        let new = NewSubscription {
            customer: "cus_1".to_owned(),
            items: items(),
            trial,
            coupons: vec!["bursar_free_3".to_owned()],
            default_payment_method: Some("pm_1".to_owned()),
            payment_behavior,
            metadata: metadata(),
        };
        rig.note(
            "create_subscription",
            stripe.create_subscription(&new, "k").await,
        );
    }
    rig.note(
        "retrieve_subscription",
        stripe.retrieve_subscription("sub_1").await,
    );
    let of_one = SubscriptionFilter {
        customer: Some("cus_1"),
        price: Some("price_1"),
    };
    for filter in [SubscriptionFilter::default(), of_one] {
        let answer = stripe
            .list_subscriptions(filter, Cursor::after("sub_1"))
            .await;
        rig.note("list_subscriptions", answer);
    }
}

pub fn item_changes() -> Vec<ItemChange> {
    vec![
        ItemChange::Change {
            item: "si_1".to_owned(),
            price: Some("price_new".to_owned()),
            quantity: Some(2),
        },
        ItemChange::Remove {
            item: "si_2".to_owned(),
        },
        ItemChange::Add {
            price: "price_metered".to_owned(),
            quantity: None,
        },
    ]
}

async fn changed(rig: &Rig) {
    let stripe = &rig.gateway;
    for proration in PRORATIONS {
        let upgrade = SubscriptionChange {
            items: item_changes(),
            proration: Some(proration),
            proration_date: Some(1_795_219_330),
            payment_behavior: Some(PaymentBehavior::PendingIfIncomplete),
            ..SubscriptionChange::default()
        };
        let answer = stripe.update_subscription("sub_1", &upgrade, "k").await;
        rig.note("update_subscription", answer);
        for time in [None, Some(1_795_219_330)] {
            let answer = stripe.set_cancel_at("sub_1", time, proration, "k").await;
            rig.note("set_cancel_at", answer);
        }
        let answer = stripe.resume_subscription("sub_1", proration, "k").await;
        rig.note("resume_subscription", answer);
    }
    let rest = SubscriptionChange {
        trial_end: Some(1_795_219_330),
        coupons: vec!["bursar_free_3".to_owned()],
        default_payment_method: Some("pm_1".to_owned()),
        metadata: metadata(),
        ..SubscriptionChange::default()
    };
    rig.note(
        "update_subscription",
        stripe.update_subscription("sub_1", &rest, "k").await,
    );
}

async fn ended(rig: &Rig) {
    let stripe = &rig.gateway;
    for yes in [true, false] {
        let answer = stripe.set_cancel_at_period_end("sub_1", yes, "k").await;
        rig.note("set_cancel_at_period_end", answer);
        let how = CancelNow {
            invoice_now: yes,
            prorate: !yes,
        };
        rig.note(
            "cancel_subscription",
            stripe.cancel_subscription("sub_1", how).await,
        );
        rig.note(
            "cancel_schedule",
            stripe.cancel_schedule("sub_sched_1", how, "k").await,
        );
    }
    for behavior in [
        PauseBehavior::KeepAsDraft,
        PauseBehavior::MarkUncollectible,
        PauseBehavior::Void,
    ] {
        let resumes_at = (behavior == PauseBehavior::Void).then_some(1_795_219_330);
        let answer = stripe
            .pause_collection("sub_1", behavior, resumes_at, "k")
            .await;
        rig.note("pause_collection", answer);
    }
    rig.note(
        "resume_collection",
        stripe.resume_collection("sub_1", "k").await,
    );
}

async fn schedules(rig: &Rig) {
    let stripe = &rig.gateway;
    rig.note(
        "create_schedule",
        stripe.create_schedule("sub_1", "k").await,
    );
    rig.note(
        "retrieve_schedule",
        stripe.retrieve_schedule("sub_sched_1").await,
    );
    let phase = |start, end| NewPhase {
        start,
        end,
        items: items(),
        coupons: vec!["bursar_free_3".to_owned()],
        trial_end: None,
        proration: Proration::None,
        metadata: metadata(),
    };
    for (cancel_at_end, last) in [
        (true, PhaseEnd::After(Interval::Month, 3)),
        (false, PhaseEnd::Period),
        (false, PhaseEnd::After(Interval::Year, 1)),
    ] {
        let mut first = phase(Some(1_795_219_330), PhaseEnd::At(1_797_811_330));
        first.trial_end = Some(1_795_919_330);
        let plan = PhasePlan {
            phases: vec![first, phase(None, last)],
            cancel_at_end,
            proration: Proration::None,
            metadata: metadata(),
        };
        let answer = stripe.update_schedule("sub_sched_1", &plan, "k").await;
        rig.note("update_schedule", answer);
    }
    rig.note(
        "release_schedule",
        stripe.release_schedule("sub_sched_1", "k").await,
    );
}
