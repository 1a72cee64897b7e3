//! Posting webhooks by hand, byte by byte.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Posts a body as a webhook, and returns the status of the answer; 0: there was none.
pub async fn post_to(address: SocketAddr, signature: Option<&str>, body: &[u8]) -> u16 {
    let mut stream = begin(address, signature, body.len()).await;
    // A server that has seen enough may not read the rest.
    let _ = stream.write_all(body).await;
    answer(stream).await
}

/// Promises a long body, of which one byte comes after the other; returns the status of the answer.
pub async fn post_slowly(address: SocketAddr, signature: &str) -> u16 {
    let mut stream = begin(address, Some(signature), 100_000).await;
    for _ in 0..30 {
        if stream.write_all(b"x").await.is_err() {
            break;
        }
        let pause = Duration::from_millis(500);
        let mut first = [0];
        if let Ok(Ok(1)) = tokio::time::timeout(pause, stream.peek(&mut first)).await {
            break;
        }
    }
    answer(stream).await
}

async fn begin(address: SocketAddr, signature: Option<&str>, length: usize) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let signature =
        signature.map_or_else(String::new, |text| format!("stripe-signature: {text}\r\n"));
    let head = format!(
        "POST /stripe/webhook HTTP/1.1\r\nhost: test\r\nconnection: close\r\n{signature}content-length: {length}\r\n\r\n"
    );
    let _ = stream.write_all(head.as_bytes()).await;
    stream
}

async fn answer(mut stream: TcpStream) -> u16 {
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8_lossy(&answer);
    let status = answer.split(' ').nth(1).unwrap_or("0");
    status.parse().unwrap_or(0)
}
