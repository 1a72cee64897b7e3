//! The servers that are measured, each a process of its own.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use bursar::domain::id::RequestId;
use bursar::grpc::pb::customer_service_client::CustomerServiceClient;
use bursar::grpc::pb::{CreateCustomerRequest, Customer};
use tonic::transport::Channel;

const CATALOG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/compare/catalog.toml");

/// A running server; it ends with this.
pub struct Server {
    process: Child,
    pub address: SocketAddr,
}

impl Server {
    /// Starts bursar as in production, metrics and log on.
    pub fn bursar(database: impl AsRef<OsStr>) -> Self {
        Self::bursar_with(database, CATALOG, &[])
    }

    /// As [`Server::bursar`], with another catalog and with variables set.
    pub fn bursar_with(
        database: impl AsRef<OsStr>,
        catalog: &str,
        settings: &[(&str, &str)],
    ) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bursar"));
        command.args([
            "serve",
            "--grpc-addr",
            "127.0.0.1:0",
            "--http-addr",
            "127.0.0.1:0",
        ]);
        command
            .arg("--database")
            .arg(database)
            .arg("--catalog")
            .arg(catalog)
            .envs(settings.iter().copied());
        Self::start(command, |line| {
            let rest = line.split(" grpc=").nth(1)?;
            rest.split_whitespace().next()?.parse().ok()
        })
    }

    /// Starts the echo that answers with so many bytes.
    pub fn echo(answer_bytes: usize) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("this program has a path"));
        command.args(["echo-server", &answer_bytes.to_string()]);
        Self::start(command, crate::echo::address)
    }

    fn start(mut command: Command, listens: impl Fn(&str) -> Option<SocketAddr>) -> Self {
        let mut process = command
            .stderr(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let mut lines = BufReader::new(process.stderr.take().expect("it was asked for")).lines();
        let address = lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| listens(&line))
            .expect("the server says where it listens");
        // What it says later must not block it.
        std::thread::spawn(move || lines.for_each(drop));
        Self { process, address }
    }

    /// Returns the memory it holds, in bytes.
    pub fn resident_bytes(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()))
            .expect("a running process has a status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|rest| rest.trim().strip_suffix("kB"));
        kib.and_then(|kib| kib.trim().parse::<f64>().ok())
            .expect("a size in kB")
            * 1024.0
    }

    /// Ends it and waits, so that its database can be opened again.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    pub async fn channel(&self) -> Channel {
        let endpoint =
            Channel::from_shared(format!("http://{}", self.address)).expect("an address");
        endpoint.connect().await.expect("the server listens")
    }

    /// Creates customers 0 to `count`.
    pub async fn create_customers(&self, count: usize) {
        let next = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let mut lanes = Vec::new();
        for _ in 0..8 {
            let channel = self.channel().await;
            for _ in 0..128 {
                let mut client = CustomerServiceClient::new(channel.clone());
                let next = std::sync::Arc::clone(&next);
                lanes.push(tokio::spawn(async move {
                    loop {
                        let number = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                        if number >= count {
                            return;
                        }
                        let id = customer(number);
                        let request_id = RequestId::new(format!("create-{id}")).expect("an id");
                        let request = CreateCustomerRequest {
                            request_id: request_id.to_string(),
                            customer: Some(Customer {
                                customer_id: id,
                                ..Customer::default()
                            }),
                        };
                        client.create_customer(request).await.expect("a customer");
                    }
                }));
            }
        }
        for lane in lanes {
            lane.await.expect("the lane ends");
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

/// Returns the id of a customer: 20 characters.
pub fn customer(number: usize) -> String {
    format!("customer-{number:011}")
}
