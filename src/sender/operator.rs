//! What an operator connects: webhooks, plug-ins, the pre-send hook.

pub mod hook;
pub mod plugin;
pub mod webhook;
