//! The generated messages, clients and servers of `bursar.v1`; nothing is written here by hand.

#![expect(
    clippy::pedantic,
    reason = "generated code; its words are the comments of the protocol files"
)]

tonic::include_proto!("bursar.v1");

/// Descriptors of every message and service, for reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = tonic::include_file_descriptor_set!("bursar_descriptor");
