//! The server under test: the real binary, as a child of ours that is killed through its handle and no other way.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bursar::clock::Stopwatch;

/// How long a start may take, with whatever it has to recover.
const START_WAIT: Duration = Duration::from_secs(30);
/// How long a stop that was asked for may take.
const STOP_WAIT: Duration = Duration::from_secs(30);
/// Last lines of its log that are kept.
const LINES_KEPT: usize = 30;

/// How the server is started each time.
#[derive(Debug, Clone)]
pub struct Setup {
    pub binary: PathBuf,
    /// Where the database and the catalog are.
    pub folder: PathBuf,
    /// The deliberate defect of the build, if any.
    pub fault: Option<&'static str>,
}

impl Setup {
    pub fn database(&self) -> PathBuf {
        self.folder.join("bursar.db")
    }

    pub fn catalog(&self) -> PathBuf {
        self.folder.join("catalog.toml")
    }
}

/// What the server said on standard error that matters here.
#[derive(Debug)]
enum Said {
    Serving(SocketAddr),
    Failpoint(String),
}

/// A running server. Dropping it kills it.
pub struct Server {
    child: Child,
    said: Receiver<Said>,
    last_lines: Arc<Mutex<VecDeque<String>>>,
    pub addr: SocketAddr,
}

impl Server {
    /// Starts it and waits until it serves. `failpoint` is where it stops for good: a name and the number of the hit.
    pub fn start(setup: &Setup, failpoint: Option<(&str, u64)>) -> io::Result<Self> {
        let mut server = Self::spawn(setup, failpoint)?;
        match server.said.recv_timeout(START_WAIT) {
            Ok(Said::Serving(addr)) => server.addr = addr,
            Ok(Said::Failpoint(_)) | Err(_) => {
                return Err(io::Error::other(format!(
                    "the server does not start:\n{}",
                    server.log()
                )));
            }
        }
        Ok(server)
    }

    /// Starts it and does not wait for it.
    pub fn spawn(setup: &Setup, failpoint: Option<(&str, u64)>) -> io::Result<Self> {
        let mut command = Command::new(&setup.binary);
        command
            .arg("serve")
            .args(["--grpc-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0"])
            .arg("--database")
            .arg(setup.database())
            .arg("--catalog")
            .arg(setup.catalog())
            .env_remove("BURSAR_FAILPOINT")
            .env_remove("BURSAR_FAULT")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        if let Some((name, count)) = failpoint {
            command.env("BURSAR_FAILPOINT", format!("{name}:{count}"));
        }
        if let Some(fault) = setup.fault {
            command.env("BURSAR_FAULT", fault);
        }
        let mut child = command.spawn()?;
        let stderr = child
            .stderr
            .take()
            .ok_or_else(|| io::Error::other("no standard error"))?;
        let last_lines = Arc::new(Mutex::new(VecDeque::new()));
        let kept = Arc::clone(&last_lines);
        let (tell, said) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if let Some(said) = read_line(&line) {
                    // Nobody listens once the server is killed.
                    let _ = tell.send(said);
                }
                let mut kept = kept.lock().expect("nobody panics with it");
                if kept.len() == LINES_KEPT {
                    kept.pop_front();
                }
                kept.push_back(line);
            }
        });
        Ok(Self {
            child,
            said,
            last_lines,
            addr: SocketAddr::from(([127, 0, 0, 1], 0)),
        })
    }

    /// Waits until the server stands at its failpoint; false when it does not within the time.
    pub fn wait_for_failpoint(&self, name: &str, at_most: Duration) -> bool {
        match self.said.recv_timeout(at_most) {
            Ok(Said::Failpoint(hit)) => hit == name,
            Ok(Said::Serving(_)) | Err(_) => false,
        }
    }

    /// Lets time pass while the server runs.
    pub fn wait(&self, time: Duration) {
        // It says nothing while no failpoint is set; when it ends, so does the wait.
        match self.said.recv_timeout(time) {
            Ok(_) | Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
        }
    }

    /// Kills it with SIGKILL. An error when it had ended by itself before.
    pub fn kill(mut self) -> io::Result<()> {
        if let Some(status) = self.child.try_wait()? {
            return Err(self.ended(status));
        }
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Asks it to stop and waits until it has; an error when it does not, or not cleanly.
    pub fn stop(mut self) -> io::Result<()> {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        let watch = Stopwatch::start();
        while watch.elapsed() < STOP_WAIT {
            if let Some(status) = self.child.try_wait()? {
                return if status.success() {
                    Ok(())
                } else {
                    Err(self.ended(status))
                };
            }
            // The channel ends with the process.
            let _ = self.said.recv_timeout(Duration::from_millis(20));
        }
        Err(io::Error::other(format!(
            "the server does not stop:\n{}",
            self.log()
        )))
    }

    fn ended(&self, status: ExitStatus) -> io::Error {
        io::Error::other(format!(
            "the server ended by itself, {status}:\n{}",
            self.log()
        ))
    }

    fn log(&self) -> String {
        let lines = self.last_lines.lock().expect("nobody panics with it");
        lines
            .iter()
            .fold(String::new(), |text, line| text + "  | " + line + "\n")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read_line(line: &str) -> Option<Said> {
    if let Some(name) = line.strip_prefix("failpoint: ") {
        return Some(Said::Failpoint(name.trim().to_owned()));
    }
    let addr = line.split_once(" grpc=")?.1.split_whitespace().next()?;
    addr.parse().ok().map(Said::Serving)
}

/// A folder of its own for one run, removed at the end.
pub fn folder() -> io::Result<tempfile::TempDir> {
    tempfile::Builder::new().prefix("bursar-crash-").tempdir()
}

/// Puts the catalog where the server finds it.
pub fn write_catalog(path: &Path) -> io::Result<()> {
    std::fs::write(path, crate::world::CATALOG)
}
