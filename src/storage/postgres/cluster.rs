//! A private PostgreSQL cluster for tests: one per test process, gone with it however it ends.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};

use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tokio::sync::OnceCell;

/// Makes a cluster, says when it takes connections, and ends it when standard input closes: that happens when the
/// process that started it is gone. Signals that are meant for that process do not end this one before its work.
const SCRIPT: &str = r#"
trap '' INT TERM HUP
bin=$1 port=$2
home=$(mktemp -d "${TMPDIR:-/tmp}/bursar-postgres.XXXXXX") || exit 1
cd "$home" || exit 1
# The log tells why it did not start.
if "$bin/initdb" -D data -U bursar -A trust -E UTF8 --no-locale --no-sync >log 2>&1 && cat >>data/postgresql.conf <<END &&
listen_addresses = '127.0.0.1'
port = $port
unix_socket_directories = ''
shared_buffers = 64MB
max_connections = 200
fsync = on
autovacuum_naptime = 10s
END
    "$bin/pg_ctl" -D data -l server.log -w -t 60 start >>log 2>&1
then
    echo ready
    cat >/dev/null
    "$bin/pg_ctl" -D data -m immediate -w stop >>log 2>&1
else
    cat log server.log 2>/dev/null
fi
cd /
rm -rf "$home"
"#;

/// The database that those of the tests are copied from.
const TEMPLATE: &str = "bursar_template";
/// How often a start is tried: somebody may take the port that was free.
const TRIES: usize = 3;

/// A running cluster.
struct Cluster {
    port: u16,
    /// Its standard input keeps it alive.
    _keeper: Child,
}

static CLUSTER: OnceLock<Cluster> = OnceLock::new();
static TEMPLATE_MADE: OnceCell<()> = OnceCell::const_new();
static NUMBER: AtomicUsize = AtomicUsize::new(0);
/// Databases of tests that have ended.
static FINISHED: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// A database of its own, dropped some time after this is.
pub struct Database {
    name: String,
}

impl Database {
    /// Makes a database that has the schema.
    pub async fn migrated() -> Self {
        TEMPLATE_MADE
            .get_or_init(|| async {
                execute(&format!("CREATE DATABASE {TEMPLATE}")).await;
                let mut conn = PgConnection::connect(&url(TEMPLATE)).await.unwrap();
                let migrations = super::migrate::MIGRATIONS;
                super::migrate::run(&mut conn, migrations).await.unwrap();
                conn.close().await.unwrap();
            })
            .await;
        Self::make(TEMPLATE).await
    }

    /// Makes a database that has nothing.
    pub async fn empty() -> Self {
        Self::make("template0").await
    }

    async fn make(template: &str) -> Self {
        let finished = std::mem::take(&mut *FINISHED.lock().unwrap());
        for name in finished {
            execute(&format!("DROP DATABASE {name} WITH (FORCE)")).await;
        }
        let name = format!("test_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        execute(&format!("CREATE DATABASE {name} TEMPLATE {template}")).await;
        Self { name }
    }

    /// Returns its address.
    pub fn url(&self) -> String {
        url(&self.name)
    }

    /// Connects to it, past the store.
    pub async fn connect(&self) -> PgConnection {
        PgConnection::connect(&self.url()).await.unwrap()
    }

    /// Changes a setting of the database, for connections that are opened afterwards.
    pub async fn set(&self, setting: &str, value: &str) {
        let name = &self.name;
        execute(&format!("ALTER DATABASE {name} SET {setting} = {value}")).await;
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        FINISHED
            .lock()
            .unwrap()
            .push(std::mem::take(&mut self.name));
    }
}

/// Runs a statement outside of the databases of tests.
async fn execute(sql: &str) {
    let mut conn = PgConnection::connect(&url("postgres")).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(sql))
        .execute(&mut conn)
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error}"));
    conn.close().await.unwrap();
}

fn url(database: &str) -> String {
    let port = CLUSTER.get_or_init(Cluster::start).port;
    format!("postgres://bursar@127.0.0.1:{port}/{database}")
}

impl Cluster {
    fn start() -> Self {
        let bin = programs();
        let mut said = String::new();
        for _ in 0..TRIES {
            let free = TcpListener::bind(("127.0.0.1", 0)).unwrap();
            let port = free.local_addr().unwrap().port();
            drop(free);
            let mut command = if rustix::process::geteuid().is_root() {
                // initdb refuses to run as root.
                let mut command = Command::new("runuser");
                command.args(["-u", "postgres", "--", "sh"]);
                command
            } else {
                Command::new("sh")
            };
            let mut keeper = command
                .args(["-s", bin.to_str().unwrap(), &port.to_string()])
                .current_dir("/")
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .unwrap_or_else(|error| panic!("cannot start a shell for PostgreSQL: {error}"));
            // The shell reads its script to the brace that ends it, and what follows from then on.
            let script = format!("{{ {SCRIPT}\nexit; }}\n");
            let stdin = keeper.stdin.as_mut().unwrap();
            stdin.write_all(script.as_bytes()).unwrap();
            let mut output = BufReader::new(keeper.stdout.take().unwrap());
            said.clear();
            while output.read_line(&mut said).unwrap() > 0 {
                if said.ends_with("ready\n") {
                    return Self {
                        port,
                        _keeper: keeper,
                    };
                }
            }
            keeper.wait().unwrap();
        }
        panic!("PostgreSQL does not start:\n{said}");
    }
}

/// Finds the programs of the server, of the newest version that is installed.
fn programs() -> PathBuf {
    let configured = Command::new("pg_config").arg("--bindir").output();
    let configured = configured
        .ok()
        .map(|output| PathBuf::from(String::from_utf8_lossy(&output.stdout).trim().to_owned()));
    let versions = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten();
    let mut installed: Vec<(u32, PathBuf)> = versions
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let version = path.file_name()?.to_str()?.parse().ok()?;
            Some((version, path.join("bin")))
        })
        .collect();
    installed.sort();
    let installed = installed.into_iter().rev().map(|(_, path)| path);
    configured
        .into_iter()
        .chain(installed)
        .find(|path| has_server(path))
        .expect(
            "these tests need the PostgreSQL server, version 15 or later: run `scripts/install-tools postgres`, or \
             install the package `postgresql` (its initdb and pg_ctl are looked for where `pg_config --bindir` says, \
             and in /usr/lib/postgresql/*/bin)",
        )
}

fn has_server(path: &Path) -> bool {
    ["initdb", "pg_ctl", "postgres"]
        .iter()
        .all(|program| path.join(program).is_file())
}
