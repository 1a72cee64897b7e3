//! The real binary: servers in processes of their own, commands with what they say.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tonic::transport::{Channel, Endpoint};

use crate::harness::CATALOG;
use crate::postgres::cluster::{Cluster, free_port};

/// What else is sold: each page costs two cents from the first on.
const PRICED: &str = r#"
[credit_units.USD]
per_dollar = 1

[meters.pages]
unit = "page"
aggregation = "sum"

[features.pages]
metered = { meter = "pages" }

[plans.basic.entitlements.pages.wallet]
credit_unit = "USD"
per_unit = "0.02"
from_first_unit = true
"#;

/// How often a server is asked whether it is there, and how long after one another.
const ASKS: usize = 600;
const PAUSE: Duration = Duration::from_millis(100);

/// Returns the binary as a command.
pub fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bursar"));
    command.args(["--log-level", "warn"]);
    command
}

/// Runs a command to its end.
pub fn bursar(args: &[&str]) -> Output {
    binary().args(args).output().unwrap()
}

/// Runs a command that must do what it is asked; returns what it printed.
pub fn done(args: &[&str]) -> String {
    let output = bursar(args);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{args:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

/// Runs a command that must refuse; returns why.
pub fn refused(args: &[&str]) -> String {
    let output = bursar(args);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{args:?}: {said}");
    assert!(said.starts_with("bursar: "), "{said}");
    said
}

/// A kind of database.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    Sqlite,
    Postgres,
}

/// Folders and databases of one test.
pub struct Ground {
    folder: TempDir,
}

impl Ground {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(
            folder.path().join("catalog.toml"),
            format!("{CATALOG}{PRICED}"),
        )
        .unwrap();
        Self { folder }
    }

    /// Returns where a file of this test is.
    pub fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    /// Names a database that is not there yet, or that is empty.
    pub async fn place(&self, kind: Kind) -> String {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        static CLUSTER: OnceLock<Cluster> = OnceLock::new();
        let name = format!("operations_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        match kind {
            Kind::Sqlite => format!("sqlite:{}", self.path(&name)),
            Kind::Postgres => {
                let cluster = CLUSTER.get_or_init(Cluster::start);
                cluster.execute(&format!("CREATE DATABASE {name}")).await;
                cluster.url(&name)
            }
        }
    }

    /// Starts a server.
    pub async fn serve(&self, database: &str) -> Served {
        self.serve_with(database, &[]).await
    }

    /// Starts a server with settings, by their variables.
    pub async fn serve_with(&self, database: &str, settings: &[(&str, &str)]) -> Served {
        let catalog = self.folder.path().join("catalog.toml");
        Served::start(database, &catalog, settings).await
    }
}

/// A server in a process of its own; killed when it is dropped.
pub struct Served {
    child: Child,
    pub channel: Channel,
    /// Where it serves gRPC.
    pub address: String,
    /// Where it serves HTTP.
    pub http_addr: SocketAddr,
}

impl Served {
    async fn start(database: &str, catalog: &Path, settings: &[(&str, &str)]) -> Self {
        let address = format!("127.0.0.1:{}", free_port());
        let http_addr = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let catalog = PathBuf::from(catalog);
        let mut child = binary()
            .args(["serve", "--threads", "1", "--database", database])
            .args([
                "--grpc-addr",
                &address,
                "--http-addr",
                &http_addr.to_string(),
            ])
            .arg("--catalog")
            .arg(catalog)
            .envs(settings.iter().copied())
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let endpoint = Endpoint::new(format!("http://{address}")).unwrap();
        for _ in 0..ASKS {
            if let Ok(channel) = endpoint.connect().await {
                return Self {
                    child,
                    channel,
                    address,
                    http_addr,
                };
            }
            let ended = child.try_wait().unwrap();
            assert!(ended.is_none(), "the server ended: {ended:?}");
            tokio::time::sleep(PAUSE).await;
        }
        let _ = child.kill();
        panic!("the server does not answer");
    }

    /// Returns how much memory it has, in bytes.
    pub fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes = resident.and_then(|text| text.split_whitespace().next());
        kilobytes.unwrap().parse::<u64>().unwrap() * 1024
    }

    /// Tells it to stop and waits until it has.
    pub async fn stop(mut self) {
        let pid = i32::try_from(self.child.id()).unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), Signal::TERM).unwrap();
        for _ in 0..ASKS {
            if let Some(status) = self.child.try_wait().unwrap() {
                assert!(status.success(), "{status}");
                return;
            }
            tokio::time::sleep(PAUSE).await;
        }
        panic!("the server does not stop");
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // One that was stopped is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a test that starts processes.
pub fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap()
        .block_on(async {
            tokio::time::timeout(Duration::from_secs(240), test)
                .await
                .expect("the test ends in time");
        });
}
