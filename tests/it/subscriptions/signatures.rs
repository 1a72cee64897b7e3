//! Signatures of webhooks, at the real binary: those of the official clients are taken, all others refused, and whoever tries
//! gets nothing and costs no memory.

use std::path::PathBuf;
use std::process::Command;

use bursar::clock::wall_clock;
use bursar::grpc::pb;
use pb::operations_service_client::OperationsServiceClient;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::post::{post_slowly, post_to};
use crate::operations::process::{Ground, Kind, Served, run};
use crate::stripe::stripe_signature;

/// What the server believes: the new secret, and the old one while it is replaced.
const SECRETS: &str = "whsec_new,whsec_old";
/// How many are sent that no secret signed, and how many at a time.
const FLOOD: usize = 600;
const AT_A_TIME: usize = 8;
/// How much more memory they may cost: what allocators and connections keep, which does not rise with their number.
const GROWTH_MAX: u64 = 24 << 20;

async fn serve() -> (Ground, Served) {
    let ground = Ground::new();
    let database = ground.place(Kind::Sqlite).await;
    let secrets = [("BURSAR_STRIPE_WEBHOOK_SECRET", SECRETS)];
    let served = ground.serve_with(&database, &secrets).await;
    (ground, served)
}

fn now() -> i64 {
    wall_clock().as_micros() / 1_000_000
}

fn signed(at: i64, secrets: &[&str], body: &str) -> String {
    let secrets: Vec<String> = secrets.iter().map(|secret| (*secret).to_owned()).collect();
    stripe_signature(&secrets, at, body)
}

fn event(id: &str) -> String {
    json!({"id": id, "type": "invoice.paid", "data": {"object": {"id": "in_1"}}}).to_string()
}

/// Returns the ids of the events that the server has.
async fn kept(served: &Served) -> Vec<String> {
    let mut operations = OperationsServiceClient::new(served.channel.clone());
    let request = pb::ListWebhooksRequest {
        page_size: 1_000,
        ..pb::ListWebhooksRequest::default()
    };
    let answer = operations.list_webhooks(request).await.unwrap();
    let mut ids: Vec<String> = answer
        .into_inner()
        .webhooks
        .into_iter()
        .map(|webhook| webhook.event_id)
        .collect();
    ids.sort_unstable();
    ids
}

/// Signatures and bodies that get in nowhere, with the answer that they get.
fn refused() -> Vec<(&'static str, Option<String>, Vec<u8>, u16)> {
    let (now, body) = (now(), event("evt_bad"));
    let good = signed(now, &["whsec_new"], &body);
    let bytes = body.clone().into_bytes();
    let long = "x".repeat(300 * 1024);
    let altered = |text: &str| text.replace("in_1", "in_2").into_bytes();
    vec![
        ("no signature", None, bytes.clone(), 400),
        ("nonsense", Some("x".to_owned()), bytes.clone(), 400),
        ("an empty one", Some(String::new()), bytes.clone(), 400),
        (
            "a wrong secret",
            Some(signed(now, &["whsec_other"], &body)),
            bytes.clone(),
            400,
        ),
        (
            "a secret that was rolled away",
            Some(signed(now, &["whsec_oldest", "whsec_older"], &body)),
            bytes.clone(),
            400,
        ),
        (
            "old",
            Some(signed(now - 320, &["whsec_new"], &body)),
            bytes.clone(),
            400,
        ),
        (
            "ahead",
            Some(signed(now + 320, &["whsec_new"], &body)),
            bytes.clone(),
            400,
        ),
        (
            "only v0",
            Some(good.replace("v1=", "v0=")),
            bytes.clone(),
            400,
        ),
        (
            "another time",
            Some(good.replacen("t=", "t=1", 1)),
            bytes,
            400,
        ),
        ("an altered body", Some(good.clone()), altered(&body), 400),
        (
            "a longer body",
            Some(good.clone()),
            format!("{body} ").into_bytes(),
            400,
        ),
        (
            "a long header",
            Some(format!("{good}{}", ",v1=00".repeat(2_000))),
            body.clone().into_bytes(),
            400,
        ),
        (
            "an endless body",
            Some(signed(now, &["whsec_new"], &long)),
            long.into_bytes(),
            413,
        ),
    ]
}

#[test]
fn what_is_signed_wrongly_changes_nothing_and_costs_no_memory() {
    run(async {
        let (_ground, served) = serve().await;
        for (what, signature, body, expected) in refused() {
            let status = post_to(served.http_addr, signature.as_deref(), &body).await;
            assert_eq!(status, expected, "{what}");
        }
        assert_eq!(kept(&served).await, Vec::<String>::new());
        // Both secrets count while one replaces the other, and Stripe signs with each that lives.
        for (id, secrets) in [
            ("evt_new", vec!["whsec_new"]),
            ("evt_old", vec!["whsec_old"]),
            ("evt_rolled", vec!["whsec_other", "whsec_new"]),
        ] {
            let body = event(id);
            let signature = signed(now(), &secrets, &body);
            let status = post_to(served.http_addr, Some(&signature), body.as_bytes()).await;
            assert_eq!(status, 200, "{id}");
        }
        let before = (kept(&served).await, served.memory());
        let slow = tokio::spawn(slow_ones(served.http_addr));
        flood(&served).await;
        let statuses = slow.await.unwrap();
        assert!(statuses.iter().all(|status| *status == 408), "{statuses:?}");
        let after = (kept(&served).await, served.memory());
        assert_eq!(before.0, ["evt_new", "evt_old", "evt_rolled"]);
        assert_eq!(after.0, before.0);
        let growth = after.1.saturating_sub(before.1);
        println!("memory: {} bytes before, {} after", before.1, after.1);
        assert!(growth < GROWTH_MAX, "{growth} bytes more");
        served.stop().await;
    });
}

/// Sends many that are as long as they may be and longer, and signed by nobody.
async fn flood(served: &Served) {
    let mut posts = JoinSet::new();
    for number in 0..FLOOD {
        while posts.len() >= AT_A_TIME {
            posts.join_next().await;
        }
        let address = served.http_addr;
        let (length, expected) = if number % 4 == 0 {
            (1 << 20, 413)
        } else {
            (200 << 10, 400)
        };
        let signature = format!("t={},v1={}", now(), "00".repeat(32));
        posts.spawn(async move {
            let status = post_to(address, Some(&signature), &vec![b'x'; length]).await;
            // A connection that is cut off while it sends may not see the answer.
            assert!([expected, 0].contains(&status), "{status}");
        });
    }
    while let Some(post) = posts.join_next().await {
        post.unwrap();
    }
}

async fn slow_ones(address: std::net::SocketAddr) -> Vec<u16> {
    let mut posts = JoinSet::new();
    for _ in 0..32 {
        let signature = signed(now(), &["whsec_new"], "x");
        posts.spawn(async move { post_slowly(address, &signature).await });
    }
    posts.join_all().await
}

/// Signs payloads by a script that uses an official client, and returns what it said.
fn signed_by(program: PathBuf, script: &str, cases: &str) -> Vec<Value> {
    let scripts = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("scripts/stripe-shapes");
    let output = Command::new(program)
        .arg(scripts.join(script))
        .arg(cases)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let lines = String::from_utf8(output.stdout).unwrap();
    lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
#[ignore = "needs the official clients: `scripts/stripe-foreign/check` brings them and runs it"]
fn signatures_of_the_official_clients_are_taken() {
    run(async {
        let (ground, served) = serve().await;
        let case = |id: &str, secret: &str, timestamp: i64| json!({"payload": event(id), "secret": secret, "timestamp": timestamp});
        let cases = ground.path("cases.json");
        let write = |prefix: &str| {
            let (now, id) = (now(), |name: &str| format!("evt_{prefix}_{name}"));
            let all = json!([
                case(&id("new"), "whsec_new", now),
                case(&id("old_secret"), "whsec_old", now - 200),
                case(&id("foreign"), "whsec_foreign", now),
                case(&id("late"), "whsec_new", now - 400),
                case(&id("early"), "whsec_new", now + 400),
            ]);
            std::fs::write(&cases, all.to_string()).unwrap();
        };
        let python =
            PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(".tools/stripe-shapes/venv/bin/python");
        for (prefix, program, script) in [
            ("python", python, "sign.py"),
            ("node", "node".into(), "sign.cjs"),
        ] {
            write(prefix);
            for (number, line) in signed_by(program, script, &cases).iter().enumerate() {
                let header = line["header"].as_str().unwrap();
                let payload = line["payload"].as_str().unwrap();
                let status = post_to(served.http_addr, Some(header), payload.as_bytes()).await;
                assert_eq!(status, if number < 2 { 200 } else { 400 }, "{line}");
            }
        }
        let expected = [
            "evt_node_new",
            "evt_node_old_secret",
            "evt_python_new",
            "evt_python_old_secret",
        ];
        assert_eq!(kept(&served).await, expected);
        served.stop().await;
    });
}
