//! Quotas, the pumping guard and budgets.

mod guesses;
mod pumping;
mod quotas;
mod spend;
