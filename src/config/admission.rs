//! The rules that decide whether a message may be sent or a guess judged at all: `[guesses]`, `[quotas]`, `[guard]`, `[countries]`, `[numbers]` and `[spend]`.

pub(super) mod guesses;
pub(super) mod numbers;
pub(super) mod pumping;
pub(super) mod quotas;
pub(super) mod spend;

use super::Table;
use crate::domain::{
    limit::{guesses::GuessRules, pumping::Guard, quota::Quotas, spend::Spend},
    recipient::rules::NumberRules,
};

/// The rules that decide whether a message may be sent or a guess judged at all.
#[derive(Clone, Debug)]
pub struct AdmissionSettings {
    /// When failed guesses over many subjects are an alarm.
    pub guesses: GuessRules,
    /// The quotas for starts and messages, over all processes.
    pub quotas: Quotas,
    /// Protection against SMS pumping.
    pub guard: Guard,
    /// Which telephone numbers may get a message, in general and per tenant.
    pub numbers: NumberRules,
    /// The prices of messages, and the budgets of each tenant.
    pub spend: Spend,
}

impl AdmissionSettings {
    /// Reads the rules for all tenants; what differs for a tenant is added when its table is read.
    pub(super) fn read(root: &mut Table<'_>) -> Self {
        let countries = numbers::allowed(root.table("countries"));
        Self {
            guesses: guesses::guesses(root.table("guesses")),
            quotas: quotas::quotas(root.table("quotas")),
            guard: pumping::guard(root.table("guard")),
            numbers: numbers::rules(root.table("numbers"), countries),
            spend: Spend::read(root.table("spend")),
        }
    }
}
