//! Connections to Redis servers: which server it is, which one has a slot, and how calls are sent.

pub(super) mod fault;
pub(super) mod health;
pub(super) mod identity;
pub(super) mod link;
pub(super) mod lua;
pub(super) mod node;
pub(super) mod replicas;
pub(super) mod sentinel;
pub(super) mod settings;
pub(super) mod topology;
pub(super) mod trip;
