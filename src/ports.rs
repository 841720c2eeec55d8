//! What the service needs from outside, as small traits with typed errors.

pub mod hook;
pub mod sender;
pub mod store;
pub mod system;
