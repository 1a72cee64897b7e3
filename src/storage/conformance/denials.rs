//! The denial log.

use super::fixture::{between, customer_id, minute};
use super::lists::read;
use crate::domain::id::FeatureId;
use crate::domain::window::TimeRange;
use crate::storage::{Denial, DenialQuery, Store};

fn denial(feature: &str, reason: &str, at: i64, count: i64, sample: &str) -> Denial {
    Denial {
        customer: customer_id("nobody"),
        feature: FeatureId::new(feature).unwrap(),
        reason: Box::from(reason),
        minute: minute(at),
        count,
        sample: Box::from(sample),
    }
}

pub(super) fn denials_of(customer: &str) -> DenialQuery {
    DenialQuery {
        customer: customer_id(customer),
        feature: None,
        reason: None,
        range: TimeRange::ALWAYS,
        after: None,
        limit: 2,
    }
}

pub(super) async fn denials(store: &dyn Store, query: DenialQuery) -> Vec<Denial> {
    read(query.limit, async |after| {
        let query = DenialQuery {
            after,
            ..query.clone()
        };
        store.denials(query).await.unwrap()
    })
    .await
}

pub async fn denials_are_summed_and_listed(store: &dyn Store) {
    let first = vec![
        denial("chat", "LIMIT_REACHED", 1, 2, "old"),
        denial("chat", "LIMIT_REACHED", 2, 1, "next minute"),
        denial("chat", "FEATURE_UNKNOWN", 1, 4, "other reason"),
        denial("a/b", "LIMIT_REACHED", 1, 8, "other feature"),
        denial("chat", "LIMIT_REACHED", 1, 16, "same list"),
    ];
    store.log_denials(first).await.unwrap();
    store
        .log_denials(vec![denial("chat", "LIMIT_REACHED", 1, 32, "new")])
        .await
        .unwrap();
    store.log_denials(Vec::new()).await.unwrap();
    let all = [
        denial("chat", "LIMIT_REACHED", 2, 1, "next minute"),
        denial("a/b", "LIMIT_REACHED", 1, 8, "other feature"),
        denial("chat", "FEATURE_UNKNOWN", 1, 4, "other reason"),
        denial("chat", "LIMIT_REACHED", 1, 50, "new"),
    ];
    for limit in [1, 2, 3, 4, 9] {
        let mut query = denials_of("nobody");
        query.limit = limit;
        assert_eq!(denials(store, query).await, all, "{limit} a page");
    }
    let mut query = denials_of("nobody");
    query.range = between(1, 2);
    assert_eq!(denials(store, query.clone()).await, all[1..]);
    query.feature = Some(FeatureId::new("chat").unwrap());
    assert_eq!(denials(store, query.clone()).await, all[2..]);
    query.reason = Some(Box::from("LIMIT_REACHED"));
    assert_eq!(denials(store, query).await, all[3..]);
}
