//! Connections of callers: accepting them, and their bounds.

pub mod bounds;
pub mod listen;
