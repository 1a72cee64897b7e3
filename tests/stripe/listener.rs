//! Connections: taken, counted, refused and cut.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::account::Account;
use super::exchange;

/// How long to wait before the address is asked for again.
const REBIND_AFTER: Duration = Duration::from_millis(20);

/// What becomes of connections. All but the first ends those that stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// They are taken.
    Open,
    /// They are taken and closed at once, before a byte is read.
    CloseAtAccept,
    /// Nobody listens: they are refused.
    NotListening,
    /// Nobody listens, and nobody will.
    Shut,
}

/// Takes connections until the door is shut. What is in force is told to `state`.
pub(super) async fn listen(
    account: Arc<Account>,
    connections: Arc<AtomicU64>,
    listener: TcpListener,
    mut door: watch::Receiver<Door>,
    state: watch::Sender<Door>,
) -> io::Result<()> {
    let address = listener.local_addr()?;
    let mut listening = Some(listener);
    loop {
        let wanted = *door.borrow_and_update();
        match wanted {
            Door::Open | Door::CloseAtAccept => {
                if listening.is_none() {
                    listening = Some(bind(address).await);
                }
            }
            Door::NotListening => listening = None,
            Door::Shut => {
                drop(listening);
                state.send_replace(wanted);
                return Ok(());
            }
        }
        state.send_replace(wanted);
        loop {
            let stream = tokio::select! {
                changed = door.changed() => match changed {
                    Ok(()) => break,
                    // Whoever held the door is gone.
                    Err(_) => return Ok(()),
                },
                stream = accept(listening.as_ref()) => stream,
            };
            if wanted == Door::Open {
                let number = connections.fetch_add(1, Ordering::Relaxed) + 1;
                let account = Arc::clone(&account);
                tokio::spawn(serve(account, number, stream, door.clone()));
            }
        }
    }
}

async fn accept(listener: Option<&TcpListener>) -> TcpStream {
    let Some(listener) = listener else {
        return std::future::pending().await;
    };
    loop {
        // One that was gone before it was taken is no reason to stop.
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(_) => tokio::time::sleep(REBIND_AFTER).await,
        }
    }
}

async fn bind(address: SocketAddr) -> TcpListener {
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => return listener,
            Err(_) => tokio::time::sleep(REBIND_AFTER).await,
        }
    }
}

async fn serve(
    account: Arc<Account>,
    number: u64,
    stream: TcpStream,
    mut door: watch::Receiver<Door>,
) {
    // Without it an answer on a standing connection waits for the other side's acknowledgement.
    let _ = stream.set_nodelay(true);
    let reset = Arc::new(AtomicBool::new(false));
    let wire = Wire {
        stream,
        reset: Arc::clone(&reset),
    };
    let service = service_fn(|message| {
        exchange::answer(Arc::clone(&account), number, Arc::clone(&reset), message)
    });
    let connection = http1::Builder::new().serve_connection(TokioIo::new(wire), service);
    let closing = door.wait_for(|door| *door != Door::Open);
    // How a connection ends is the client's to notice.
    tokio::select! {
        _ = connection => {}
        _ = closing => {}
    }
}

/// A connection that ends with a reset instead of an end, if that was asked for.
struct Wire {
    stream: TcpStream,
    reset: Arc<AtomicBool>,
}

impl Drop for Wire {
    fn drop(&mut self) {
        if self.reset.load(Ordering::Relaxed) {
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, buffer)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
