//! What is written down of every decision.

pub mod event;
