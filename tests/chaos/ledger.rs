//! Counts events and violations, and records when the store may have lost data.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// The violations: what must never happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wrong {
    DoubleApproval,
    BudgetOverrun,
    Revived,
    LostStart,
    FalseVerdict,
    ChangedCode,
    TooManyDuplicates,
}

impl Wrong {
    pub const ALL: [(Self, &str); 7] = [
        (Self::DoubleApproval, "double approvals"),
        (Self::BudgetOverrun, "budget overruns"),
        (Self::Revived, "revived verifications"),
        (Self::LostStart, "lost starts"),
        (Self::FalseVerdict, "wrong verdicts"),
        (Self::ChangedCode, "changed codes"),
        (
            Self::TooManyDuplicates,
            "messages sent more than once too often",
        ),
    ];
}

/// A time at which the store may have lost data or changed its generation.
#[derive(Clone, Copy, Debug)]
pub struct Disruption {
    pub at: Instant,
    /// Whether replicated data is certain to be kept, and its loss charged with a penalty.
    pub penalises: bool,
}

#[derive(Default)]
struct Book {
    wrong: BTreeMap<Wrong, u64>,
    counts: BTreeMap<String, u64>,
    disruptions: Vec<Disruption>,
    faults: Vec<Instant>,
    recoveries: Vec<Duration>,
}

#[derive(Default)]
pub struct Ledger {
    book: Mutex<Book>,
    quiet: bool,
}

impl Ledger {
    /// Counts an event without printing it.
    pub fn quiet() -> Self {
        Self {
            quiet: true,
            ..Self::default()
        }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts and prints a violation.
    pub fn wrong(&self, what: Wrong, story: &str) {
        if !self.quiet {
            println!("VIOLATION {what:?}: {story}");
        }
        *self.book().wrong.entry(what).or_default() += 1;
    }

    pub fn violations(&self, what: Wrong) -> u64 {
        self.book().wrong.get(&what).copied().unwrap_or_default()
    }

    pub fn count(&self, what: &str) {
        *self.book().counts.entry(what.to_owned()).or_default() += 1;
    }

    pub fn counts(&self) -> BTreeMap<String, u64> {
        self.book().counts.clone()
    }

    pub fn fault(&self, name: &str) {
        self.count(&format!("fault: {name}"));
        self.book().faults.push(Instant::now());
    }

    /// Records the beginning or the end of a disruption, during which the data in the store is uncertain.
    pub fn disrupt(&self, penalises: bool) {
        self.book().disruptions.push(Disruption {
            at: Instant::now(),
            penalises,
        });
    }

    /// The number of beginnings and ends of disruptions so far. Everything within one era with an even number belongs
    /// to one generation.
    pub fn era(&self) -> usize {
        self.book().disruptions.len()
    }

    /// Whether no disruption has begun since this era.
    pub fn is_undisturbed(&self, era: usize) -> bool {
        era.is_multiple_of(2) && era == self.era()
    }

    pub fn disruptions(&self) -> Vec<Disruption> {
        self.book().disruptions.clone()
    }

    /// The number of faults so far.
    pub fn faults(&self) -> u64 {
        self.book().faults.len() as u64
    }

    /// The number of faults that began within this time.
    pub fn faults_within(&self, from: Instant, to: Instant) -> usize {
        self.book()
            .faults
            .iter()
            .filter(|at| (from..=to).contains(*at))
            .count()
    }

    pub fn recovered(&self, after: Duration) {
        self.book().recoveries.push(after);
    }

    /// The recovery times: from each fault until a start was accepted again, the longest last.
    pub fn recoveries(&self) -> Vec<Duration> {
        let mut all = self.book().recoveries.clone();
        all.sort_unstable();
        all
    }
}
