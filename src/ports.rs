//! What the service needs of the world, as small traits with typed errors.

pub mod hook;
pub mod outbox;
pub mod receipt;
pub mod sender;
pub mod store;
pub mod store_url;
pub mod system;
