//! Logs, metrics and the audit trail: what operators see, and what must never appear there.

mod log;
mod metrics;
mod operations;
mod secrecy;
mod traces;
mod trail;
