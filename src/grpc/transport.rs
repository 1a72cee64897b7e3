//! What the transport refuses before a method sees it.

use tonic::Status;

use super::status::explain;

/// Splits what the decoder says, as in `CheckItem.feature_id: invalid string value`, into a path and what is wrong.
pub(super) fn undecodable(text: &str) -> (String, String) {
    let mut path = Vec::new();
    let mut rest = text;
    while let Some((head, tail)) = rest.split_once(": ") {
        let Some((_, field)) = head.split_once('.').filter(|_| !head.contains(' ')) else {
            break;
        };
        path.push(field);
        rest = tail;
    }
    (path.join("."), format!("cannot be read: {rest}"))
}

/// As [`explain`], for a response that carries nothing but a status.
pub(super) fn explain_response<B: Default>(response: http::Response<B>) -> http::Response<B> {
    if !response.headers().contains_key(Status::GRPC_STATUS) {
        return response;
    }
    match Status::from_header_map(response.headers()) {
        Some(status) => explain(status).into_http(),
        None => response,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_decoder_says_becomes_a_path() {
        let says = "RecordUsageBatchRequest.events: UsageEvent.event_id: invalid string value: data is not UTF-8";
        let (path, rule) = undecodable(says);
        assert_eq!(path, "events.event_id");
        assert_eq!(
            rule,
            "cannot be read: invalid string value: data is not UTF-8"
        );
        assert_eq!(undecodable("invalid varint").0, "");
    }
}
