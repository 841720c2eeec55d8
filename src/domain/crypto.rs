//! Keys by id, and authenticated encryption of stored data.

pub mod keyring;
pub mod seal;
