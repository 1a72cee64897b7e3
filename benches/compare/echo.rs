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
        std::future::ready(Ok(Response::new(EchoResponse { payload: self.0.clone() })))
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
