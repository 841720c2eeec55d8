//! Quotas, the pumping guard and budgets.

mod fairness;
mod pumping;
mod quotas;
mod spend;
