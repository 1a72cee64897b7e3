//! The proxy tells a COMMIT from what is none.

use crate::postgres::messages::Messages;

/// A message with its type and length.
fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
    [&[kind], length.as_slice(), body].concat()
}

/// What a client sends before it may ask: that it would like TLS, then who it is.
fn beginning() -> Vec<u8> {
    let tls = [8_u32.to_be_bytes(), 80_877_103_u32.to_be_bytes()].concat();
    let name = b"user\0bursar\0\0";
    let length = u32::try_from(name.len() + 8).unwrap().to_be_bytes();
    let version = 196_608_u32.to_be_bytes();
    [&tls, length.as_slice(), &version, name].concat()
}

/// Which of the messages commit; `step` bytes arrive at a time.
fn commits(said: &[Vec<u8>], step: usize) -> Vec<bool> {
    let bytes = [beginning(), said.concat()].concat();
    let (mut messages, mut found, mut carried) = (Messages::default(), Vec::new(), Vec::new());
    for piece in bytes.chunks(step) {
        messages.take(piece);
        while let Some(message) = messages.next() {
            found.push(message.commits);
            carried.extend(message.bytes);
        }
    }
    carried.extend(messages.rest());
    assert_eq!(carried, bytes, "nothing is lost on the way");
    found.split_off(2)
}

#[test]
fn a_commit_is_found_however_it_is_sent() {
    let simple = |text: &str| message(b'Q', format!("{text}\0").as_bytes());
    let said = [
        simple("BEGIN"),
        simple("INSERT INTO t VALUES ('COMMIT')"),
        simple("COMMIT"),
        simple(" commit ; "),
        simple("UPDATE t SET a = 1; COMMIT"),
        simple("COMMIT; BEGIN"),
        message(b'd', b"COMMIT\0"),
    ];
    let due = [false, false, true, true, true, false, false];
    for step in [1, 3, 7, 10_000] {
        assert_eq!(commits(&said, step), due, "{step} bytes at a time");
    }
}

#[test]
fn a_prepared_commit_is_found_where_it_is_executed() {
    let said = [
        message(b'P', b"one\0SELECT 1\0\0\0"),
        message(b'P', b"end\0COMMIT\0\0\0"),
        message(b'B', b"\0one\0\0\0\0\0\0\0"),
        message(b'E', b"\0\0\0\0\0"),
        message(b'B', b"\0end\0\0\0\0\0\0\0"),
        message(b'E', b"\0\0\0\0\0"),
        message(b'S', b""),
        message(b'P', b"end\0SELECT 1\0\0\0"),
        message(b'B', b"\0end\0\0\0\0\0\0\0"),
        message(b'E', b"\0\0\0\0\0"),
    ];
    let due = [
        false, false, false, false, false, true, false, false, false, false,
    ];
    for step in [1, 4, 10_000] {
        assert_eq!(commits(&said, step), due, "{step} bytes at a time");
    }
}
