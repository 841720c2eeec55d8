//! The pure middle: what a verification is and what may happen to it. Sees no clock, no network, no store.

mod base58;
pub mod binding;
pub mod breaker;
pub mod caller;
pub mod code;
pub mod decide;
pub mod delivery;
pub mod event;
pub mod failures;
pub mod gcra;
pub mod generation;
pub mod guess;
pub mod ids;
pub mod keyring;
pub mod limits;
pub mod plan;
pub mod quota;
pub mod reached;
pub mod receipt;
pub mod recipient;
pub mod refusal;
pub mod route;
pub mod seal;
pub mod side;
pub mod subject;
pub mod time;
pub mod verification;
