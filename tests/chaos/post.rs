//! Collects all mails by recipient address.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::watch;

use super::{
    ledger::{Ledger, Wrong},
    sink::{Sink, code, header},
};

/// A mail as it was received.
#[derive(Clone)]
struct Letter {
    delivery: String,
    code: String,
    at: Instant,
}

/// The mails received so far.
#[derive(Default)]
pub struct Post {
    letters: Mutex<HashMap<String, Vec<Letter>>>,
    count: watch::Sender<usize>,
}

impl Post {
    /// Collects mails until the process ends.
    pub async fn sort(self: Arc<Self>, sink: Arc<Sink>) {
        let mut seen = 0;
        loop {
            let mails = sink.after(seen).await;
            seen += mails.len();
            for mail in mails {
                let letter = Letter {
                    delivery: header(&mail, "Message-ID"),
                    code: code(&mail),
                    at: Instant::now(),
                };
                let to = header(&mail, "To").trim_matches(['<', '>']).to_owned();
                self.letters().entry(to).or_default().push(letter);
            }
            self.count.send_replace(seen);
        }
    }

    fn letters(&self) -> MutexGuard<'_, HashMap<String, Vec<Letter>>> {
        self.letters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The code that was sent to an address; `None` if there is none yet.
    pub fn code_for(&self, address: &str) -> Option<String> {
        self.letters()
            .get(address)
            .map(|letters| letters[0].code.clone())
    }

    /// Waits for the code that is sent to an address.
    pub async fn wait_for(&self, address: &str, patience: Duration) -> Option<String> {
        let mut count = self.count.subscribe();
        let come = async {
            loop {
                count.mark_unchanged();
                if let Some(code) = self.code_for(address) {
                    return code;
                }
                count.changed().await.expect("the post lives");
            }
        };
        tokio::time::timeout(patience, come).await.ok()
    }

    /// Checks repeated messages; returns how many copies are not explained. A message may arrive once more for each
    /// fault between its first and last copy, or shortly before, because its hand-over may have begun then.
    pub fn judge_duplicates(&self, ledger: &Ledger) -> usize {
        let before = Duration::from_secs(15);
        let (letters, mut duplicates) = (self.letters(), 0);
        for (address, all) in letters.iter() {
            if let Some(other) = all.iter().find(|letter| letter.code != all[0].code) {
                ledger.wrong(
                    Wrong::ChangedCode,
                    &format!("{address} got {} and {}", all[0].code, other.code),
                );
            }
            let mut by_delivery: HashMap<&str, Vec<&Letter>> = HashMap::new();
            for letter in all {
                by_delivery
                    .entry(&letter.delivery)
                    .or_default()
                    .push(letter);
            }
            for (delivery, copies) in by_delivery.iter().filter(|(_, copies)| copies.len() > 1) {
                duplicates += copies.len() - 1;
                let (first, last) = (copies[0].at, copies[copies.len() - 1].at);
                let faults = ledger.faults_within(first.checked_sub(before).unwrap_or(first), last);
                if copies.len() - 1 > faults {
                    let story = format!(
                        "{delivery} came {} times within {:?}, {faults} faults",
                        copies.len(),
                        last - first
                    );
                    ledger.wrong(Wrong::TooManyDuplicates, &story);
                }
            }
        }
        duplicates
    }

    pub fn mails(&self) -> usize {
        self.letters().values().map(Vec::len).sum()
    }
}
