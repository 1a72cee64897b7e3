//! Calls every method of the gateway, in all its variants, and writes down the requests that it
//! makes, for `scripts/stripe-shapes/check` to hold them against Stripe's contract.

mod billing;
mod catalog;
mod expected;
mod money;
mod rig;
mod subscriptions;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use bursar::stripe::gateway::METHODS;
use serde::Deserialize;

use self::rig::Rig;

/// Where the requests go, and the names of all methods beside them.
const FOLDER: &str = env!("CARGO_TARGET_TMPDIR");
/// What is a POST and carries no idempotency key: it would replay a failure, or an old answer.
const WITHOUT_KEY: [&str; 2] = ["send_meter_event", "preview_change"];
/// Where the methods stand.
const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/stripe/gateway/calls");

#[tokio::test]
async fn every_method_makes_its_request() {
    let rig = Rig::new([]);
    call_all(&rig).await;

    let called: BTreeSet<&str> = rig.lines().iter().map(|line| line.call).collect();
    let known: BTreeSet<&str> = METHODS.into_iter().collect();
    assert_eq!(called, known);
    for line in rig.lines() {
        let changes = line.method == "POST" && !WITHOUT_KEY.contains(&line.call);
        assert_eq!(line.keyed, changes, "{}", line.call);
    }
    fs::write(
        Path::new(FOLDER).join("requests.jsonl"),
        rig.to_json_lines(),
    )
    .unwrap();
    let names = serde_json::to_string(METHODS.as_slice()).unwrap();
    fs::write(Path::new(FOLDER).join("methods.json"), names).unwrap();
}

#[tokio::test]
async fn some_requests_are_these_to_the_letter() {
    let rig = Rig::new([]);
    call_all(&rig).await;
    let lines = rig.lines();
    for (call, path, query, body) in expected::EXPECTED {
        let line = lines.iter().rfind(|line| line.call == call).unwrap();
        let found = (line.path.as_str(), line.query.as_str(), line.body.as_str());
        assert_eq!(found, (path, query, body), "{call}");
    }
}

/// Reads what the mock answered to the requests that the test above wrote down.
#[tokio::test]
#[ignore = "`scripts/stripe-shapes/check` gets the answers"]
async fn every_answer_of_the_mock_is_read() {
    let answers = fs::read_to_string(Path::new(FOLDER).join("answers.jsonl")).unwrap();
    let answers: Vec<MockAnswer> = answers
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let rig = Rig::new(answers.iter().map(|answer| answer.body.clone()));
    call_all(&rig).await;

    let lines = rig.lines();
    let called: Vec<&str> = lines.iter().map(|line| line.call).collect();
    let answered: Vec<&str> = answers.iter().map(|answer| answer.call.as_str()).collect();
    assert_eq!(called, answered);
}

async fn call_all(rig: &Rig) {
    catalog::call(rig).await;
    subscriptions::call(rig).await;
    billing::call(rig).await;
    money::call(rig).await;
}

#[derive(Deserialize)]
struct MockAnswer {
    call: String,
    body: Option<String>,
}

#[test]
fn the_table_names_each_method_there_is() {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(SOURCES).unwrap() {
        let source = fs::read_to_string(entry.unwrap().path()).unwrap();
        for part in source.split("    pub async fn ").skip(1) {
            let (name, _) = part.split_once('(').unwrap();
            found.insert(name.to_owned());
        }
    }
    let known: BTreeSet<String> = METHODS.into_iter().map(str::to_owned).collect();
    assert_eq!(found, known);
    assert_eq!(known.len(), METHODS.len(), "a method is named twice");
}
