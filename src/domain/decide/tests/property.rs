//! Random command sequences: after each command, the record is compared with the model.

use std::{ops::Range, time::Duration};

use proptest::{
    prelude::*,
    test_runner::{Config, RngSeed, TestError, TestRunner},
};

use super::{
    fixtures::{ACTION, DAY, HOUR, action, contact, wrong},
    model::Model,
    plan::{everywhere, planned},
    world::World,
};
use crate::domain::{
    decide::{CancelReason, Checked, Start, Verdict, Work},
    delivery::{HandOver, reason::Reason, receipt::Receipt},
    ids::VerificationId,
    limit::quota::Network,
    recipient::Channel,
    refusal::Refusal,
    time::Timestamp,
    verification::{
        Status,
        rules::{LIVE_ANONYMOUS_MAX, LIVE_VOUCHED_MAX, Origin, SENDS_MAX},
    },
};

/// The number of sequences: in full in the campaign.
const CASES: u32 = if option_env!("COUNTERSIGN_CAMPAIGN").is_some() {
    100_000
} else {
    40_000
};
const COMMANDS: Range<usize> = 8..22;
/// The same seed in each run; `PROPTEST_RNG_SEED` sets another.
const SEED: u64 = 20_261_124;
/// Low, so that short sequences reach it.
const FAILURE_LIMIT: u32 = 7;
const LIVE_MAX: usize = LIVE_ANONYMOUS_MAX + LIVE_VOUCHED_MAX;

#[derive(Clone, Copy, Debug)]
enum Command {
    Start {
        anonymous: bool,
        contact: u8,
        login: bool,
        leased: bool,
        planned: bool,
        network: u8,
    },
    Check {
        which: u8,
        guess: GuessOf,
    },
    Repeat {
        which: u8,
        changed: bool,
    },
    Resend {
        which: u8,
        channel: Option<Channel>,
    },
    Cancel {
        which: u8,
        not_me: bool,
    },
    Tick {
        hands: u8,
        quotas_refuse: bool,
    },
    TickWhenDue,
    Report {
        which: u8,
        how: u8,
    },
    Receipt {
        which: u8,
        what: u8,
        other: bool,
    },
    Pass(Duration),
    FailOver,
}

#[derive(Clone, Copy, Debug)]
enum GuessOf {
    Right,
    Wrong,
    Another { which: u8 },
}

/// Addresses in four networks, two of them in one; a start may also name none.
const NETWORKS: [&str; 5] = [
    "192.0.2.7",
    "192.0.2.99",
    "198.51.100.7",
    "203.0.113.7",
    "2001:db8::7",
];

/// Spans just below and above each time limit.
const SPANS: [Duration; 12] = [
    Duration::from_millis(1),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(2),
    Duration::from_secs(15),
    Duration::from_secs(30),
    Duration::from_secs(30),
    Duration::from_secs(60),
    Duration::from_millis(299_999),
    Duration::from_secs(600),
    HOUR,
    DAY,
];

impl Command {
    /// Decodes one number into one command: cheap to generate, and it shrinks towards a start.
    fn of(number: u32) -> Self {
        let [kind, which, other, flags] = number.to_be_bytes();
        let flag = |bit: u8| flags & (1 << bit) != 0;
        match kind {
            0..64 => Self::Start {
                anonymous: flag(0) && flag(1),
                contact: which % 4,
                login: flag(2),
                leased: flag(3),
                planned: flag(4),
                network: other % 6,
            },
            64..84 => Self::Check {
                which,
                guess: GuessOf::Right,
            },
            84..130 => Self::Check {
                which,
                guess: GuessOf::Wrong,
            },
            130..136 => Self::Check {
                which,
                guess: GuessOf::Another { which: other },
            },
            136..146 => Self::Repeat {
                which,
                changed: flag(0),
            },
            146..160 => Self::Resend {
                which,
                channel: [None, Some(Channel::Sms), Some(Channel::Voice)][usize::from(other % 3)],
            },
            160..170 => Self::Cancel {
                which,
                not_me: flag(0),
            },
            170..184 => Self::Tick {
                hands: which % 4,
                quotas_refuse: flag(0) && flag(1),
            },
            184..200 => Self::TickWhenDue,
            200..210 => Self::Report {
                which,
                how: other % 7,
            },
            210..222 => Self::Receipt {
                which,
                what: other % 3,
                other: flag(0) && flag(1),
            },
            222..250 => Self::Pass(SPANS[usize::from(which) % SPANS.len()]),
            250..=255 => Self::FailOver,
        }
    }
}

/// A guess that was answered, kept to be repeated.
struct Answered {
    id: VerificationId,
    attempt: String,
    text: String,
    verdict: Verdict,
}

struct Run {
    world: World,
    model: Model,
    answered: Vec<Answered>,
    works: Vec<Work>,
}

impl Run {
    fn new() -> Self {
        let mut world = World::new();
        world.rules.failure_limit = FAILURE_LIMIT;
        Self {
            world,
            model: Model::default(),
            answered: Vec::new(),
            works: Vec::new(),
        }
    }

    /// One of the latest four starts, so that commands often meet on one verification.
    fn pick(&self, which: u8) -> Option<VerificationId> {
        let latest = self.model.starts.iter().rev().take(4).collect::<Vec<_>>();
        latest
            .get(usize::from(which) % latest.len().max(1))
            .map(|id| **id)
    }

    fn carry_out(&mut self, command: Command) {
        match command {
            Command::Start { .. } => self.start(command),
            Command::Check { which, guess } => self.check(which, guess),
            Command::Repeat { which, changed } => self.repeat(which, changed),
            Command::Resend { which, channel } => {
                if let Some(id) = self.pick(which) {
                    let _may_be_refused = self.world.resend(id, channel);
                }
            }
            Command::Cancel { which, not_me } => {
                let reason = if not_me {
                    CancelReason::NotMe
                } else {
                    CancelReason::Requested
                };
                if let Some(id) = self.pick(which) {
                    let _may_be_refused = self.world.cancel(id, reason);
                }
            }
            Command::Tick {
                hands,
                quotas_refuse,
            } => {
                self.world.quotas_refuse = quotas_refuse;
                self.tick(hands);
                self.world.quotas_refuse = false;
            }
            Command::TickWhenDue => self.tick_when_due(),
            Command::Report { which, how } => self.report(which, how),
            Command::Receipt { which, what, other } => self.receipt(which, what, other),
            Command::Pass(span) => self.world.pass(span),
            Command::FailOver => self.world.fail_over(),
        }
        self.model.inspect(&self.world);
    }

    fn start(&mut self, command: Command) {
        let Command::Start {
            anonymous,
            contact: nth,
            login,
            leased,
            planned: has_plan,
            network,
        } = command
        else {
            return;
        };
        self.world.hands = usize::from(leased);
        let start = self.world.a_start();
        let start = if has_plan {
            Start {
                limits: planned(),
                recipients: everywhere(),
                ..start
            }
        } else {
            start
        };
        let command = Start {
            origin: if anonymous {
                Origin::Anonymous
            } else {
                Origin::Vouched
            },
            contact: Some(contact(
                ["call-1", "call-2", "call-3", "call-4"][usize::from(nth)],
            )),
            action: if login {
                action("login")
            } else {
                ACTION.clone()
            },
            network: NETWORKS
                .get(usize::from(network))
                .and_then(|address| Network::parse(address).ok()),
            ..start
        };
        if let Ok(snapshot) = self.world.start(command) {
            self.model.started(&self.world, snapshot.verification.id);
        }
    }

    fn check(&mut self, which: u8, guess: GuessOf) {
        let Some(id) = self.pick(which) else { return };
        let code = |id| self.model.seen[&id].code.clone();
        let text = match guess {
            GuessOf::Right => code(id),
            GuessOf::Wrong => wrong(&code(id)),
            GuessOf::Another { which } => code(self.pick(which).unwrap_or(id)),
        };
        let attempt = format!("a{}", self.answered.len());
        let before = self.world.record.clone();
        if let Ok(Checked { verdict, .. }) = self.world.check_as(id, &attempt, &text) {
            self.model.judged(&self.world, id, &text, verdict);
            self.answered.push(Answered {
                id,
                attempt,
                text,
                verdict,
            });
        } else {
            let adopted = before
                .as_ref()
                .is_some_and(|record| record.generation != self.world.generation);
            assert!(
                adopted || self.world.record == before,
                "a refusal takes nothing"
            );
        }
    }

    fn repeat(&mut self, which: u8, changed: bool) {
        let Some(first) = self
            .answered
            .get(usize::from(which) % self.answered.len().max(1))
        else {
            return;
        };
        let counted = matches!(
            first.verdict,
            Verdict::Approved | Verdict::Wrong { .. } | Verdict::AttemptsExhausted
        );
        let remembered = self
            .world
            .record
            .as_ref()
            .is_some_and(|record| record.find(&first.id).is_some());
        if !(counted && remembered) {
            return;
        }
        let text = if changed {
            wrong(&first.text)
        } else {
            first.text.clone()
        };
        let answer = self
            .world
            .check_as(first.id, &first.attempt, &text)
            .map(|checked| checked.verdict);
        let expected = if changed {
            Err(Refusal::AttemptIdReused)
        } else {
            Ok(first.verdict)
        };
        assert_eq!(answer, expected);
    }

    fn tick(&mut self, hands: u8) {
        let works = self.world.tick_with(usize::from(hands));
        assert!(works.len() <= usize::from(hands));
        for work in &works {
            let status = self.world.find(work.verification).status(self.world.now());
            assert_eq!(status, Status::Pending, "leased after the end");
        }
        self.works.extend(works);
    }

    /// Notes a random receipt, which changes a delivery and nothing else.
    fn receipt(&mut self, which: u8, what: u8, other: bool) {
        let Some(work) = self
            .works
            .get(usize::from(which) % self.works.len().max(1))
            .copied()
        else {
            return;
        };
        let said = match what {
            0 => Receipt::Sent,
            1 => Receipt::Delivered,
            _ => Receipt::Undelivered {
                reason: Reason::from_word("30003"),
            },
        };
        let but_deliveries = |world: &World| {
            let mut record = world.record.clone()?;
            (record.version, record.last_event_at) = (0, Timestamp::default());
            record
                .verifications
                .iter_mut()
                .for_each(|verification| verification.deliveries.clear());
            Some(record)
        };
        let before = but_deliveries(&self.world);
        self.world
            .receipt(work.delivery, if other { "other" } else { "mail" }, said);
        assert_eq!(
            but_deliveries(&self.world),
            before,
            "a verdict, a limit or another rule"
        );
    }

    /// The tick that the due index asks for makes progress: afterwards the record is gone, due
    /// later, or never due. Steps of a plan that are due together may take one tick each.
    fn tick_when_due(&mut self) {
        let Some(wake_at) = self.world.wake_at() else {
            return;
        };
        self.world.at = self.world.at.max(wake_at);
        for _ in 0..=LIVE_MAX * usize::from(SENDS_MAX) {
            self.tick(16);
            if self.world.wake_at().is_none_or(|next| next > self.world.at) {
                return;
            }
        }
        panic!("due again at once: a loop without end");
    }

    fn report(&mut self, which: u8, how: u8) {
        let Some(work) = self.works.get(usize::from(which) % self.works.len().max(1)) else {
            return;
        };
        let outcome = match how {
            0 | 1 => HandOver::Taken { reference: None },
            2 => HandOver::Again {
                by: None,
                after: Duration::from_secs(5),
                position: 1,
            },
            3 => HandOver::PassedOn {
                by: 0,
                after: Duration::ZERO,
                position: 1,
            },
            4 => HandOver::Held {
                after: Duration::from_secs(5),
                position: usize::from(which % 2),
            },
            5 => HandOver::Kept {
                after: Duration::from_secs(5),
            },
            _ => HandOver::GivenUp {
                reason: Reason::Refused,
            },
        };
        self.world.report(*work, outcome);
        self.works.append(&mut self.world.in_hand);
    }

    /// Lets time pass until nothing is due any more.
    fn run_out(&mut self) {
        self.world.pass(DAY);
        for _ in 0..100 {
            if self.world.wake_at().is_none() {
                self.model.inspect(&self.world);
                return self.model.settled(&self.world);
            }
            self.tick_when_due();
        }
        panic!("always due");
    }
}

#[test]
fn any_sequence_of_commands_keeps_what_must_hold() {
    let default = Config::default();
    let rng_seed = if default.rng_seed == RngSeed::Random {
        RngSeed::Fixed(SEED)
    } else {
        default.rng_seed
    };
    let config = Config {
        cases: CASES,
        failure_persistence: None,
        rng_seed,
        ..default
    };
    let commands = prop::collection::vec(any::<u32>().prop_map(Command::of), COMMANDS);
    let outcome = TestRunner::new(config).run(&commands, |commands| {
        let mut run = Run::new();
        for command in commands {
            run.carry_out(command);
        }
        run.run_out();
        Ok(())
    });
    match outcome {
        Ok(()) => {}
        Err(TestError::Fail(why, commands)) => panic!("{rng_seed:?}: {why}\n{commands:#?}"),
        Err(TestError::Abort(why)) => panic!("{rng_seed:?}: {why}"),
    }
}
