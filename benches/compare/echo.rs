//! A bare tonic server that answers with bytes of a given size: what the transport costs by itself.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::task::{Context, Poll};

use bytes::Bytes;
use tonic::codegen::{BoxFuture, Service, http};
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

/// A request of two texts, as a check has.
#[derive(Clone, PartialEq, prost::Message)]
pub struct EchoRequest {
    #[prost(string, tag = "1")]
    pub first: String,
    #[prost(string, tag = "2")]
    pub second: String,
}

/// An answer of some bytes.
#[derive(Clone, PartialEq, prost::Message)]
pub struct EchoResponse {
    #[prost(bytes = "bytes", tag = "1")]
    pub payload: Bytes,
}

/// Answers every call with the same payload.
#[derive(Clone)]
pub struct Echo(pub Bytes);

pub const PATH: &str = "/bench.Echo/Echo";

impl NamedService for Echo {
    const NAME: &'static str = "bench.Echo";
}

impl UnaryService<EchoRequest> for Echo {
    type Response = EchoResponse;
    type Future = std::future::Ready<Result<Response<EchoResponse>, Status>>;

    fn call(&mut self, _: Request<EchoRequest>) -> Self::Future {
        std::future::ready(Ok(Response::new(EchoResponse {
            payload: self.0.clone(),
        })))
    }
}

impl Service<http::Request<tonic::body::Body>> for Echo {
    type Response = http::Response<tonic::body::Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<tonic::body::Body>) -> Self::Future {
        let service = self.clone();
        Box::pin(async move {
            let mut grpc = Grpc::new(ProstCodec::default());
            Ok(grpc.unary(service, request).await)
        })
    }
}

/// Where an echo server listens.
pub fn address(line: &str) -> Option<SocketAddr> {
    line.strip_prefix("listening ")?.trim().parse().ok()
}

/// Serves echoes for ever, in bursar's layout: one thread per core with a runtime of its own, and one acceptor
/// that hands connections out in turn.
pub fn serve(payload: usize) -> ! {
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let echo = Echo(vec![7; payload].into());
    let lanes: Vec<_> = (0..threads).map(|_| lane(echo.clone())).collect();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    eprintln!(
        "listening {}",
        listener.local_addr().expect("a bound address")
    );
    for turn in 0.. {
        let (socket, _) = listener.accept().expect("a connection");
        socket.set_nodelay(true).expect("a socket option");
        socket.set_nonblocking(true).expect("a socket option");
        lanes[turn % lanes.len()]
            .blocking_send(socket)
            .expect("the lane lives");
    }
    unreachable!("an endless loop ends")
}

fn lane(echo: Echo) -> tokio::sync::mpsc::Sender<std::net::TcpStream> {
    let (sender, receiver) = tokio::sync::mpsc::channel(64);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime can be made");
    std::thread::spawn(move || {
        let sockets = tokio_stream::wrappers::ReceiverStream::new(receiver);
        let sockets = tokio_stream::StreamExt::map(sockets, tokio::net::TcpStream::from_std);
        // The same windows as bursar's.
        let served = tonic::transport::Server::builder()
            .initial_stream_window_size(256 * 1024)
            .initial_connection_window_size(32 * 1024 * 1024)
            .max_concurrent_streams(1024)
            .add_service(echo)
            .serve_with_incoming(sockets);
        runtime.block_on(served).expect("the echo serves");
    });
    sender
}
