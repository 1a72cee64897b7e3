//! A private PostgreSQL cluster: made when it is first needed, durable, and gone with the process however that ends.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Mutex, PoisonError};

use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

/// Makes a cluster, says when it takes connections, does what it is told on standard input, and ends the cluster when
/// that closes: it does when the process that started it is gone. Signals that are meant for that process do not end
/// this one before its work.
const SCRIPT: &str = r#"
trap '' INT TERM HUP
bin=$1 port=$2
home=$(mktemp -d "${TMPDIR:-/tmp}/bursar-postgres.XXXXXX") || exit 1
cd "$home" || exit 1
start() {
    "$bin/pg_ctl" -D data -l server.log -w -t 60 start >>log 2>&1
}
stop() {
    "$bin/pg_ctl" -D data -m "$1" -w -t 60 stop >>log 2>&1
}
# The first process, which makes the others, gets the signal first, so that there are no more of them meanwhile.
signal() {
    main=$(head -n 1 data/postmaster.pid 2>>log) || return 1
    kill "-$1" "$main" || return 1
    kill "-$1" $(cat "/proc/$main/task/$main/children" 2>/dev/null || pgrep -P "$main") 2>>log
    return 0
}
# The log tells why it did not start.
if "$bin/initdb" -D data -U bursar -A trust -E UTF8 --no-locale --no-sync >log 2>&1 && cat >>data/postgresql.conf <<END &&
listen_addresses = '127.0.0.1'
port = $port
unix_socket_directories = ''
shared_buffers = 64MB
max_connections = 300
fsync = on
full_page_writes = on
synchronous_commit = on
autovacuum_naptime = 10s
END
    start
then
    echo done
    while read -r word; do
        case $word in
            stop) stop immediate ;;
            start) start ;;
            pause) signal STOP ;;
            resume) signal CONT ;;
            *) false ;;
        esac && echo done || { tail -n 20 log server.log; echo failed; }
    done
    signal CONT
    stop immediate
else
    cat log server.log 2>/dev/null
fi
cd /
rm -rf "$home"
"#;

/// How often a start is tried: somebody may take the port that was free.
const TRIES: usize = 3;

/// A running cluster. It ends when it is dropped, at the latest with the process.
pub struct Cluster {
    port: u16,
    keeper: Mutex<Keeper>,
}

/// The shell that keeps the cluster, as long as its standard input is open.
struct Keeper {
    child: Child,
    /// `None` once it is to end.
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Cluster {
    /// Makes a cluster.
    pub fn start() -> Self {
        let bin = programs();
        let mut said = String::new();
        for _ in 0..TRIES {
            let port = free_port();
            let mut keeper = Keeper::start(&bin, port);
            match keeper.hear() {
                Ok(()) => {
                    return Self {
                        port,
                        keeper: Mutex::new(keeper),
                    };
                }
                Err(text) => said = text,
            }
        }
        panic!("PostgreSQL does not start:\n{said}");
    }

    /// Returns where it listens on this machine.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the address of a database of it.
    pub fn url(&self, database: &str) -> String {
        let port = self.port;
        format!("postgres://bursar@127.0.0.1:{port}/{database}")
    }

    /// Runs a statement outside of the databases of tests.
    pub async fn execute(&self, sql: &str) {
        let url = self.url("postgres");
        let mut conn = PgConnection::connect(&url)
            .await
            .expect("the cluster takes connections");
        sqlx::raw_sql(AssertSqlSafe(sql))
            .execute(&mut conn)
            .await
            .unwrap_or_else(|error| panic!("{sql}: {error}"));
        conn.close().await.expect("a connection can be closed");
    }

    /// Stops it at once, without a word to its clients and without a checkpoint: `-m immediate`.
    pub fn stop_at_once(&self) {
        self.tell("stop");
    }

    /// Starts it after a stop, and returns when it has recovered.
    pub fn start_again(&self) {
        self.tell("start");
    }

    /// Stops all its processes where they are: connections stay, nobody answers.
    pub fn pause(&self) {
        self.tell("pause");
    }

    /// Lets its processes go on after a pause.
    pub fn resume(&self) {
        self.tell("resume");
    }

    fn tell(&self, word: &str) {
        // A test that has failed with it leaves it as it is.
        let mut keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner);
        let input = keeper.input.as_mut().expect("it ends when it is dropped");
        writeln!(input, "{word}").expect("the keeper of the cluster lives");
        if let Err(said) = keeper.hear() {
            panic!("PostgreSQL does not {word}:\n{said}");
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        drop(self.input.take());
        // It has nothing more to say; what matters is that nothing is left behind.
        let _ = self.child.wait();
    }
}

impl Keeper {
    fn start(bin: &Path, port: u16) -> Self {
        let mut command = if rustix::process::geteuid().is_root() {
            // initdb refuses to run as root.
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--", "sh"]);
            command
        } else {
            Command::new("sh")
        };
        let mut child = command
            .args(["-s", "--"])
            .arg(bin)
            .arg(port.to_string())
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start a shell for PostgreSQL: {error}"));
        let mut input = child.stdin.take().expect("it is a pipe");
        // The shell reads its script to the brace that ends it, and what follows from then on.
        let script = format!("{{ {SCRIPT}\nexit; }}\n");
        input
            .write_all(script.as_bytes())
            .expect("the shell reads its script");
        let output = BufReader::new(child.stdout.take().expect("it is a pipe"));
        Self {
            child,
            input: Some(input),
            output,
        }
    }

    /// Waits for what it was told to be done; what it says instead otherwise.
    fn hear(&mut self) -> Result<(), String> {
        let mut said = String::new();
        loop {
            let before = said.len();
            let read = self.output.read_line(&mut said);
            match said[before..].trim_end() {
                "done" => return Ok(()),
                "failed" => return Err(said),
                _ if !read.is_ok_and(|bytes| bytes > 0) => return Err(said),
                _ => {}
            }
        }
    }
}

/// Returns a port of this machine that nobody uses, below those that the system gives to connections: it stays free
/// while who used it is away.
pub fn free_port() -> u16 {
    const FIRST: u16 = 15_000;
    const COUNT: u16 = 16_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Processes that run at the same time begin at different ones.
    let begin = std::process::id().wrapping_mul(379) % u32::from(COUNT);
    let begin = u16::try_from(begin).expect("it is less than a port");
    for _ in 0..COUNT {
        let place = begin.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT;
        if TcpListener::bind(("127.0.0.1", FIRST + place)).is_ok() {
            return FIRST + place;
        }
    }
    panic!("no port is free");
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
