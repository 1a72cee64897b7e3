use super::*;

fn response(status: u16, body: &str) -> Response {
    Response {
        status,
        should_retry: None,
        retry_after: Some(2),
        rate_limited_reason: Some("global-rate".to_owned()),
        request_id: Some("req_1".to_owned()),
        body: body.as_bytes().to_vec(),
    }
}

fn error(class: &str, code: &str, message: &str) -> String {
    let code = if code.is_empty() {
        String::new()
    } else {
        format!(r#""code": "{code}","#)
    };
    format!(r#"{{"error": {{"type": "{class}", {code} "message": "{message}"}}}}"#)
}

/// Answers, and what they mean.
fn answers() -> Vec<(u16, String, Kind)> {
    let html = "<html><body>502 Bad Gateway</body></html>".to_owned();
    let duplicate = "An event already exists with identifier abc.";
    let invalid = "invalid_request_error";
    vec![
        (
            402,
            error("card_error", "card_declined", "declined"),
            Kind::CardDeclined,
        ),
        (402, error(invalid, "", "declined"), Kind::CardDeclined),
        (400, error("card_error", "", "declined"), Kind::CardDeclined),
        (429, error(invalid, "rate_limit", "slow"), Kind::RateLimited),
        (
            429,
            error(invalid, "lock_timeout", "locked"),
            Kind::Conflict,
        ),
        (
            400,
            error(invalid, "parameter_unknown", "what"),
            Kind::InvalidRequest,
        ),
        (400, error(invalid, "", "what"), Kind::InvalidRequest),
        (422, error(invalid, "", "what"), Kind::InvalidRequest),
        (
            404,
            error(invalid, "resource_missing", "none"),
            Kind::NotFound,
        ),
        (
            400,
            error(invalid, "resource_missing", "none"),
            Kind::NotFound,
        ),
        (404, error(invalid, "", "unknown URL"), Kind::NotFound),
        (400, error(invalid, "", duplicate), Kind::AlreadyExists),
        (
            400,
            error(invalid, "resource_already_exists", "there"),
            Kind::AlreadyExists,
        ),
        (
            400,
            error("idempotency_error", "", "other"),
            Kind::IdempotencyMismatch,
        ),
        (
            409,
            error("idempotency_error", "idempotency_key_in_use", "x"),
            Kind::Conflict,
        ),
        (401, error(invalid, "", "key"), Kind::Authentication),
        (403, error(invalid, "", "may not"), Kind::Permission),
        (409, error(invalid, "", "conflict"), Kind::Conflict),
        (424, error("api_error", "", "bank"), Kind::OutcomeUnknown),
        (500, error("api_error", "", "oops"), Kind::OutcomeUnknown),
        (503, error("api_error", "", "oops"), Kind::OutcomeUnknown),
        // Only a 400 says that it was counted; anything else leaves it open.
        (500, error("api_error", "", duplicate), Kind::OutcomeUnknown),
        (302, error("api_error", "", "moved"), Kind::OutcomeUnknown),
        (502, html.clone(), Kind::OutcomeUnknown),
        (400, html, Kind::OutcomeUnknown),
        (400, String::new(), Kind::OutcomeUnknown),
        (400, r#"{"error": "text"}"#.to_owned(), Kind::OutcomeUnknown),
    ]
}

#[test]
fn each_answer_has_its_kind() {
    for (status, body, kind) in answers() {
        let fault = Fault::of_response(&response(status, &body));
        assert_eq!(fault.kind, kind, "{status} {body}");
        assert_eq!(fault.details.status, Some(status));
    }
}

#[test]
fn each_kind_comes_of_something() {
    let of_table = |kind| TABLE.iter().any(|line| line.kind == kind);
    for kind in [
        Kind::CardDeclined,
        Kind::RateLimited,
        Kind::InvalidRequest,
        Kind::NotFound,
        Kind::AlreadyExists,
        Kind::IdempotencyMismatch,
        Kind::Authentication,
        Kind::Permission,
        Kind::Conflict,
        Kind::OutcomeUnknown,
    ] {
        assert!(of_table(kind), "{kind:?}");
    }
    let not_sent = Fault::from(TransportFault::NotSent("refused".to_owned()));
    assert_eq!(not_sent.kind, Kind::NotSent);
    let unknown = Fault::from(TransportFault::Unknown("reset".to_owned()));
    assert_eq!(unknown.kind, Kind::OutcomeUnknown);
}

#[test]
fn what_stripe_says_is_kept() {
    let body = r#"{"error": {
        "type": "card_error", "code": "card_declined", "decline_code": "insufficient_funds",
        "message": "Your card has insufficient funds.", "param": "payment_method",
        "payment_intent": {"id": "pi_1", "status": "requires_payment_method"}, "doc_url": "x"
    }}"#;
    let details = *Fault::of_response(&response(402, body)).details;
    let expected = Details {
        status: Some(402),
        code: Some("card_declined".to_owned()),
        decline_code: Some("insufficient_funds".to_owned()),
        message: "Your card has insufficient funds.".to_owned(),
        param: Some("payment_method".to_owned()),
        payment_intent: Some("pi_1".to_owned()),
        rate_limited_reason: Some("global-rate".to_owned()),
        retry_after: Some(2),
        request_id: Some("req_1".to_owned()),
    };
    assert_eq!(details, expected);
}

#[test]
fn it_is_written_with_what_support_asks_for() {
    let body = error(
        "invalid_request_error",
        "parameter_unknown",
        "No such parameter",
    );
    let written = Fault::of_response(&response(400, &body)).to_string();
    assert_eq!(
        written,
        "Stripe: InvalidRequest: No such parameter (code parameter_unknown) (request req_1)"
    );
}
