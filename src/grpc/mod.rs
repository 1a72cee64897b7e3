//! The gRPC edge: generated types are turned into those of the domain, and back, here and nowhere above.

pub mod billing;
pub mod catalog;
mod convert;
pub mod customer;
pub mod entitlement;
pub mod metering;
pub mod operations;
#[expect(
    clippy::allow_attributes,
    reason = "the generators write them into what they generate"
)]
pub mod pb;
pub mod sandbox;
pub mod services;
mod status;
pub mod subscription;
mod transport;
pub mod wallet;

use tonic::{Response, Status};

use crate::engine::Error;

/// Who calls, until callers are told apart.
const CALLER: &str = "anonymous";

/// Turns what a use case came to into an answer.
fn respond<T>(answer: Result<T, Error>) -> Result<Response<T>, Status> {
    answer.map(Response::new).map_err(Status::from)
}
