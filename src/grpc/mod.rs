//! The gRPC edge: generated types are turned into those of the domain, and back, here and nowhere above.

#[expect(
    clippy::allow_attributes,
    reason = "the generators write them into what they generate"
)]
pub mod pb;
