//! `bursar health`: asks a server on this machine whether it is alive, for containers and scripts.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::failure::{Failure, finish};

/// How long to wait for the server, in each step.
const WAIT: Duration = Duration::from_secs(3);
/// Longest answer that is read, in bytes.
const ANSWER_BYTES_MAX: u64 = 4_096;

/// The command line of `bursar health`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bursar health
  bursar health --ready --http-addr 127.0.0.1:8080

Exit codes:
  0  it is
  1  it is not, or nobody answers
  2  wrong arguments")]
pub struct HealthArgs {
    /// Where the server answers HTTP; of an address that stands for all, this machine's own is asked
    #[arg(
        long,
        env = "BURSAR_HTTP_ADDR",
        value_name = "ADDR",
        default_value = "127.0.0.1:8080"
    )]
    http_addr: SocketAddr,
    /// Ask whether it takes writes, instead of whether it is alive
    #[arg(long)]
    ready: bool,
}

/// Runs `bursar health`.
#[must_use]
pub fn run(args: &HealthArgs) -> ExitCode {
    finish(ask(args))
}

fn ask(args: &HealthArgs) -> Result<ExitCode, Failure> {
    let address = reachable(args.http_addr);
    let page = if args.ready { "/readyz" } else { "/healthz" };
    let answer = fetch(address, page).map_err(|error| {
        Failure::Unusable(format!("no answer from http://{address}{page}: {error}"))
    })?;
    let status = answer.split(' ').nth(1).unwrap_or_default();
    let said = answer
        .split_once("\r\n\r\n")
        .map_or("", |(_, body)| body.trim());
    if status == "200" {
        println!("{said}");
        return Ok(ExitCode::SUCCESS);
    }
    Err(Failure::Unusable(format!(
        "http://{address}{page} says {status}: {said}"
    )))
}

/// Returns where to ask a server that listens on an address.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

fn fetch(address: SocketAddr, page: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, WAIT)?;
    stream.set_read_timeout(Some(WAIT))?;
    stream.set_write_timeout(Some(WAIT))?;
    let request = format!("GET {page} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.take(ANSWER_BYTES_MAX).read_to_string(&mut answer)?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_stands_for_all_is_asked_on_this_machine() {
        for (given, asked) in [
            ("0.0.0.0:8080", "127.0.0.1:8080"),
            ("[::]:8080", "[::1]:8080"),
            ("10.0.0.7:80", "10.0.0.7:80"),
        ] {
            let given: SocketAddr = given.parse().unwrap();
            assert_eq!(reachable(given).to_string(), asked);
        }
    }
}
