//! What the service needs of the world, as small traits with typed errors.

pub mod hook;
pub mod sender;
pub mod store;
pub mod system;
