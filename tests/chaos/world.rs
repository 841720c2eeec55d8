//! The shared state of a campaign: processes, mails, ledger, finished cases.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use countersign::pb::v1;

use super::{
    case::{Case, LIFETIME, Said},
    dice::Dice,
    fleet::Fleet,
    ledger::{Ledger, Wrong},
    post::Post,
};

/// How often a caller repeats a call.
const REPEATS: usize = 12;
/// How long a caller waits for a message before it counts as late.
const LATE: Duration = Duration::from_secs(20);

pub struct World {
    pub fleet: Fleet,
    pub post: Arc<Post>,
    pub ledger: Arc<Ledger>,
    /// Cases that their callers have finished.
    pub done: Mutex<Vec<Case>>,
    /// Cases whose message did not arrive in time.
    pub late: Mutex<Vec<Case>>,
    pub ended: AtomicBool,
    next: AtomicU64,
    name: String,
}

impl World {
    pub fn new(name: &str, fleet: Fleet, post: Arc<Post>, ledger: Arc<Ledger>) -> Self {
        let (done, late, ended, next) = (
            Mutex::default(),
            Mutex::default(),
            AtomicBool::default(),
            AtomicU64::default(),
        );
        Self {
            fleet,
            post,
            ledger,
            done,
            late,
            ended,
            next,
            name: name.to_owned(),
        }
    }

    pub fn goes_on(&self) -> bool {
        !self.ended.load(Ordering::Relaxed)
    }

    pub fn unique(&self, what: &str) -> String {
        format!(
            "{what}-{}-{}",
            self.name,
            self.next.fetch_add(1, Ordering::Relaxed)
        )
    }

    /// Sends one start to one process, to see whether it is accepted.
    pub async fn probe(&self, at: usize) -> Result<(), Said> {
        let (subject, address) = (
            self.unique("probe"),
            format!("{}@example.org", self.unique("probe")),
        );
        self.fleet
            .begin(at, start_request(&subject, &address, self.unique("r")))
            .await
            .map(drop)
    }

    /// Starts a verification; repeats the call with the same id until it is answered.
    pub async fn begin(&self, dice: &mut Dice, subject: &str) -> Result<Case, Said> {
        let address = format!("{}@example.org", self.unique("a"));
        let request = start_request(subject, &address, self.unique("r"));
        let (begun, era) = (Instant::now(), self.ledger.era());
        for _ in 0..REPEATS {
            match self.fleet.begin(dice.below(2), request.clone()).await {
                Ok(id) => {
                    self.ledger.count("starts taken");
                    return Ok(Case::new(id, address, begun, era));
                }
                Err(Said::Unknown) if self.goes_on() => pause(dice).await,
                Err(said) => return Err(said),
            }
        }
        Err(Said::Unknown)
    }

    /// Starts a verification and waits for the message.
    pub async fn begin_and_read(&self, dice: &mut Dice, subject: &str) -> Option<Case> {
        let mut case = match self.begin(dice, subject).await {
            Ok(case) => case,
            Err(said) => {
                self.ledger.count(&format!("starts not taken: {said:?}"));
                return None;
            }
        };
        case.code = self.post.wait_for(&case.address, LATE).await;
        if case.code.is_none() {
            self.late.lock().expect("nobody panics").push(case);
            return None;
        }
        Some(case)
    }

    /// Makes one guess, repeated with its id until it is answered; also returns when it was first sent.
    pub async fn guess(&self, dice: &mut Dice, id: &str, code: &str) -> (Said, Instant) {
        let sent = Instant::now();
        let request = v1::CheckCodeRequest {
            verification_id: id.to_owned(),
            code: code.to_owned(),
            entry_mode: v1::EntryMode::Portal.into(),
            attempt_id: self.unique("g"),
            ..Default::default()
        };
        for _ in 0..REPEATS {
            match self.fleet.check(dice.below(2), request.clone()).await {
                Said::Unknown if self.goes_on() => pause(dice).await,
                said => return (said, sent),
            }
        }
        (Said::Unknown, sent)
    }

    /// Makes a guess and records the answer.
    pub async fn guess_on(&self, dice: &mut Dice, case: &mut Case, code: &str) -> Said {
        let is_right = case.code.as_deref() == Some(code);
        let (said, sent) = self.guess(dice, &case.id, code).await;
        case.note(&said, is_right, sent, &self.ledger);
        said
    }

    pub fn put_by(&self, case: Case) {
        self.done.lock().expect("nobody panics").push(case);
    }

    /// Checks that an accepted start is known to a store that lost nothing, and that its message arrived before the
    /// code expired.
    pub async fn judge_starts(&self, dice: &mut Dice) {
        let late = std::mem::take(&mut *self.late.lock().expect("nobody panics"));
        let disruptions = self.ledger.disruptions();
        for case in late {
            self.ledger.count("messages that were late");
            let disrupted = disruptions[case.era..]
                .iter()
                .any(|disruption| disruption.at < case.begun + LIFETIME);
            if !disrupted && self.post.wait_for(&case.address, LATE).await.is_none() {
                let stands = self.fleet.get(dice.below(2), &case.id).await;
                self.ledger.wrong(
                    Wrong::LostStart,
                    &format!("no message came: {case:?}, {stands:?}"),
                );
            }
        }
        let done = self.done.lock().expect("nobody panics").clone();
        let era = self.ledger.era();
        for case in done.iter().filter(|case| case.era == era) {
            self.ledger.count("starts looked up at the end");
            if let Err(Said::NotFound) = self.fleet.get(dice.below(2), &case.id).await {
                self.ledger
                    .wrong(Wrong::LostStart, &format!("forgotten: {case:?}"));
            }
        }
    }
}

fn start_request(subject: &str, address: &str, request_id: String) -> v1::StartVerificationRequest {
    let channel = v1::Channel::Email.into();
    v1::StartVerificationRequest {
        subject: subject.to_owned(),
        action: "login".to_owned(),
        recipients: vec![v1::Recipient {
            channel,
            address: address.to_owned(),
            registered_at: None,
        }],
        request_id,
        prior_acr: "password".to_owned(),
        ..Default::default()
    }
}

async fn pause(dice: &mut Dice) {
    tokio::time::sleep(dice.millis(50, 800)).await;
}
