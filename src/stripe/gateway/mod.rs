//! The gateway to Stripe: requests that the crates' request types build, a transport of our own
//! that carries them, and small structs that read the answers and leave aside what they do not
//! know.
//!
//! `account` has what makes them, and the calls stand in one file per thing under `calls`; what they return stands in `objects`,
//! which reads the payloads of webhooks just as well. `caller` makes the calls at the account's rate
//! and repeats those that may be; `fault` says what a failure means. `transport` is what carries a
//! call, `http` over a network, `record` with a copy kept. `signature` checks webhooks.

mod account;
mod caller;
mod calls;
mod connect;
mod fault;
mod http;
mod objects;
mod pace;
mod page;
mod record;
mod shape;
mod signature;
mod transport;

use super::wire;

pub use self::account::{Answer, Deleted, Gateway};
pub use self::caller::Caller;
pub use self::calls::*;
pub use self::fault::{Details, Fault, Kind};
pub use self::http::{ANSWER_MAX, API_VERSION, Http, HttpSettings, HttpSettingsError, STRIPE_URL};
pub use self::objects::*;
pub use self::pace::{Rates, Repeats};
pub use self::page::{Cursor, Identified, PAGE_MAX, Page};
pub use self::record::Recorder;
pub use self::shape::{IDEMPOTENCY_KEY_MAX, Metadata};
pub use self::signature::{BadSignature, HEADER_MAX, SECRETS_MAX, TOLERANCE, verify};
pub use self::transport::{Transport, TransportFault};
