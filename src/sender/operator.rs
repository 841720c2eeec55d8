//! Connections to an operator's own services: webhooks, plug-ins and the pre-send hook.

pub mod hook;
pub mod plugin;
pub mod webhook;
