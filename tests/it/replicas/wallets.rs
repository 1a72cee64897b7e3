//! Wallets are one on all replicas: what one of them did, the next sees at once, and together they spend what there is.

use std::sync::Arc;
use std::time::Duration;

use bursar::grpc::pb;
use tokio::task::JoinSet;

use super::fleet::{Fleet, cluster, run};
use crate::wallet::{CATALOG, Clients, USD, refusal};

const MINUTE: Duration = Duration::from_mins(1);
const TASKS: usize = 64;

/// Starts three replicas with the customer `acme` and its agent `bot`, and clients of each.
async fn start() -> (Fleet, [Clients; 3]) {
    let fleet = Fleet::with(cluster(), 3, CATALOG, |_| {}).await;
    let requests = Arc::default();
    let client = async |replica| {
        let channel = fleet.channel(replica).await;
        Clients::on(channel, Arc::clone(&requests))
    };
    let mut clients = [client(0).await, client(1).await, client(2).await];
    clients[0].create("acme").await;
    (fleet, clients)
}

#[test]
fn what_one_replica_moves_the_others_see_at_once() {
    run(MINUTE, async {
        let (_fleet, mut to) = start().await;
        for round in 0_i64..12 {
            to.rotate_left(1);
            let [one, two, three] = &mut to;
            let (own, bots) = (14 * USD * round, 2 * USD * round);
            one.grant("", 20 * USD).await;
            assert_eq!(two.balance("").await, (own + 20 * USD, 0, 0));
            three.debit("", USD).await.unwrap();
            let held = two.hold("", 5 * USD).await.unwrap();
            assert_eq!(one.balance("").await, (own + 14 * USD, 5 * USD, 0));
            three.capture(&held.hold_id, Some(3 * USD)).await.unwrap();
            let again = refusal(one.capture(&held.hold_id, None).await);
            assert_eq!(again.1, "HOLD_RESOLVED");
            let moved = two.transfer("", "bot", 2 * USD).await.unwrap();
            assert_eq!(moved[1], (bots + 2 * USD, 0, 0));
            assert_eq!(three.balance("").await, (own + 14 * USD, 0, 0));
            let length = usize::try_from(5 * (round + 1)).unwrap();
            assert_eq!(one.ledger("").await.len(), length);
        }
        to[0].prove().await;
    });
}

/// Lets 64 tasks do something on all replicas at once; says how many of them did it.
async fn race<T>(to: &[Clients; 3], act: impl Fn([Clients; 3], usize) -> T) -> usize
where
    T: Future<Output = bool> + Send + 'static,
{
    let mut tasks = JoinSet::new();
    for number in 0..TASKS {
        let mut clients = to.clone();
        clients.rotate_left(number % 3);
        tasks.spawn(act(clients, number));
    }
    let done = tasks.join_all().await;
    done.into_iter().filter(|done| *done).count()
}

#[test]
fn together_they_spend_exactly_what_there_is() {
    run(MINUTE, async {
        let (_fleet, mut to) = start().await;
        to[0].grant("", 40 * USD).await;
        let won = race(&to, async |[mut one, mut two, _]: [Clients; 3], number| {
            if number % 2 == 0 {
                return one.debit("", 3 * USD).await.is_ok();
            }
            let Ok(held) = one.hold("bot", 3 * USD).await else {
                return false;
            };
            two.capture(&held.hold_id, None).await.is_ok()
        });
        assert_eq!(won.await, 13);
        assert_eq!(to[1].balance("").await, (USD, 0, 0));
        to[2].prove().await;
    });
}

#[test]
fn together_they_pledge_exactly_what_there_is() {
    run(MINUTE, async {
        let (_fleet, mut to) = start().await;
        // 20 calls of two cents, three at a time.
        to[0].grant("", 20 * USD / 50).await;
        let won = race(&to, async |[mut one, _, _]: [Clients; 3], number| {
            let request = pb::ReserveRequest {
                request_id: format!("r-{number}"),
                customer_id: "acme".to_owned(),
                items: vec![pb::ReserveItem {
                    feature_id: "calls".to_owned(),
                    quantity: Some(3),
                    ..pb::ReserveItem::default()
                }],
                ttl: Some(prost_types::Duration {
                    seconds: 3600,
                    nanos: 0,
                }),
                ..pb::ReserveRequest::default()
            };
            let answer = one.entitlements.reserve(request).await.unwrap();
            answer.into_inner().reservation.is_some()
        });
        assert_eq!(won.await, 6);
        assert_eq!(to[1].balance("").await, (2 * USD / 50, 18 * USD / 50, 0));
        to[2].prove().await;
    });
}
