//! The double, over real connections.

mod calls;
mod client;
mod faults;
mod locks;
mod meter_events;
mod receiver;
mod webhooks;
