//! The server under test: the real binary, as a child of ours that is killed through its handle and no other way.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bursar::clock::Stopwatch;
use rustix::process::Signal;

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
    /// As `--database` takes it.
    pub database: String,
    /// What an empty database begins with.
    pub catalog: PathBuf,
    /// Where it serves gRPC; port 0: where there is room.
    pub grpc_addr: SocketAddr,
    /// Further settings, by their variables.
    pub settings: Vec<(&'static str, String)>,
}

impl Setup {
    /// A server on a free port, with nothing set.
    pub fn new(
        binary: impl Into<PathBuf>,
        database: impl Into<String>,
        catalog: impl Into<PathBuf>,
    ) -> Self {
        Self {
            binary: binary.into(),
            database: database.into(),
            catalog: catalog.into(),
            grpc_addr: SocketAddr::from(([127, 0, 0, 1], 0)),
            settings: Vec::new(),
        }
    }

    /// Sets a variable.
    #[must_use]
    pub fn set(mut self, variable: &'static str, value: impl std::fmt::Display) -> Self {
        self.settings.push((variable, format!("{value}")));
        self
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
    /// The failpoint that it reached before it served, which it never will.
    stands_at: Option<String>,
    pub addr: SocketAddr,
}

impl Server {
    /// Starts it and waits until it serves. `failpoint` is where it stops for good: a name and the number of the hit.
    pub fn start(setup: &Setup, failpoint: Option<(&str, u64)>) -> io::Result<Self> {
        let mut server = Self::spawn(setup, failpoint)?;
        match server.said.recv_timeout(START_WAIT) {
            Ok(Said::Serving(addr)) => server.addr = addr,
            // What it sends by itself may get it there before it serves.
            Ok(Said::Failpoint(hit)) if failpoint.is_some() => server.stands_at = Some(hit),
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
            .arg("--grpc-addr")
            .arg(setup.grpc_addr.to_string())
            .args(["--http-addr", "127.0.0.1:0", "--database"])
            .arg(&setup.database)
            .arg("--catalog")
            .arg(&setup.catalog)
            .env_remove("BURSAR_FAILPOINT")
            .env_remove("BURSAR_FAULT")
            .envs(setup.settings.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        if let Some((name, count)) = failpoint {
            command.env("BURSAR_FAILPOINT", format!("{name}:{count}"));
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
            stands_at: None,
            addr: setup.grpc_addr,
        })
    }

    /// Waits until the server stands at its failpoint; false when it does not within the time.
    pub fn wait_for_failpoint(&self, name: &str, at_most: Duration) -> bool {
        if let Some(hit) = &self.stands_at {
            return hit == name;
        }
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

    /// Stops it where it is: its connections stay, nobody answers.
    pub fn pause(&self) -> io::Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets it go on after a pause.
    pub fn resume(&self) -> io::Result<()> {
        self.signal(Signal::CONT)
    }

    fn signal(&self, signal: Signal) -> io::Result<()> {
        let pid = rustix::process::Pid::from_child(&self.child);
        Ok(rustix::process::kill_process(pid, signal)?)
    }

    /// An error when it has ended by itself.
    pub fn is_alive(&mut self) -> io::Result<()> {
        match self.child.try_wait()? {
            Some(status) => Err(self.ended(status)),
            None => Ok(()),
        }
    }

    /// Asks it to stop and waits until it has; an error when it does not, or not cleanly.
    pub fn stop(mut self) -> io::Result<()> {
        self.signal(Signal::TERM)?;
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

    /// Returns the last that it said.
    pub fn log(&self) -> String {
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
