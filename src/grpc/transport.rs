//! What the transport refuses before a method sees it.

use tonic::Status;

use super::status::explain;

/// Splits what the decoder says, as in `UsageEvent.event_id: Request.events: invalid string value`, into a path and what
/// is wrong. The decoder names the innermost field first.
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
    path.reverse();
    if path.is_empty() {
        path.push("request");
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
    use prost::Message;

    use super::*;
    use crate::grpc::pb;

    #[test]
    fn what_the_decoder_says_becomes_a_path() {
        // A request whose first event has an id that is no text: field 1 of field 1.
        let request = [0x0a, 3, 0x0a, 1, 0xff];
        let says = pb::RecordUsageBatchRequest::decode(&request[..]).unwrap_err();
        let says = says.to_string();
        let says = says.split_once("message: ").expect("what and where").1;
        let (path, rule) = undecodable(says);
        assert_eq!(path, "events.event_id", "{says}");
        assert_eq!(
            rule,
            "cannot be read: invalid string value: data is not UTF-8 encoded"
        );
        assert_eq!(undecodable("invalid varint").0, "request");
    }
}
