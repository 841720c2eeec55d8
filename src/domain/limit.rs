//! Limits: rates, failure counts, quotas, the pumping guard and spend budgets.

pub mod failures;
pub mod guesses;
pub mod pumping;
pub mod quota;
pub mod rate;
pub mod spend;
