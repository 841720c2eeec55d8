//! Verifications over the API: codes and guesses.

mod codes;
pub(super) mod guesses;
