use super::setting::{Setting, cause, customer, labels, plan, request, start};
use crate::domain::decision::Reason;
use crate::domain::time::Span;
use crate::engine::{Profile, ProfileChange};
use crate::storage::{CustomerQuery, EventQuery, ReservationQuery, Store};

fn named(name: &str) -> ProfileChange {
    ProfileChange {
        display_name: Some(Box::from(name)),
        ..ProfileChange::default()
    }
}

#[tokio::test]
async fn an_update_changes_what_it_names_and_nothing_else() {
    let setting = Setting::new().await;
    let (engine, acme) = (&setting.engine, customer("acme"));
    setting.pass(1, 0);
    let update = engine.update_customer("t", request("r"), &acme, named("Bea"));
    let updated = update.await.unwrap();
    assert_eq!(&*updated.display_name, "Bea");
    assert_eq!(&*updated.email, "ann@example.org");
    assert_eq!(updated.update_time, start().plus(Span::from_days(1)));
    assert_eq!(engine.get_customer(&acme).await.unwrap().0, updated);

    setting.pass(1, 0);
    let repeat = engine.update_customer("t", request("r"), &acme, named("Bea"));
    assert_eq!(repeat.await.unwrap(), updated, "the first answer again");
    let same = engine.update_customer("t", request("s"), &acme, named("Bea"));
    assert_eq!(same.await.unwrap(), updated, "nothing to change");
    let other = engine.update_customer("t", request("r"), &acme, named("Cem"));
    assert_eq!(cause(other.await), "request reused");
    let unknown = customer("nobody");
    let nobody = engine.update_customer("t", request("u"), &unknown, named("Cem"));
    assert_eq!(cause(nobody.await), "no customer");
}

#[tokio::test]
async fn updates_of_one_batch_are_written_once() {
    let setting = Setting::new().await;
    let (engine, acme) = (&setting.engine, customer("acme"));
    let metadata = ProfileChange {
        metadata: Some(labels(&[("k", "v")])),
        ..ProfileChange::default()
    };
    let (first, second) = tokio::join!(
        engine.update_customer("t", request("a"), &acme, named("Bea")),
        engine.update_customer("t", request("b"), &acme, metadata),
    );
    first.unwrap();
    let last = second.unwrap();
    assert_eq!((&*last.display_name, last.metadata.len()), ("Bea", 1));
    assert_eq!(engine.get_customer(&acme).await.unwrap().0, last);
}

#[tokio::test]
async fn a_deleted_customer_is_forgotten_and_its_books_are_kept() {
    let setting = Setting::new().await;
    let (engine, acme) = (&setting.engine, customer("acme"));
    setting.used(40).await;
    assert!(setting.hold(30, None).await);
    let percent = "20".parse().unwrap();
    let set = engine.set_discount("t", setting.fresh(), &acme, percent);
    assert_eq!(set.await.unwrap().discount, percent);
    let deleted = engine.delete_customer("t", request("r"), &acme).await;
    let repeat = engine.delete_customer("t", request("r"), &acme).await;
    assert_eq!(deleted.unwrap(), repeat.unwrap());

    assert_eq!(cause(engine.get_customer(&acme).await), "no customer");
    let query = CustomerQuery {
        id: Some(acme.clone()),
        deleted: true,
        limit: 1,
        ..CustomerQuery::default()
    };
    let (row, _) = setting
        .store
        .customers(query)
        .await
        .unwrap()
        .items
        .remove(0);
    assert!(row.display_name.is_empty() && row.email.is_empty() && row.metadata.is_empty());
    assert!(row.delete_time.is_some());
    assert_eq!(row.discount, percent);
    let query = ReservationQuery {
        customer: acme.clone(),
        id: None,
        subaccount: None,
        state: None,
        holder: None,
        after: None,
        limit: 9,
    };
    let held = setting.store.reservations(query).await.unwrap().items;
    assert_eq!(
        held[0].state,
        crate::domain::reservation::ReservationState::Released
    );
    let query = EventQuery {
        customer: acme.clone(),
        subaccount: None,
        meter: None,
        range: crate::domain::window::TimeRange::ALWAYS,
        dimensions: labels(&[]),
        ids: Vec::new(),
        reservation: None,
        standing: false,
        after: None,
        limit: 9,
    };
    assert_eq!(setting.store.events(query).await.unwrap().items.len(), 1);
    setting.counters_are_right().await;
}

#[tokio::test]
async fn a_deleted_customer_takes_nothing_any_more() {
    let setting = Setting::new().await;
    let (engine, acme) = (&setting.engine, customer("acme"));
    let deleted = engine.delete_customer("t", request("r"), &acme).await;
    deleted.unwrap();
    assert_eq!(
        setting.look("tokens", None).await.reason,
        Reason::CustomerUnknown
    );
    let again = engine.delete_customer("t", request("s"), &acme).await;
    assert_eq!(cause(again), "deleted");
    let update = engine.update_customer("t", request("u"), &acme, named("Bea"));
    assert_eq!(cause(update.await), "deleted");
    let create = engine.create_customer("t", request("c"), acme, Profile::default());
    assert_eq!(cause(create.await), "deleted");
}

#[tokio::test]
async fn customers_are_found_by_the_plan_in_force() {
    let setting = Setting::new().await;
    setting.create("bolt").await;
    setting.assign(plan("carry")).await.unwrap();
    for (plan, expected) in [("carry", "acme"), ("free", "bolt")] {
        let plan = crate::domain::id::PlanId::new(plan).unwrap();
        let query = CustomerQuery {
            plan: Some(setting.engine.plan_in_force(plan.clone())),
            limit: 5,
            ..CustomerQuery::default()
        };
        let found = setting.engine.list_customers(query).await.unwrap().items;
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].0.id.as_str(), expected);
        assert_eq!(setting.engine.plan_of(found[0].1.as_ref()), Some(plan));
    }
}

#[tokio::test]
async fn a_stated_anchor_lays_out_windows_until_a_subscription_does() {
    let setting = Setting::new().await;
    let profile = Profile {
        billing_anchor: Some(start().plus(Span::from_days(5))),
        ..Profile::default()
    };
    let id = customer("bolt");
    let create = |request, profile| {
        setting
            .engine
            .create_customer("t", request, id.clone(), profile)
    };
    create(request("a"), profile.clone()).await.unwrap();
    let standing = setting.engine.get_subscription(&id).await.unwrap();
    assert_eq!(Some(standing.period.end), profile.billing_anchor);
    create(request("b"), profile).await.unwrap();
    let other = Profile {
        billing_anchor: Some(start()),
        ..Profile::default()
    };
    assert_eq!(cause(create(request("c"), other).await), "other customer");
}
