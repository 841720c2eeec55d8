//! Quotas, the pumping guard and budgets.

mod fairness;
mod guesses;
mod pumping;
mod quotas;
mod spend;
