//! What decides whether a message may be sent at all: `[quotas]`, `[guard]`, `[countries]`, `[numbers]` and `[spend]`.

pub(super) mod numbers;
pub(super) mod pumping;
pub(super) mod quotas;
pub(super) mod spend;

use std::collections::BTreeSet;

use super::{NumberSettings, Table};
use crate::domain::{
    limit::{pumping::Guard, quota::Quotas, spend::Spend},
    recipient::number::Country,
};

/// What decides whether a message may be sent at all.
#[derive(Clone, Debug)]
pub struct AdmissionSettings {
    /// How many messages and starts there may be, over all processes.
    pub quotas: Quotas,
    /// What becomes of messages where few codes come back.
    pub guard: Guard,
    /// Whose numbers get messages, for every tenant that has no list of its own.
    pub countries: BTreeSet<Country>,
    /// Which types of numbers get messages.
    pub numbers: NumberSettings,
    /// What messages cost, and how much may be spent.
    pub spend: Spend,
}

impl AdmissionSettings {
    pub(super) fn read(root: &mut Table<'_>) -> Self {
        Self {
            quotas: quotas::quotas(root.table("quotas")),
            guard: pumping::guard(root.table("guard")),
            countries: numbers::allowed(root.table("countries")),
            numbers: NumberSettings::read(root.table("numbers")),
            spend: Spend::read(root.table("spend")),
        }
    }
}
