//! Simulated customers and attackers that run during the faults.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    case::{Case, Said},
    dice::Dice,
    ledger::Wrong,
    world::World,
};

/// The failure limit of a subject in the settings of the campaign; two verifications reach it.
pub const FAILURE_LIMIT: usize = 7;
/// Guesses that are sent at the same time.
const BURST: usize = 12;
/// Subjects that one attacker attacks in turn.
const VICTIMS: usize = 6;
/// An answer that is this much older than a disruption is certain to be replicated and on disk.
const COPIED: Duration = Duration::from_secs(5);

/// A wrong code of the same length.
fn another(code: &str, n: usize) -> String {
    let width = code.len();
    format!(
        "{:0width$}",
        (code.parse::<usize>().expect("digits") + 1 + n)
            % 10_usize.pow(u32::try_from(width).expect("few"))
    )
}

/// Simulates customers one after the other, each with one verification.
pub async fn customers(world: Arc<World>, mut dice: Dice) {
    while world.goes_on() {
        let subject = world.unique("s");
        let Some(mut case) = world.begin_and_read(&mut dice, &subject).await else {
            tokio::time::sleep(dice.millis(20, 200)).await;
            continue;
        };
        let code = case.code.clone().expect("it was read");
        match dice.below(10) {
            0..3 => drop(world.guess_on(&mut dice, &mut case, &code).await),
            3..5 => {
                for n in 0..=dice.below(4) {
                    world
                        .guess_on(&mut dice, &mut case, &another(&code, n))
                        .await;
                }
                world.guess_on(&mut dice, &mut case, &code).await;
            }
            5 => {
                for n in 0..6 {
                    world
                        .guess_on(&mut dice, &mut case, &another(&code, n))
                        .await;
                }
                world.guess_on(&mut dice, &mut case, &code).await;
            }
            6 => {
                let answer = world.fleet.cancel(dice.below(2), &case.id).await;
                case.cancel(answer.is_ok());
                world.guess_on(&mut dice, &mut case, &code).await;
            }
            7 => {
                let request = world.unique("again");
                let _ = world.fleet.resend(dice.below(2), &case.id, &request).await;
                world.guess_on(&mut dice, &mut case, &code).await;
            }
            8 => burst(&world, &mut dice, &mut case, |_| code.clone()).await,
            _ => burst(&world, &mut dice, &mut case, |n| another(&code, n)).await,
        }
        world.put_by(case);
    }
}

/// Sends many guesses at the same time, over both processes.
async fn burst(
    world: &Arc<World>,
    dice: &mut Dice,
    case: &mut Case,
    code: impl Fn(usize) -> String,
) {
    let mut guesses = tokio::task::JoinSet::new();
    let sent = Instant::now();
    for n in 0..BURST {
        let (world, id, guess) = (world.clone(), case.id.clone(), code(n));
        let mut dice = Dice::new(dice.below(1 << 30) as u64, n as u64);
        let is_right = case.code.as_ref() == Some(&guess);
        guesses.spawn(async move { (world.guess(&mut dice, &id, &guess).await.0, is_right) });
    }
    let answers = guesses.join_all().await;
    // A guess without an answer may be the one that ended the verification.
    case.note_all(answers, sent, &world.ledger);
}

/// Tries codes that were used or have ended, again and again, with new attempt ids.
pub async fn ghosts(world: Arc<World>, mut dice: Dice) {
    while world.goes_on() {
        tokio::time::sleep(Duration::from_millis(40)).await;
        let chosen = {
            let mut done = world.done.lock().expect("nobody panics");
            if done.is_empty() {
                continue;
            }
            // Half of the time, choose a recent one, because the code of an old one has expired anyway.
            let young = done.len().saturating_sub(40);
            let at = if dice.below(2) == 0 {
                dice.below(done.len())
            } else {
                young + dice.below(done.len() - young)
            };
            done.swap_remove(at)
        };
        haunt(&world, &mut dice, chosen).await;
    }
}

/// Tries the right code of a verification that its caller has finished.
pub async fn haunt(world: &World, dice: &mut Dice, mut case: Case) {
    if let Some(code) = case.code.clone() {
        let was_over = case.is_over();
        world.guess_on(dice, &mut case, &code).await;
        world.ledger.count(if was_over {
            "spent codes tried again"
        } else {
            "codes of unknown fate tried again"
        });
    }
    world.put_by(case);
}

/// A subject whose code an attacker guesses, with the number of answered failures in each era.
#[derive(Default)]
struct Victim {
    subject: String,
    failures: HashMap<usize, usize>,
    first_at: Option<Instant>,
}

impl Victim {
    /// The number of failures that an era may have: the whole limit; or one, after a change of generation, if the store
    /// certainly knew of an earlier failure and lost nothing, so that the penalty leaves one.
    fn allowed(&self, world: &World, era: usize) -> usize {
        let disruptions = world.ledger.disruptions();
        let known = |first: Instant| {
            let since: Vec<_> = disruptions[..era]
                .iter()
                .filter(|disruption| disruption.at > first)
                .collect();
            since
                .first()
                .is_some_and(|first_loss| first + COPIED < first_loss.at)
                && since.iter().all(|loss| loss.penalises)
        };
        if self.first_at.is_some_and(known) {
            1
        } else {
            FAILURE_LIMIT
        }
    }

    fn note(&mut self, world: &World, era: usize) {
        let allowed = self.allowed(world, era);
        self.first_at.get_or_insert_with(Instant::now);
        let count = self.failures.entry(era).or_default();
        *count += 1;
        let count = *count;
        if count > allowed {
            let story = format!(
                "subject {} has {count} failures of {allowed} in era {era}: {:?}",
                self.subject, self.failures
            );
            world.ledger.wrong(Wrong::BudgetOverrun, &story);
        }
    }
}

/// Guesses wrong codes of a few subjects until they are disabled, and continues after each disruption.
pub async fn attackers(world: Arc<World>, mut dice: Dice) {
    let mut victims: Vec<Victim> = Vec::new();
    while world.goes_on() {
        if victims.len() < VICTIMS {
            victims.push(Victim {
                subject: world.unique("victim"),
                ..Victim::default()
            });
        }
        let at = dice.below(victims.len());
        let victim = &mut victims[at];
        match world.begin_and_read(&mut dice, &victim.subject).await {
            Some(mut case) => attack(&world, &mut dice, victim, &mut case).await,
            None => tokio::time::sleep(dice.millis(100, 500)).await,
        }
        // Most subjects stay, to test the effect of the next disruption; some are replaced.
        if victims.len() == VICTIMS && dice.below(20) == 0 {
            victims.swap_remove(at);
        }
    }
}

async fn attack(world: &World, dice: &mut Dice, victim: &mut Victim, case: &mut Case) {
    let code = case.code.clone().expect("it was read");
    for n in 0..5 {
        let era = world.ledger.era();
        let said = world.guess_on(dice, case, &another(&code, n)).await;
        match said {
            // Answers that came across a disruption may belong to either side of it.
            Said::Wrong | Said::Exhausted if world.ledger.is_undisturbed(era) => {
                victim.note(world, era);
            }
            Said::Wrong | Said::Exhausted => {}
            Said::Refused(reason) if reason == "ATTEMPT_TOO_EARLY" => {
                tokio::time::sleep(Duration::from_secs(2)).await;
            }
            Said::Refused(reason) if reason == "METHOD_DISABLED" => {
                world.ledger.count("victims disabled");
                return;
            }
            _ => return,
        }
    }
}
