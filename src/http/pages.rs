//! The web pages of the public listener.

pub mod dev;
mod harden;
pub mod link;
