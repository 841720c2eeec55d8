//! One verification from its caller's view; detects impossible answers.

use std::time::{Duration, Instant};

use super::ledger::{Ledger, Wrong};

/// The life of a code in the settings of the campaign.
pub const LIFETIME: Duration = Duration::from_secs(60);
/// Guesses that a verification allows.
pub const ATTEMPTS: u32 = 5;
/// The largest difference between two readings of the time.
const SLACK: Duration = Duration::from_secs(2);

/// The answer to a guess.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Said {
    Wrong,
    Exhausted,
    Approved,
    Expired,
    Closed,
    StartAgain,
    NotFound,
    /// Not judged, with the reason.
    Refused(String),
    /// No answer, or an inconclusive one: the guess may have been judged, or may still be.
    Unknown,
}

/// A start that was accepted.
#[derive(Clone, Debug)]
pub struct Case {
    pub id: String,
    pub address: String,
    pub code: Option<String>,
    /// When the start was requested, and in which era.
    pub begun: Instant,
    pub era: usize,
    judged: u32,
    approvals: u32,
    over: Option<String>,
    /// Whether a call with an unknown outcome may have ended it.
    unsure: bool,
}

impl Case {
    pub fn new(id: String, address: String, begun: Instant, era: usize) -> Self {
        Self {
            id,
            address,
            code: None,
            begun,
            era,
            judged: 0,
            approvals: 0,
            over: None,
            unsure: false,
        }
    }

    /// Its caller canceled it, or tried to.
    pub fn cancel(&mut self, answered: bool) {
        if answered {
            self.over = Some("canceled".to_owned());
        } else {
            self.unsure = true;
        }
    }

    pub fn is_over(&self) -> bool {
        self.over.is_some()
    }

    /// Records the answers to guesses that were sent at the same time.
    pub fn note_all(&mut self, mut answers: Vec<(Said, bool)>, sent: Instant, ledger: &Ledger) {
        // Whatever their order of arrival, the guesses that were judged were judged before it ended.
        answers.sort();
        for (said, is_right) in answers {
            self.note(&said, is_right, sent, ledger);
        }
    }

    /// Records the final answer to one guess.
    pub fn note(&mut self, said: &Said, is_right: bool, sent: Instant, ledger: &Ledger) {
        ledger.count(&format!("answer: {}", label(said)));
        let wrong = |what, why: &str| {
            ledger.wrong(
                what,
                &format!("{why}: {said:?} after {:?}, {self:?}", self.begun.elapsed()),
            );
        };
        let same_era = ledger.is_undisturbed(self.era);
        match said {
            Said::Approved => {
                if !is_right {
                    wrong(Wrong::FalseVerdict, "a wrong code was approved");
                }
                if self.approvals > 0 {
                    wrong(Wrong::DoubleApproval, "approved again");
                } else if self.over.is_some() {
                    wrong(Wrong::Revived, "approved after the end");
                }
            }
            Said::Wrong | Said::Exhausted => {
                if is_right {
                    wrong(Wrong::FalseVerdict, "the right code was judged wrong");
                }
                if self.over.is_some() {
                    wrong(Wrong::Revived, "judged after the end");
                }
                if self.judged >= ATTEMPTS {
                    wrong(Wrong::BudgetOverrun, "one judged guess too many");
                }
            }
            Said::Closed if self.over.is_none() && !self.unsure && self.judged < ATTEMPTS => {
                wrong(Wrong::FalseVerdict, "closed by nobody");
            }
            Said::Expired if sent.duration_since(self.begun) + SLACK < LIFETIME => {
                wrong(Wrong::FalseVerdict, "expired early");
            }
            Said::StartAgain if same_era => {
                wrong(Wrong::FalseVerdict, "sent away by an unchanged store");
            }
            Said::NotFound if same_era => wrong(Wrong::LostStart, "unknown to an unchanged store"),
            Said::Closed
            | Said::Expired
            | Said::StartAgain
            | Said::NotFound
            | Said::Refused(_)
            | Said::Unknown => {}
        }
        match said {
            Said::Approved => (self.judged, self.approvals) = (self.judged + 1, self.approvals + 1),
            Said::Wrong | Said::Exhausted => self.judged += 1,
            Said::Unknown => self.unsure = true,
            Said::Expired | Said::Closed | Said::StartAgain | Said::NotFound | Said::Refused(_) => {
            }
        }
        // `NOT_FOUND` may come from a deposed master, so it does not prove that the verification has ended.
        if !matches!(
            said,
            Said::Wrong | Said::NotFound | Said::Refused(_) | Said::Unknown
        ) {
            self.over.get_or_insert_with(|| format!("{said:?}"));
        }
    }
}

fn label(said: &Said) -> String {
    match said {
        Said::Refused(reason) => format!("refused {reason}"),
        other => format!("{other:?}").to_lowercase(),
    }
}

/// The checks themselves: each violation is detected.
pub fn prove() {
    let now = Instant::now();
    let seen = |answers: &[(Said, bool)]| {
        let (ledger, mut case) = (
            Ledger::quiet(),
            Case::new("planted".to_owned(), String::new(), now, 0),
        );
        answers
            .iter()
            .for_each(|(said, is_right)| case.note(said, *is_right, now, &ledger));
        Wrong::ALL
            .map(|(wrong, _)| wrong)
            .into_iter()
            .filter(|wrong| ledger.violations(*wrong) > 0)
            .collect::<Vec<_>>()
    };
    let six = vec![(Said::Wrong, false); 6];
    assert_eq!(
        seen(&[(Said::Approved, true), (Said::Approved, true)]),
        [Wrong::DoubleApproval]
    );
    assert_eq!(seen(&six), [Wrong::BudgetOverrun]);
    assert_eq!(
        seen(&[(Said::Exhausted, false), (Said::Approved, true)]),
        [Wrong::Revived]
    );
    assert_eq!(seen(&[(Said::NotFound, true)]), [Wrong::LostStart]);
    for planted in [
        (Said::Approved, false),
        (Said::Wrong, true),
        (Said::Closed, true),
        (Said::Expired, true),
    ] {
        assert_eq!(
            seen(std::slice::from_ref(&planted)),
            [Wrong::FalseVerdict],
            "{planted:?}"
        );
    }
    assert_eq!(seen(&[(Said::StartAgain, true)]), [Wrong::FalseVerdict]);
    let fine = [
        (Said::Wrong, false),
        (Said::Unknown, true),
        (Said::Closed, true),
        (Said::Closed, true),
    ];
    assert_eq!(seen(&fine), []);
}
