use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::*;

/// A server of this machine that gives one answer to all.
struct Server {
    port: u16,
    connections: Arc<AtomicUsize>,
    /// The requests as they came.
    requests: mpsc::UnboundedReceiver<String>,
}

/// What a server does when a request has come.
#[derive(Clone, Copy)]
enum Then {
    /// Answers, and waits for the next.
    Answers(&'static str),
    /// Answers, and hangs up.
    AnswersAndEnds(&'static str),
    /// Says nothing.
    Waits,
}

async fn serve(then: Then) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let connections = Arc::new(AtomicUsize::new(0));
    let (sender, requests) = mpsc::unbounded_channel();
    let counter = connections.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            counter.fetch_add(1, Ordering::SeqCst);
            let sender = sender.clone();
            tokio::spawn(async move {
                let mut read = vec![0; 65_536];
                loop {
                    let length = stream.read(&mut read).await.unwrap_or(0);
                    if length == 0 {
                        return;
                    }
                    let _ = sender.send(String::from_utf8_lossy(&read[..length]).into_owned());
                    match then {
                        Then::Answers(answer) => stream.write_all(answer.as_bytes()).await.unwrap(),
                        Then::AnswersAndEnds(answer) => {
                            stream.write_all(answer.as_bytes()).await.unwrap();
                            return;
                        }
                        Then::Waits => {}
                    }
                }
            });
        }
    });
    Server {
        port,
        connections,
        requests,
    }
}

const KEY: &str = "sk_test_bursarSecret";

fn http(base_url: String) -> Http {
    let settings = HttpSettings {
        base_url,
        connect_timeout: Duration::from_millis(100),
        call_timeout: Duration::from_millis(400),
        ..HttpSettings::default()
    };
    Http::new(&settings, &SecretString::from(KEY)).unwrap()
}

fn request(method: Method, body: &str, key: Option<&str>) -> Request {
    Request {
        method,
        path: "/v1/customers".to_owned(),
        query: "limit=1".to_owned(),
        body: body.to_owned(),
        idempotency_key: key.map(str::to_owned),
    }
}

const GOOD: &str = "HTTP/1.1 402 Payment Required\r\nContent-Length: 2\r\n\
    Stripe-Should-Retry: false\r\nRetry-After: 7\r\nRequest-Id: req_1\r\n\
    Stripe-Rate-Limited-Reason: global-rate\r\n\r\n{}";

#[tokio::test]
async fn a_request_carries_what_stripe_wants_and_its_answer_comes_back() {
    let mut server = serve(Then::Answers(GOOD)).await;
    let http = http(format!("http://127.0.0.1:{}/", server.port));
    let response = http
        .send(&request(Method::Post, "a=b", Some("key-1")))
        .await
        .unwrap();
    let expected = Response {
        status: 402,
        should_retry: Some(false),
        retry_after: Some(7),
        rate_limited_reason: Some("global-rate".to_owned()),
        request_id: Some("req_1".to_owned()),
        body: b"{}".to_vec(),
    };
    assert_eq!(response, expected);

    let sent = server.requests.recv().await.unwrap();
    assert!(
        sent.starts_with("POST /v1/customers?limit=1 HTTP/1.1\r\n"),
        "{sent}"
    );
    assert!(sent.ends_with("\r\n\r\na=b"), "{sent}");
    for header in [
        format!("authorization: Bearer {KEY}"),
        "stripe-version: 2026-01-28.clover".to_owned(),
        "idempotency-key: key-1".to_owned(),
        "content-type: application/x-www-form-urlencoded".to_owned(),
        format!("user-agent: {AGENT}"),
    ] {
        assert!(
            sent.contains(&format!("\r\n{header}\r\n")),
            "{header} in {sent}"
        );
    }
}

#[tokio::test]
async fn connections_are_kept() {
    let mut server = serve(Then::Answers(GOOD)).await;
    let http = http(format!("http://127.0.0.1:{}", server.port));
    for _ in 0..20 {
        http.send(&request(Method::Get, "", None)).await.unwrap();
    }
    assert_eq!(server.connections.load(Ordering::SeqCst), 1);
    let sent = server.requests.recv().await.unwrap();
    assert!(!sent.contains("idempotency-key"), "{sent}");
    assert!(!sent.contains("content-type"), "{sent}");
}

#[tokio::test]
async fn what_cannot_be_connected_was_not_sent() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let silent = serve(Then::Waits).await;
    let clear = serve(Then::Answers("HTTP/1.1 400 Bad Request\r\n\r\n")).await;
    for base_url in [
        format!("http://127.0.0.1:{port}"),
        // A handshake that does not come to an end, and one that fails.
        format!("https://127.0.0.1:{}", silent.port),
        format!("https://127.0.0.1:{}", clear.port),
        "https://bursar.invalid".to_owned(),
    ] {
        let outcome = http(base_url.clone())
            .send(&request(Method::Post, "a=b", None))
            .await;
        assert!(
            matches!(outcome, Err(TransportFault::NotSent(_))),
            "{base_url}: {outcome:?}"
        );
    }
}

#[tokio::test]
async fn what_was_sent_and_not_answered_may_have_happened() {
    let too_long = "HTTP/1.1 200 OK\r\nContent-Length: 8388609\r\n\r\n{}";
    for then in [
        Then::Waits,
        Then::AnswersAndEnds(""),
        Then::AnswersAndEnds("HTTP/1.1 200 OK\r\nContent-Le"),
        Then::AnswersAndEnds("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{}"),
        Then::AnswersAndEnds("no HTTP at all\r\n\r\n"),
        Then::Answers(too_long),
    ] {
        let server = serve(then).await;
        let outcome = http(format!("http://127.0.0.1:{}", server.port))
            .send(&request(Method::Post, "a=b", None))
            .await;
        assert!(
            matches!(outcome, Err(TransportFault::Unknown(_))),
            "{outcome:?}"
        );
    }
}

#[test]
fn a_key_never_crosses_a_network_in_the_clear() {
    let cases = [
        ("https://api.stripe.com", Some("https://api.stripe.com")),
        ("https://api.stripe.com/", Some("https://api.stripe.com")),
        ("http://127.0.0.1:12111", Some("http://127.0.0.1:12111")),
        ("http://localhost:12111/", Some("http://localhost:12111")),
        ("http://[::1]:12111", Some("http://[::1]:12111")),
        ("http://api.stripe.com", None),
        ("http://127.0.0.1.example.com", None),
        ("https://api.stripe.com/v1", None),
        ("https://api.stripe.com?a", None),
        ("ftp://127.0.0.1", None),
        ("api.stripe.com", None),
        ("", None),
    ];
    for (url, expected) in cases {
        assert_eq!(check_base_url(url).ok().as_deref(), expected, "{url}");
    }
}

#[tokio::test]
async fn the_key_is_never_shown() {
    let http = http("http://127.0.0.1:1".to_owned());
    let shown = format!("{http:?} {:?}", http.headers);
    assert!(shown.contains("127.0.0.1"), "{shown}");
    assert!(!shown.contains(KEY), "{shown}");
    let unfit = Http::new(&HttpSettings::default(), &SecretString::from("sk_\ntest"));
    let error = unfit.err().unwrap().to_string();
    assert!(!error.contains("sk_"), "{error}");
}
