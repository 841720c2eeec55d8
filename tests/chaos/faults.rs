//! Injects faults one at a time, heals each, and measures the recovery time.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    dice::Dice,
    rig::{PATIENCE, Proxy, RedisServer, Replicated, command},
    world::World,
};

/// The Redis servers of a phase.
pub enum Bed {
    /// A master, two replicas and three sentinels; the processes connect to them directly.
    Sentinels(Replicated),
    /// One server, with a proxy before it for each process.
    Single(Box<RedisServer>, [Proxy; 2]),
}

/// A fault of the store, of a process, or of the network between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    KillService,
    KillBothServices,
    StopService,
    KillMaster,
    KillServiceAndMaster,
    StopMaster,
    Failover,
    FlushScripts,
    KillClients,
    PauseClients,
    FlushAll,
    Cut,
    Blackhole,
    Delay,
    DropConnections,
    DropReplies,
    DropRequests,
}

use Fault::{
    Blackhole, Cut, Delay, DropConnections, DropReplies, DropRequests, Failover, FlushAll,
    FlushScripts, KillBothServices, KillClients, KillMaster, KillService, KillServiceAndMaster,
    PauseClients, StopMaster, StopService,
};

/// The faults to choose from; repeated entries are chosen more often.
const WITH_SENTINELS: [Fault; 18] = [
    KillService,
    KillService,
    KillBothServices,
    StopService,
    StopService,
    KillMaster,
    KillMaster,
    KillServiceAndMaster,
    StopMaster,
    StopMaster,
    Failover,
    Failover,
    Failover,
    FlushScripts,
    KillClients,
    KillClients,
    PauseClients,
    FlushAll,
];
const WITH_PROXIES: [Fault; 18] = [
    KillService,
    StopService,
    KillMaster,
    KillServiceAndMaster,
    StopMaster,
    FlushScripts,
    KillClients,
    PauseClients,
    FlushAll,
    Cut,
    Cut,
    Blackhole,
    Blackhole,
    Delay,
    DropConnections,
    DropReplies,
    DropReplies,
    DropRequests,
];

impl Fault {
    /// `None`: the fault cannot change the store's generation or data. Otherwise whether replicated data is certain to
    /// be kept, and its loss charged.
    fn disrupts(self, bed: &Bed) -> Option<bool> {
        match self {
            KillMaster | KillServiceAndMaster | Failover => Some(true),
            FlushAll => Some(false),
            // Sentinels may take a silent master for dead and fail over.
            StopMaster | PauseClients => matches!(bed, Bed::Sentinels(_)).then_some(false),
            KillService | KillBothServices | StopService | FlushScripts | KillClients | Cut
            | Blackhole | Delay | DropConnections | DropReplies | DropRequests => None,
        }
    }
}

impl Bed {
    fn settle(&self) {
        match self {
            Self::Sentinels(bed) => bed.wait_settled(),
            Self::Single(server, _) => server.wait_ready(),
        }
    }

    fn master(&self) -> &RedisServer {
        match self {
            Self::Sentinels(bed) => bed.master(),
            Self::Single(server, _) => server,
        }
    }

    /// Kills the master, and restarts it after a replica was promoted, or at once if there is no replica.
    fn kill_master(&self) {
        match self {
            Self::Sentinels(bed) => {
                let old = bed.master_addr();
                bed.server_at(old).kill9();
                bed.wait_for_new_master(old, PATIENCE);
                bed.server_at(old).restart();
            }
            Self::Single(server, _) => server.restart(),
        }
    }

    fn failover(&self) {
        if let Self::Sentinels(bed) = self {
            bed.failover();
        }
    }
}

/// Injects one fault and heals it; blocks until then.
fn strike(fault: Fault, world: &World, bed: &Bed, dice: &mut Dice) {
    let (fleet, at) = (&world.fleet, dice.below(2));
    let ask = |arguments: &[&str]| drop(bed.master().try_cmd(arguments));
    match fault {
        KillService => {
            fleet.kill(at);
            hold(dice.millis(0, 3000));
            fleet.restart(at);
        }
        KillBothServices => {
            fleet.kill(0);
            fleet.kill(1);
            fleet.restart(0);
            fleet.restart(1);
        }
        StopService => {
            fleet.signal(at, "STOP");
            hold(dice.millis(500, 9000));
            fleet.signal(at, "CONT");
        }
        KillMaster => bed.kill_master(),
        KillServiceAndMaster => {
            fleet.kill(at);
            bed.kill_master();
            bed.settle();
            fleet.restart(at);
        }
        StopMaster => {
            let master = bed.master();
            master.sigstop();
            hold(dice.millis(300, 4000));
            master.sigcont();
        }
        Failover => bed.failover(),
        FlushScripts => ask(&["SCRIPT", "FLUSH"]),
        KillClients => ask(&["CLIENT", "KILL", "TYPE", "normal"]),
        PauseClients => ask(&[
            "CLIENT",
            "PAUSE",
            &dice.millis(100, 1500).as_millis().to_string(),
            "ALL",
        ]),
        FlushAll => ask(&["FLUSHALL"]),
        Cut | Blackhole | Delay | DropConnections | DropReplies | DropRequests => {
            let Bed::Single(_, proxies) = bed else { return };
            spoil(fault, &proxies[at], dice);
        }
    }
}

/// A fault of the network between one process and the store.
fn spoil(fault: Fault, proxy: &Proxy, dice: &mut Dice) {
    match fault {
        Cut => proxy.cut(),
        Blackhole => proxy.blackhole(),
        Delay => proxy.delay(dice.millis(20, 600)),
        DropReplies => drop(proxy.drop_replies(1 + dice.below(8), command("EVALSHA"))),
        DropRequests => drop(proxy.drop_requests(1 + dice.below(8), command("EVALSHA"))),
        _ => proxy.drop_connections(),
    }
    hold(dice.millis(200, 5000));
    proxy.pass();
    proxy.clear();
}

#[expect(
    clippy::disallowed_methods,
    reason = "a fault lasts; this thread is for nothing else"
)]
fn hold(span: Duration) {
    std::thread::sleep(span);
}

/// Injects faults until the end, with pauses between them; the first one at once.
pub async fn rain(world: Arc<World>, bed: Arc<Bed>, mut dice: Dice, end: Instant) {
    while Instant::now() < end {
        let fault = match &*bed {
            Bed::Sentinels(_) => dice.pick(&WITH_SENTINELS),
            Bed::Single(..) => dice.pick(&WITH_PROXIES),
        };
        world.ledger.fault(&format!("{fault:?}"));
        let disrupts = fault.disrupts(&bed);
        disrupts
            .iter()
            .for_each(|penalises| world.ledger.disrupt(*penalises));
        let (striking, over, mut own) = (world.clone(), bed.clone(), dice.clone());
        let struck = tokio::task::spawn_blocking(move || {
            strike(fault, &striking, &over, &mut own);
            own
        });
        dice = struck.await.expect("a fault is made and healed");
        let healed = Instant::now();
        recover(&world, &mut dice).await;
        world.ledger.recovered(healed.elapsed());
        let over = bed.clone();
        tokio::task::spawn_blocking(move || over.settle())
            .await
            .expect("the servers settle");
        // The next era is judged only after both processes have seen the new generation.
        recover(&world, &mut dice).await;
        disrupts
            .iter()
            .for_each(|penalises| world.ledger.disrupt(*penalises));
        tokio::time::sleep(dice.millis(500, 4000)).await;
    }
}

/// Waits until each process accepts a start.
async fn recover(world: &World, dice: &mut Dice) {
    for at in [0, 1] {
        let taken = async {
            while world.probe(at).await.is_err() {
                tokio::time::sleep(dice.millis(10, 30)).await;
            }
        };
        tokio::time::timeout(PATIENCE, taken)
            .await
            .expect("a healed store takes starts");
    }
}
