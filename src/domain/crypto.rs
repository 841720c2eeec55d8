//! Keys by id, and authenticated encryption at rest.

pub mod keyring;
pub mod seal;
