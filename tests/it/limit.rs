//! Quotas, the pumping guard and budgets.

mod pumping;
mod quotas;
mod spend;
