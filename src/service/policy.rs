//! The rules of the actions, and the limits that follow from them for a verification.

use std::collections::BTreeMap;

use super::failure::{Failure, FieldViolation};
use crate::domain::{
    ids::{ActionName, TenantId},
    limit::{
        bucket::Quotas,
        guesses::GuessRules,
        pumping::Guard,
        spend::{Money, Spend},
    },
    recipient::{rules::NumberRules, test_recipients::TestRecipients},
    verification::{
        binding::Binding,
        rules::{Limits, SubjectRules},
    },
};

/// The rules of one action, from the settings.
#[derive(Clone, Debug)]
pub struct Action {
    /// The limits that each verification of the action copies at its start.
    pub limits: Limits,
    /// The names of the binding values that a start must carry.
    pub binding: Vec<String>,
    /// Whether messages may be sent under the limits of this process while the fleet's quotas cannot be drawn.
    pub quota_fallback: bool,
}

/// The rules of all actions and of all messages, from the settings.
#[derive(Clone, Debug)]
pub struct Policy {
    /// The rules of each action.
    pub actions: BTreeMap<ActionName, Action>,
    /// The rules for a subject, over all actions.
    pub subject: SubjectRules,
    /// When failed guesses over many subjects are an alarm.
    pub guesses: GuessRules,
    /// The quotas for starts and messages, over all processes.
    pub quotas: Quotas,
    /// The pumping guard: what to do about number ranges to which messages are sent but few codes come back.
    pub guard: Guard,
    /// Which telephone numbers may get a message.
    pub numbers: NumberRules,
    /// The prices of messages, and the budgets.
    pub spend: Spend,
    /// Recipients for tests: they get no message, and their codes are fixed in the settings.
    pub test_recipients: TestRecipients,
    /// The most entries of the audit trail that each shard keeps; `None` for an equal share of a million.
    pub events_max_per_shard: Option<u64>,
}

impl Policy {
    /// Whether the action may continue under the limits of this process while the fleet's quotas cannot be drawn.
    #[must_use]
    pub fn allows_fallback(&self, action: &ActionName) -> bool {
        self.actions
            .get(action)
            .is_some_and(|rules| rules.quota_fallback)
    }

    /// The binding values that a start of this action lacks; none for an unknown action.
    #[must_use]
    pub fn missing_binding(
        &self,
        action: &ActionName,
        is_given: impl Fn(&str) -> bool,
    ) -> Vec<FieldViolation> {
        let rules = self.actions.get(action).into_iter();
        let required = rules.flat_map(|rules| &rules.binding);
        let violation = |name: &String| FieldViolation {
            field: format!("binding.{name}"),
            description: "is required by the action".to_owned(),
        };
        required
            .filter(|name| !is_given(name))
            .map(violation)
            .collect()
    }

    /// Counts what a message cost its tenant; a message that was drawn but never sent counts too.
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
    /// [`Failure::ActionUnknown`], or [`Failure::Fields`] if required binding values are missing.
    pub fn resolve(&self, action: &ActionName, binding: &Binding) -> Result<Limits, Failure> {
        let unknown = || Failure::ActionUnknown {
            action: action.clone(),
            known: self.actions.keys().cloned().collect(),
        };
        let rules = self.actions.get(action).ok_or_else(unknown)?;
        let violations = self.missing_binding(action, |name| binding.has(name));
        if violations.is_empty() {
            Ok(rules.limits.clone())
        } else {
            Err(Failure::Fields(violations))
        }
    }
}
