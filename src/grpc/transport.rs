//! The transport below the calls: connections, their encryption, and the limits of HTTP/2.

pub mod bounds;
pub mod listen;
pub mod tls;
