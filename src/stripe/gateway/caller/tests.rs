use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::sync::Mutex;

use async_trait::async_trait;
use serde::Deserialize;

use super::super::fault::Kind;
use super::*;

/// Gives the answers that it has, in their order, and keeps what it was asked.
struct Script {
    answers: Mutex<VecDeque<Result<Response, TransportFault>>>,
    asked: Mutex<Vec<Request>>,
}

#[async_trait]
impl Transport for Script {
    async fn send(&self, request: &Request) -> Result<Response, TransportFault> {
        self.asked.lock().unwrap().push(request.clone());
        self.answers.lock().unwrap().pop_front().unwrap()
    }
}

#[derive(Debug, PartialEq, Deserialize)]
struct Thing {
    id: String,
}

fn answer(status: u16, should_retry: Option<bool>) -> Response {
    let body = if status == 200 {
        r#"{"id": "x"}"#
    } else {
        r#"{"error": {"type": "api_error", "message": "no"}}"#
    };
    Response {
        status,
        should_retry,
        retry_after: None,
        rate_limited_reason: None,
        request_id: None,
        body: body.as_bytes().to_vec(),
    }
}

fn unknown() -> Result<Response, TransportFault> {
    Err(TransportFault::Unknown("reset".to_owned()))
}

fn not_sent() -> Result<Response, TransportFault> {
    Err(TransportFault::NotSent("refused".to_owned()))
}

fn request(method: Method, key: Option<&str>) -> Request {
    Request {
        method,
        path: "/v1/things".to_owned(),
        query: String::new(),
        body: "a=b".to_owned(),
        idempotency_key: key.map(str::to_owned),
    }
}

/// Makes a call to which come these answers; returns its outcome and how often it was made.
async fn call(
    request: &Request,
    manner: Manner,
    answers: Vec<Result<Response, TransportFault>>,
) -> (Result<Thing, Fault>, usize) {
    let script = Arc::new(Script {
        answers: Mutex::new(answers.into()),
        asked: Mutex::default(),
    });
    let rates = Rates {
        calls: NonZeroU32::new(100_000).unwrap(),
        meter_events: None,
    };
    let caller = Caller::new(script.clone(), rates, Repeats::default(), 1);
    let outcome = caller.call(request, manner).await;
    let asked = script.asked.lock().unwrap();
    assert!(
        asked.iter().all(|sent| sent == request),
        "a repeat was another call"
    );
    (outcome, asked.len())
}

#[tokio::test(start_paused = true)]
async fn a_call_is_repeated_only_where_that_is_safe() {
    let get = request(Method::Get, None);
    let keyed = request(Method::Post, Some("key"));
    let bare = request(Method::Post, None);
    let delete = request(Method::Delete, None);
    let once = Manner::OnceAsMeterEvent;
    let cases = [
        (&get, Manner::Repeated, unknown(), 2),
        (&get, Manner::Repeated, Ok(answer(500, None)), 2),
        (&keyed, Manner::Repeated, unknown(), 2),
        (&keyed, Manner::Repeated, not_sent(), 2),
        (&keyed, Manner::Repeated, Ok(answer(409, None)), 2),
        (&keyed, Manner::Repeated, Ok(answer(424, None)), 2),
        (&keyed, Manner::Repeated, Ok(answer(429, None)), 2),
        (&keyed, Manner::Repeated, Ok(answer(503, None)), 2),
        (&keyed, Manner::Repeated, Ok(answer(400, None)), 1),
        (&keyed, Manner::Repeated, Ok(answer(402, None)), 1),
        // What Stripe says of repeats outweighs the status.
        (&keyed, Manner::Repeated, Ok(answer(500, Some(false))), 1),
        (&keyed, Manner::Repeated, Ok(answer(400, Some(true))), 2),
        (&bare, Manner::Repeated, unknown(), 1),
        (&bare, Manner::Repeated, Ok(answer(503, Some(true))), 1),
        (&bare, Manner::Repeated, not_sent(), 2),
        (&bare, Manner::Harmless, unknown(), 2),
        (&delete, Manner::Repeated, unknown(), 1),
        (&delete, Manner::Repeated, not_sent(), 2),
        (&bare, once, unknown(), 1),
        (&bare, once, not_sent(), 1),
        (&bare, once, Ok(answer(503, Some(true))), 1),
        (&bare, once, Ok(answer(429, None)), 1),
    ];
    for (request, manner, first, times) in cases {
        let what = format!("{request:?} {manner:?} {first:?}");
        let (outcome, made) = call(request, manner, vec![first, Ok(answer(200, None))]).await;
        assert_eq!(made, times, "{what}");
        assert_eq!(outcome.is_ok(), times == 2, "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn after_the_last_attempt_its_fault_is_returned() {
    let keyed = request(Method::Post, Some("key"));
    let answers = vec![not_sent(), unknown(), Ok(answer(429, None))];
    let (outcome, made) = call(&keyed, Manner::Repeated, answers).await;
    assert_eq!(made, 3);
    assert_eq!(outcome.unwrap_err().kind, Kind::RateLimited);
}

#[tokio::test]
async fn a_good_answer_that_cannot_be_read_leaves_the_outcome_open() {
    for body in ["<html>hello</html>", "", r#"{"object": "thing"}"#] {
        let mut unread = answer(200, None);
        unread.body = body.as_bytes().to_vec();
        let keyed = request(Method::Post, Some("key"));
        let (outcome, made) = call(&keyed, Manner::Repeated, vec![Ok(unread)]).await;
        assert_eq!(made, 1);
        assert_eq!(outcome.unwrap_err().kind, Kind::OutcomeUnknown, "{body}");
    }
}
