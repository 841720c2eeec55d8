//! The rules of verifications, as pure code: no clock, no network, no store.

pub mod audit;
pub mod caller;
pub mod code;
pub mod crypto;
pub mod decide;
pub mod delivery;
pub mod ids;
pub mod limit;
pub mod recipient;
pub mod record;
pub mod refusal;
pub mod time;
pub mod verification;
