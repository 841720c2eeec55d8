//! The rules of the actions, resolved for a start.

use std::collections::BTreeMap;

use super::failure::{Failure, FieldViolation};
use crate::domain::{
    ids::{ActionName, TenantId},
    limit::{
        pumping::Guard,
        quota::Quotas,
        spend::{Money, Spend},
    },
    recipient::{rules::NumberRules, test_recipients::TestRecipients},
    verification::{
        binding::Binding,
        rules::{Limits, SubjectRules},
    },
};

/// The rules of one action.
#[derive(Clone, Debug)]
pub struct Action {
    /// Its numbers.
    pub limits: Limits,
    /// What must be bound.
    pub binding: Vec<String>,
    /// May it go on under local quotas while the store's cannot be drawn?
    pub quota_fallback: bool,
}

/// The rules of all actions.
#[derive(Clone, Debug)]
pub struct Policy {
    /// By name.
    pub actions: BTreeMap<ActionName, Action>,
    /// Whatever the action.
    pub subject: SubjectRules,
    /// How many messages and starts there may be, over all processes.
    pub quotas: Quotas,
    /// What becomes of messages where few codes come back.
    pub guard: Guard,
    /// Which numbers may get a message.
    pub numbers: NumberRules,
    /// What messages cost, and how much may be spent.
    pub spend: Spend,
    /// Who gets no message and has a code that is known beforehand.
    pub test_recipients: TestRecipients,
}

impl Policy {
    /// May this action go on under local quotas while the store's cannot be drawn?
    #[must_use]
    pub fn allows_fallback(&self, action: &ActionName) -> bool {
        self.actions
            .get(action)
            .is_some_and(|rules| rules.quota_fallback)
    }

    /// Counts what a tenant spent on a message; what was drawn for one that is never sent counts, too.
    pub(super) fn note_spent(&self, tenant: &TenantId, cost: Money) {
        if cost > Money::default() {
            let (tenant, currency) = (tenant.as_str().to_owned(), self.spend.currency.clone());
            metrics::counter!("countersign_spend_micros_total", "tenant" => tenant, "currency" => currency)
                .increment(cost.micros());
        }
    }

    /// The limits for a start of this action with this binding.
    ///
    /// # Errors
    /// The action is unknown, or values that it binds are missing.
    pub fn resolve(&self, action: &ActionName, binding: &Binding) -> Result<Limits, Failure> {
        let unknown = || Failure::ActionUnknown {
            action: action.clone(),
            known: self.actions.keys().cloned().collect(),
        };
        let rules = self.actions.get(action).ok_or_else(unknown)?;
        let missing = rules.binding.iter().filter(|name| !binding.has(name));
        let violation = |name: &String| FieldViolation {
            field: format!("binding.{name}"),
            description: "is required by the action".to_owned(),
        };
        let violations: Vec<_> = missing.map(violation).collect();
        if violations.is_empty() {
            Ok(rules.limits.clone())
        } else {
            Err(Failure::Fields(violations))
        }
    }
}
