//! Connections to Redis servers: who they are, where a slot lives, what is sent.

pub(super) mod fault;
pub(super) mod health;
pub(super) mod identity;
pub(super) mod link;
pub(super) mod lua;
pub(super) mod node;
pub(super) mod sentinel;
pub(super) mod settings;
pub(super) mod topology;
pub(super) mod trip;
