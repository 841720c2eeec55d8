//! Messages: senders, plans, hedges, receipts and calls.

mod at_once;
mod blame;
pub(super) mod callbacks;
mod calls;
mod failover;
mod flood;
mod gateways;
mod hedge;
mod hook;
mod leases;
mod plan;
mod postfix;
mod providers;
mod push;
mod receipts;
mod smpp;
