//! Whether the addresses are free, and who has them if not.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::Finding;
use crate::cli::connect::{connect, timed};

/// How long whoever has an address may take to say who it is.
const ASK_MAX: Duration = Duration::from_secs(2);
/// A service that only bursar has.
const SERVICE: &str = "bursar.v1.EntitlementService";
/// Most bytes of an answer that are read.
const ANSWER_BYTES_MAX: u64 = 1024 * 1024;

/// Looks at the address for gRPC.
pub async fn examine_grpc(address: SocketAddr) -> Finding {
    const SUBJECT: &str = "gRPC port";
    match TcpListener::bind(address) {
        Ok(_) => free(SUBJECT, address),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            match timeout(ASK_MAX, health(address)).await.unwrap_or(None) {
                Some(true) => Finding::ok(SUBJECT, format!("{address} is served by a bursar")),
                Some(false) => Finding::warn(
                    SUBJECT,
                    format!("{address} is held by a bursar that is not serving"),
                    "it is starting, shutting down or without its database: see its log and /readyz",
                ),
                None => taken(SUBJECT, address),
            }
        }
        Err(error) => unusable(SUBJECT, address, &error),
    }
}

/// Looks at the address for HTTP.
pub async fn examine_http(address: SocketAddr) -> Finding {
    const SUBJECT: &str = "HTTP port";
    match TcpListener::bind(address) {
        Ok(_) => free(SUBJECT, address),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            let metrics = timeout(ASK_MAX, get(address, "/metrics")).await;
            match metrics {
                Ok(Ok(text)) if text.contains("bursar_") => {
                    Finding::ok(SUBJECT, format!("{address} is served by a bursar"))
                }
                Ok(_) | Err(_) => taken(SUBJECT, address),
            }
        }
        Err(error) => unusable(SUBJECT, address, &error),
    }
}

fn free(subject: &'static str, address: SocketAddr) -> Finding {
    let ip = address.ip();
    if ip.is_loopback() {
        return Finding::ok(subject, format!("{address} is free"));
    }
    Finding::warn(
        subject,
        format!("{address} is free, and can be reached from other machines"),
        "a server listens there only with --insecure: put a proxy with TLS and authentication before it",
    )
}

fn taken(subject: &'static str, address: SocketAddr) -> Finding {
    Finding::fail(
        subject,
        format!("{address} is in use, and not by a bursar"),
        format!(
            "choose another, or see who has it: ss -ltnp 'sport = :{}'",
            address.port()
        ),
    )
}

fn unusable(subject: &'static str, address: SocketAddr, error: &io::Error) -> Finding {
    Finding::fail(
        subject,
        format!("{address} cannot be listened on: {error}"),
        "take an address of this machine, and a port above 1023 unless the server may take lower ones",
    )
}

/// Asks whether a bursar serves; `None` when it is none.
async fn health(address: SocketAddr) -> Option<bool> {
    let channel = connect(&reachable(address).to_string()).await.ok()?;
    let request = HealthCheckRequest {
        service: SERVICE.to_owned(),
    };
    let answer = HealthClient::new(channel).check(timed(request)).await;
    let status = answer.ok()?.into_inner().status();
    match status {
        ServingStatus::Serving => Some(true),
        ServingStatus::NotServing | ServingStatus::Unknown => Some(false),
        ServingStatus::ServiceUnknown => None,
    }
}

/// Asks for a page over HTTP.
async fn get(address: SocketAddr, path: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(reachable(address)).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream
        .take(ANSWER_BYTES_MAX)
        .read_to_end(&mut answer)
        .await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// Returns where a server that listens on all addresses can be reached from here.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[tokio::test]
    async fn a_port_is_free_or_taken_by_somebody_else() {
        let holder = tokio::net::TcpListener::bind("127.0.0.1:0").await;
        let holder = holder.expect("some port is free");
        let address = holder.local_addr().expect("it listens");
        // Whoever holds it hangs up on everybody, however often they try.
        let hang_up = tokio::spawn(async move {
            loop {
                drop(holder.accept().await);
            }
        });
        assert_eq!(examine_grpc(address).await.verdict, Verdict::Fail);
        assert_eq!(examine_http(address).await.verdict, Verdict::Fail);
        hang_up.abort();
        assert_eq!(
            free("p", "127.0.0.1:1".parse().expect("fixed")).verdict,
            Verdict::Ok
        );
        assert_eq!(
            free("p", "0.0.0.0:1".parse().expect("fixed")).verdict,
            Verdict::Warn
        );
    }
}
