//! A link between one server and the database, which fails on command: slow, silent, refused, cut, cut at a COMMIT.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::messages::Messages;

/// How long the database may take to answer a COMMIT whose client is gone.
const ANSWER_WAIT: Duration = Duration::from_secs(30);

/// How the link carries what is sent over it, now and on connections to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// At once.
    Open,
    /// Each piece so much later, in both directions.
    Slow(Duration),
    /// Not at all: bytes are taken, and delivered late when it opens again, as those of a network that lost its way.
    /// Also the end of a connection is news that does not arrive.
    Silent { to: bool, from: bool },
}

/// Where a connection is cut that sends a COMMIT; its client never learns what came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AtCommit {
    /// The database does not get it.
    Before,
    /// The database gets it, and its answer is lost.
    After,
    /// The database gets it so much later than the client hears of the cut.
    Late(Duration),
}

/// What the threads share.
struct Shared {
    database: SocketAddr,
    link: watch::Sender<Link>,
    refuses: watch::Sender<bool>,
    /// Cancelled to cut the connections that there are.
    cut: Mutex<CancellationToken>,
    /// What happens at which COMMIT from now.
    armed: Mutex<Option<(AtCommit, usize)>>,
    cut_at_commit: AtomicUsize,
    closed: CancellationToken,
}

/// A link. It is cut when it is dropped.
pub struct Proxy {
    shared: Arc<Shared>,
    port: u16,
    thread: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Makes a link to a port of this machine.
    pub fn to(port: u16) -> Self {
        let shared = Arc::new(Shared {
            database: SocketAddr::from(([127, 0, 0, 1], port)),
            link: watch::Sender::new(Link::Open),
            refuses: watch::Sender::new(false),
            cut: Mutex::default(),
            armed: Mutex::default(),
            cut_at_commit: AtomicUsize::new(0),
            closed: CancellationToken::new(),
        });
        let port = super::cluster::free_port();
        let listener = std::net::TcpListener::bind(("127.0.0.1", port));
        let listener = listener.expect("the port was free just now");
        listener.set_nonblocking(true).expect("a socket of ours");
        let serving = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("proxy".to_owned())
            .spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .expect("a runtime can be made");
                runtime.block_on(serve(listener, serving));
            })
            .expect("a thread can be made");
        Self {
            shared,
            port,
            thread: Some(thread),
        }
    }

    /// Returns the address of a database at the other end.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://bursar@127.0.0.1:{}/{database}", self.port)
    }

    /// Sets how it carries.
    pub fn set(&self, link: Link) {
        self.shared.link.send_replace(link);
    }

    /// Whether connections to come are reset as soon as they are made.
    pub fn refuse(&self, refuses: bool) {
        self.shared.refuses.send_replace(refuses);
    }

    /// Resets all connections that there are, at both ends.
    pub fn cut(&self) {
        std::mem::take(&mut *lock(&self.shared.cut)).cancel();
    }

    /// Cuts the connection that sends the `nth` COMMIT from now, 1 being the next.
    pub fn cut_at_commit(&self, how: AtCommit, nth: usize) {
        *lock(&self.shared.armed) = Some((how, nth));
    }

    /// Returns how many connections were cut at a COMMIT.
    pub fn cuts_at_commit(&self) -> usize {
        self.shared.cut_at_commit.load(Ordering::Relaxed)
    }

    /// Forgets what was to be done at a COMMIT, refuses nothing and carries at once.
    pub fn heal(&self) {
        *lock(&self.shared.armed) = None;
        self.refuse(false);
        self.set(Link::Open);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.closed.cancel();
        if let Some(thread) = self.thread.take() {
            // It has ended by a panic at worst, which was printed.
            let _ = thread.join();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(listener: std::net::TcpListener, shared: Arc<Shared>) {
    let listener = TcpListener::from_std(listener).expect("a socket of ours");
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shared.closed.cancelled() => return,
        };
        if let Ok((client, _)) = accepted {
            tokio::spawn(carry(Arc::clone(&shared), client));
        }
    }
}

/// Why a connection ends.
enum End {
    /// One end closed it, or it failed.
    Closed,
    /// It is to be cut.
    Cut,
    /// It is to be cut at this message, which commits.
    AtCommit(AtCommit, Vec<u8>),
}

/// Carries one connection to its end.
async fn carry(shared: Arc<Shared>, mut client: TcpStream) {
    let cut = lock(&shared.cut).clone();
    if *shared.refuses.borrow() {
        return reset(client);
    }
    let Ok(mut database) = TcpStream::connect(shared.database).await else {
        return reset(client);
    };
    // Small messages go at once, as they would without us.
    let _ = client.set_nodelay(true).and(database.set_nodelay(true));
    let (from_client, to_client) = client.split();
    let (from_database, to_database) = database.split();
    let end = tokio::select! {
        end = carry_to(&shared, from_client, to_database) => end,
        end = carry_from(&shared, from_database, to_client) => end,
        () = cut.cancelled() => Ok(End::Cut),
        () = shared.closed.cancelled() => Ok(End::Cut),
    };
    match end {
        Ok(End::Closed) | Err(_) => {}
        Ok(End::Cut) => {
            reset(client);
            reset(database);
        }
        Ok(End::AtCommit(how, message)) => {
            reset(client);
            match how {
                AtCommit::Before => reset(database),
                AtCommit::After => finish(database, &message).await,
                AtCommit::Late(time) => {
                    sleep(time).await;
                    finish(database, &message).await;
                }
            }
        }
    }
}

/// Closes a connection so that its other end sees it reset.
fn reset(stream: TcpStream) {
    // It may be closed already.
    let _ = stream.set_zero_linger();
    drop(stream);
}

/// Delivers a COMMIT whose client is gone, and stays until it is answered.
async fn finish(mut database: TcpStream, message: &[u8]) {
    let answered = async {
        database.write_all(message).await?;
        let mut answer = [0; 1024];
        database.read(&mut answer).await
    };
    // Nobody is left to hear of it.
    let _ = timeout(ANSWER_WAIT, answered).await;
}

async fn carry_to(
    shared: &Shared,
    mut client: ReadHalf<'_>,
    mut database: WriteHalf<'_>,
) -> io::Result<End> {
    let mut messages = Messages::default();
    let mut piece = vec![0; 65_536];
    loop {
        let length = client.read(&mut piece).await.unwrap_or(0);
        pass(shared, |silent_to, _| silent_to).await;
        messages.take(&piece[..length]);
        let mut ready = Vec::new();
        while let Some(message) = messages.next() {
            if message.commits
                && let Some(how) = shared.due()
            {
                database.write_all(&ready).await?;
                return Ok(End::AtCommit(how, message.bytes));
            }
            ready.extend(message.bytes);
        }
        if length == 0 {
            ready.extend(messages.rest());
        }
        database.write_all(&ready).await?;
        if length == 0 {
            return Ok(End::Closed);
        }
    }
}

async fn carry_from(
    shared: &Shared,
    mut database: ReadHalf<'_>,
    mut client: WriteHalf<'_>,
) -> io::Result<End> {
    let mut piece = vec![0; 65_536];
    loop {
        let length = database.read(&mut piece).await.unwrap_or(0);
        pass(shared, |_, silent_from| silent_from).await;
        if length == 0 {
            return Ok(End::Closed);
        }
        client.write_all(&piece[..length]).await?;
    }
}

/// Waits as long as the link keeps something back.
async fn pass(shared: &Shared, is_silent: fn(bool, bool) -> bool) {
    let mut link = shared.link.subscribe();
    loop {
        let now = *link.borrow_and_update();
        match now {
            Link::Silent { to, from } if is_silent(to, from) => {}
            Link::Slow(time) => return sleep(time).await,
            Link::Open | Link::Silent { .. } => return,
        }
        // It is told as long as there is a link.
        let _ = link.changed().await;
    }
}

impl Shared {
    /// Counts a COMMIT; what is to be done at it.
    fn due(&self) -> Option<AtCommit> {
        let mut armed = lock(&self.armed);
        let (how, left) = (*armed)?;
        if left > 1 {
            *armed = Some((how, left - 1));
            return None;
        }
        *armed = None;
        self.cut_at_commit.fetch_add(1, Ordering::Relaxed);
        Some(how)
    }
}
