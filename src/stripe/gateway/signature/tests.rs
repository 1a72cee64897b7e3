use std::fmt::Write as _;

use serde::Deserialize;

use super::*;

/// Webhooks that the official SDKs signed.
const VECTORS: &str = include_str!("vectors.jsonl");

#[derive(Clone, Deserialize)]
struct Vector {
    payload: String,
    header: String,
    secret: String,
    timestamp: i64,
    signer: String,
}

fn vectors() -> Vec<Vector> {
    VECTORS
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn secrets<const N: usize>(secrets: [&str; N]) -> [SecretString; N] {
    secrets.map(SecretString::from)
}

#[test]
fn what_the_official_sdks_sign_is_believed() {
    let vectors = vectors();
    for signer in ["python", "node"] {
        assert!(vectors.iter().any(|vector| vector.signer == signer));
    }
    for vector in vectors {
        let ours = secrets(["whsec_other", &vector.secret]);
        let body = vector.payload.as_bytes();
        let now = vector.timestamp + 299;
        let verdict = verify(body, &vector.header, &ours, now, TOLERANCE);
        assert_eq!(verdict, Ok(()), "{}: {}", vector.signer, vector.payload);

        let other = secrets(["whsec_other"]);
        let verdict = verify(body, &vector.header, &other, now, TOLERANCE);
        assert_eq!(verdict, Err(BadSignature::Mismatch));
        let changed = format!("{} ", vector.payload);
        let verdict = verify(changed.as_bytes(), &vector.header, &ours, now, TOLERANCE);
        assert_eq!(verdict, Err(BadSignature::Mismatch));
    }
}

#[test]
fn each_way_of_being_wrong_has_its_reason() {
    let vector = &vectors()[0];
    let (time, good) = vector.header.split_once(",v1=").unwrap();
    let bad = "0".repeat(64);
    let upper = good.to_uppercase();
    let many = format!(",v1={bad}").repeat(17);
    let with = |rest: &str| format!("{time}{rest}");
    let cases = [
        (with(&format!(",v1={good}")), Ok(())),
        // While a secret is replaced, there is a signature for each of the two.
        (with(&format!(",v1={bad},v1={good}")), Ok(())),
        (with(&format!(",v1={good},v1={bad}")), Ok(())),
        (with(&format!(",v0={bad},v1={good}")), Ok(())),
        (with(&format!(",v1={good},v2=x,nonsense")), Ok(())),
        (format!("v1={good},{time}"), Ok(())),
        (String::new(), Err(BadSignature::Header)),
        ("t".repeat(HEADER_MAX + 1), Err(BadSignature::Header)),
        (format!("v1={good}"), Err(BadSignature::Time)),
        (format!("t=soon,v1={good}"), Err(BadSignature::Time)),
        (format!("t=,v1={good}"), Err(BadSignature::Time)),
        (
            format!("t=99999999999999999999,v1={good}"),
            Err(BadSignature::Time),
        ),
        (format!("t=1,{time},v1={good}"), Err(BadSignature::Time)),
        (time.to_owned(), Err(BadSignature::Scheme)),
        (with(&format!(",v0={good}")), Err(BadSignature::Scheme)),
        (
            with(&format!(",v1={}", &good[1..])),
            Err(BadSignature::Scheme),
        ),
        (with(&format!(",v1={good}0")), Err(BadSignature::Scheme)),
        (with(&format!(",v1={upper}")), Err(BadSignature::Scheme)),
        (with(&many), Err(BadSignature::Scheme)),
        (with(&format!(",v1={bad}")), Err(BadSignature::Mismatch)),
        // The time is signed as it is written.
        (
            format!("t=0{},v1={good}", vector.timestamp),
            Err(BadSignature::Mismatch),
        ),
        (format!("t=1,v1={good}"), Err(BadSignature::Mismatch)),
    ];
    let ours = secrets([&vector.secret]);
    for (header, expected) in cases {
        let body = vector.payload.as_bytes();
        let verdict = verify(body, &header, &ours, vector.timestamp, TOLERANCE);
        assert_eq!(verdict, expected, "{header}");
    }
}

#[test]
fn a_signature_is_believed_for_a_while_only() {
    let vector = &vectors()[0];
    let ours = secrets([&vector.secret]);
    let cases = [
        (0, Ok(())),
        (299, Ok(())),
        (300, Ok(())),
        (301, Err(BadSignature::Stale)),
        (-300, Ok(())),
        (-301, Err(BadSignature::Stale)),
    ];
    for (age, expected) in cases {
        let now = vector.timestamp + age;
        let verdict = verify(
            vector.payload.as_bytes(),
            &vector.header,
            &ours,
            now,
            TOLERANCE,
        );
        assert_eq!(verdict, expected, "{age} s");
    }
}

#[test]
fn nobody_is_believed_when_there_is_no_secret() {
    let vector = &vectors()[0];
    let body = vector.payload.as_bytes();
    let mut hex = String::new();
    for byte in signature("", "1", body).unwrap() {
        write!(hex, "{byte:02x}").unwrap();
    }
    let header = format!("t=1,v1={hex}");
    for ours in [vec![], vec![SecretString::from("")]] {
        let verdict = verify(body, &header, &ours, 1, TOLERANCE);
        assert_eq!(verdict, Err(BadSignature::Mismatch));
    }
}
