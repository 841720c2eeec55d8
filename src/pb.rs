//! The code generated from `proto/`.
#![allow(
    missing_docs,
    unused_qualifications,
    clippy::pedantic,
    clippy::large_enum_variant,
    reason = "generated; the protos hold the comments"
)]

/// The public API.
pub mod v1 {
    tonic::include_proto!("countersign.v1");
}

/// The stored form.
pub mod store {
    tonic::include_proto!("countersign.store.v1");
}

/// All descriptors, for reflection and for tests.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptor.bin"));
