//! The code generated from `proto/`.
#![allow(
    missing_docs,
    unused_qualifications,
    clippy::pedantic,
    clippy::large_enum_variant,
    reason = "generated; the protos hold the comments"
)]

/// The public API: messages, clients and servers of `countersign.v1`.
pub mod v1 {
    tonic::include_proto!("countersign.v1");
}

/// The stored form of records and events: messages of `countersign.store.v1`.
pub mod store {
    tonic::include_proto!("countersign.store.v1");
}

/// The descriptors of all protos, for reflection and for tests.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptor.bin"));
