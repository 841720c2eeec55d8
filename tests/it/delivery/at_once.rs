//! Messages are sent immediately, without waiting for a sweep, even if another sender is slow.

use std::{
    collections::BTreeMap,
    future::poll_fn,
    pin::pin,
    sync::{Arc, Mutex},
    task::Poll,
    time::Duration,
};

use async_trait::async_trait;
use countersign::{
    app::Machine,
    domain::{
        caller::{Caller, Role, Roles, api_key_hash},
        delivery::reason::Reason,
        ids::{ActionName, CallerName, RequestId, SubjectId, TenantId},
        recipient::{self, Recipient},
        verification::binding::Binding,
    },
    pb::v1::{self, Channel, DeliveryStatus},
    ports::sender::{Message, SendError, Sender, Sent},
    service::verification::start::StartRequest,
};
use tokio::{sync::watch, task::JoinSet};

use crate::harness::{
    Harness, PATIENCE, Setup, login,
    provider::{Answer, Provider},
    recipient, unique, with_key,
};

type Sending = Result<Sent, SendError>;

const TAKEN: Sending = Ok(Sent {
    reference: None,
    aliases: Vec::new(),
});

/// With the longest pause between two sweeps: on a clock that stands still, there is none after the first.
fn setup() -> Setup {
    Setup::default().with("WORKER__POLL_MS", "60000")
}

/// A sender that gives each message the same answer, once its door is open.
struct Door {
    got: watch::Sender<Vec<Message>>,
    open: watch::Sender<bool>,
    answer: Sending,
    carries: bool,
}

impl Door {
    fn new(answer: Sending) -> Arc<Self> {
        Arc::new(Self {
            got: watch::Sender::default(),
            open: watch::Sender::new(true),
            answer,
            carries: true,
        })
    }

    /// Answers no message before its door is opened.
    fn shut() -> Arc<Self> {
        let door = Self::new(TAKEN);
        door.open.send_replace(false);
        door
    }

    /// Cannot send to any address.
    fn unable() -> Arc<Self> {
        let door = Arc::try_unwrap(Self::new(TAKEN)).unwrap_or_else(|_| unreachable!("one owner"));
        Arc::new(Self {
            carries: false,
            ..door
        })
    }

    fn open(&self) {
        self.open.send_replace(true);
    }

    fn got(&self) -> usize {
        self.got.borrow().len()
    }

    async fn wait_for(&self, count: usize) {
        let mut got = self.got.subscribe();
        let arrived = tokio::time::timeout(PATIENCE, got.wait_for(|got| got.len() >= count)).await;
        arrived
            .expect("the message arrives")
            .expect("the door stands");
    }
}

#[async_trait]
impl Sender for Door {
    async fn send(&self, message: &Message) -> Sending {
        self.got.send_modify(|got| got.push(message.clone()));
        let mut open = self.open.subscribe();
        let _ = open.wait_for(|open| *open).await;
        self.answer.clone()
    }

    fn carries(&self, _recipient: &Recipient) -> bool {
        self.carries
    }
}

fn retry() -> SendError {
    SendError::failing(Duration::from_secs(5), Reason::Busy)
}

fn next_sender() -> SendError {
    SendError::broken(Reason::from_word("revoked"))
}

fn give_up() -> SendError {
    SendError::about_recipient(Reason::Unregistered)
}

/// A service in which the route of a channel has these senders, in this order.
async fn service(setup: Setup, channel: &str, doors: &[(&str, &Arc<Door>)]) -> Harness {
    let names: Vec<_> = doors.iter().map(|(name, _)| format!("{name:?}")).collect();
    let sections: String = doors
        .iter()
        .map(|(name, _)| format!("[senders.{name}]\nkind = \"outbox\"\n"))
        .collect();
    let route = format!("[routes.{channel}]\nsenders = [{}]\n", names.join(", "));
    let setup = setup.file(&sections).file(&route);
    let senders: BTreeMap<_, _> = doors
        .iter()
        .map(|(name, door)| ((*name).to_owned(), Arc::clone(door) as Arc<dyn Sender>))
        .collect();
    let machine = Machine {
        clock: setup.clock.clone(),
        senders,
        ..Machine::default()
    };
    setup.start_on(machine).await
}

fn by_push() -> v1::StartVerificationRequest {
    v1::StartVerificationRequest {
        recipients: vec![recipient(
            Channel::Push,
            "fcm:dG9rZW4tb2YtdGhlLWFwcA:APA91bF-of_the_app_of_anna_4f2a",
        )],
        ..login(&unique("s"))
    }
}

async fn first_delivery(service: &Harness, id: &str, status: DeliveryStatus) -> v1::Delivery {
    let v = service
        .until(id, |v| v.deliveries[0].status() == status)
        .await;
    v.deliveries[0].clone()
}

#[tokio::test]
async fn send_17_the_next_sender_is_asked_while_the_clock_stands_still() {
    let busy = Provider::start(Answer::Status(503, "", String::new())).await;
    let well = Provider::start(Answer::Taken).await;
    let file = format!(
        "{}{}[routes.email]\nsenders = [\"a\", \"b\"]\n",
        busy.section("a"),
        well.section("b")
    );
    let service = setup().file(&file).start().await;
    let v = service.start(login("s")).await.unwrap();
    well.wait_for(1).await;
    let delivery = first_delivery(&service, &v.verification_id, DeliveryStatus::Sent).await;
    assert_eq!((delivery.sender.as_str(), delivery.tries), ("b", 2));
    assert_eq!((busy.got().len(), well.got().len()), (1, 1));
}

#[tokio::test]
async fn send_17_three_push_senders_are_asked_one_after_the_other_at_once() {
    let doors = [
        Door::new(Err(retry())),
        Door::new(Err(next_sender())),
        Door::new(TAKEN),
    ];
    let [a, b, c] = &doors;
    let service = service(setup(), "push", &[("a", a), ("b", b), ("c", c)]).await;
    let v = service.start(by_push()).await.unwrap();
    let delivery = first_delivery(&service, &v.verification_id, DeliveryStatus::Sent).await;
    assert_eq!((delivery.sender.as_str(), delivery.tries), ("c", 3));
    assert_eq!(doors.each_ref().map(|door| door.got()), [1, 1, 1]);
}

#[tokio::test]
async fn send_17_a_sender_that_cannot_carry_the_address_is_skipped_and_fails_nothing() {
    let (unable, able, last) = (Door::unable(), Door::new(Err(give_up())), Door::unable());
    let route = [("a", &unable), ("b", &able), ("c", &last)];
    let service = service(setup(), "push", &route).await;
    let v = service.start(by_push()).await.unwrap();
    let delivery = first_delivery(&service, &v.verification_id, DeliveryStatus::Failed).await;
    assert_eq!(
        (
            delivery.failure.as_str(),
            delivery.sender.as_str(),
            delivery.tries
        ),
        ("unregistered", "b", 1),
        "of the sender that was really asked"
    );
    assert_eq!((unable.got(), able.got(), last.got()), (0, 1, 0));
}

#[tokio::test]
async fn send_17_without_a_sender_for_its_kind_of_address_a_message_fails_by_that_name() {
    let unable = Door::unable();
    let service = service(setup(), "push", &[("a", &unable)]).await;
    let v = service.start(by_push()).await.unwrap();
    let delivery = first_delivery(&service, &v.verification_id, DeliveryStatus::Failed).await;
    assert_eq!(delivery.failure, "wrong_address_kind");
    assert_eq!(unable.got(), 0);
}

#[tokio::test]
async fn send_17_the_next_step_of_a_plan_comes_with_a_refusal_and_then_at_its_moment() {
    let doors = [Door::new(Err(give_up())), Door::new(TAKEN)];
    let [mail, sms] = &doors;
    let file = "[senders.sms]\nkind = \"outbox\"\n[routes.sms]\nsenders = [\"sms\"]\n\
                [routes.voice]\nsenders = [\"outbox\"]\n\
                [actions.login]\nplan = [\"email 20s\", \"sms 40s\", \"voice\"]\n\
                channels = [\"email\", \"sms\", \"voice\"]\n";
    let setup = setup().file(file);
    let senders = [("mail", mail), ("sms", sms)]
        .map(|(name, door)| (name.to_owned(), Arc::clone(door) as Arc<dyn Sender>));
    let setup =
        setup.file("[senders.mail]\nkind = \"outbox\"\n[routes.email]\nsenders = [\"mail\"]\n");
    let service = setup
        .start_on(Machine {
            clock: setup.clock.clone(),
            senders: senders.into(),
            ..Machine::default()
        })
        .await;
    let mut request = login("s");
    for channel in [Channel::Sms, Channel::Voice] {
        request.recipients.push(recipient(channel, "+31612345678"));
    }
    let v = service.start(request).await.unwrap();
    sms.wait_for(1).await;
    assert_eq!((mail.got(), service.recorder.all().len()), (1, 0));
    // The report of the second step comes before the time of the next step is known.
    let taken = |v: &v1::Verification| {
        v.deliveries.len() == 2 && v.deliveries[1].status() == DeliveryStatus::Sent
    };
    service.until(&v.verification_id, taken).await;
    service.advance(40);
    service.recorder.wait_for(1).await;
    assert_eq!((mail.got(), sms.got()), (1, 1), "each step once");
}

#[tokio::test]
async fn send_17_a_resend_that_finds_no_free_hand_goes_out_with_the_first() {
    let door = Door::shut();
    let setup = setup().with("WORKER__CONCURRENCY", "1");
    let service = service(setup, "email", &[("slow", &door)]).await;
    door.open();
    let first = service.start(login("one")).await.unwrap();
    first_delivery(&service, &first.verification_id, DeliveryStatus::Sent).await;
    service.advance(30);
    door.open.send_replace(false);
    service.start(login("other")).await.unwrap();
    door.wait_for(2).await;
    let resent = service
        .try_resend(&first.verification_id, Channel::Unspecified)
        .await
        .unwrap();
    assert_eq!(resent.deliveries[1].status(), DeliveryStatus::Queued);
    assert_eq!(door.got(), 2, "the one hand is full");
    door.open();
    door.wait_for(3).await;
}

#[tokio::test]
async fn send_19_a_flood_of_one_tenant_does_not_delay_anothers_message() {
    let door = Door::shut();
    let shop = hex::encode(api_key_hash("shop"));
    let setup = setup().with("WORKER__CONCURRENCY", "4").file(&format!(
        "[callers.shop]\ntenant = \"shop\"\nroles = [\"frontend\"]\napi_key_sha256 = \"{shop}\"\n"
    ));
    let service = service(setup, "email", &[("slow", &door)]).await;
    for n in 0..12 {
        service.start(login(&format!("flood-{n}"))).await.unwrap();
    }
    door.wait_for(3).await;
    let mut client = service.client.clone();
    let mut start = async |subject: &str| {
        let request = with_key("shop", login(subject));
        client.start_verification(request).await.unwrap();
    };
    start("customer").await;
    // The sender answers nobody, so this message found a hand that the flood had left.
    door.wait_for(4).await;
    let to = |door: &Door| door.got.borrow().last().unwrap().verification;
    let first = to(&door);
    start("another").await;
    assert_eq!(to(&door), first, "now all hands are busy");
    door.open();
    door.wait_for(14).await;
}

fn caller() -> Caller {
    Caller {
        name: CallerName::parse("development").unwrap(),
        tenant: TenantId::parse("development").unwrap(),
        roles: Roles::new(Role::ALL.to_vec()),
    }
}

fn start_request(subject: &str) -> StartRequest {
    StartRequest {
        subject: SubjectId::parse(subject).unwrap(),
        action: ActionName::parse("login").unwrap(),
        recipients: vec![Recipient::parse(recipient::Channel::Email, "anna@example.org").unwrap()],
        locale: None,
        binding: Binding::default(),
        contact: None,
        agents_own: Vec::new(),
        request_id: RequestId::parse("r1").unwrap(),
        preferred: None,
        authenticated: false,
        network: None,
        quota_keys: Vec::new(),
        browser: None,
        decoy: false,
        body: [0; 32],
    }
}

/// Polls a call when it is woken, at most this many times, then drops it. Returns its answer if there was one.
async fn polled<F: Future>(call: F, mut polls: usize) -> Option<F::Output> {
    let mut call = pin!(call);
    poll_fn(|cx| {
        if polls == 0 {
            return Poll::Ready(None);
        }
        polls -= 1;
        call.as_mut().poll(cx).map(Some)
    })
    .await
}

/// Drops a start at each of its awaits in turn. Whatever was committed is sent, and its repeat does not have to wait.
async fn dropped_at_every_await(setup: Setup) {
    let service = setup.start().await;
    let (use_cases, caller) = (&service.reach.service, caller());
    for polls in 0.. {
        let subject = unique("s");
        let answer = polled(use_cases.start(&caller, start_request(&subject)), polls).await;
        let again = use_cases.start(&caller, start_request(&subject)).await;
        let id = again
            .expect("a repeat")
            .snapshot
            .verification
            .id
            .to_string();
        service.code_of(&id).await;
        if answer.is_some() {
            return;
        }
        assert!(polls < 1000, "it never ends");
    }
}

#[tokio::test]
async fn send_18_a_start_that_is_dropped_at_any_await_sends_what_it_committed() {
    dropped_at_every_await(setup()).await;
}

#[tokio::test]
async fn send_18_a_start_that_is_dropped_on_disk_sends_what_it_committed() {
    dropped_at_every_await(setup().durable()).await;
}

#[tokio::test]
async fn send_18_a_start_whose_call_is_dropped_is_sent_without_a_repeat() {
    let service = setup().durable().start().await;
    let subjects: Vec<_> = (0..20).map(|_| unique("s")).collect();
    for subject in &subjects {
        let caller = caller();
        let call = service.reach.service.start(&caller, start_request(subject));
        assert!(polled(call, 1).await.is_none(), "nobody waits for it");
    }
    service.recorder.wait_for(subjects.len()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn send_19_a_slow_sender_delays_only_its_own_messages() {
    const SLOW: usize = 256;
    let door = Door::shut();
    let service = Arc::new(service(setup(), "sms", &[("slow", &door)]).await);
    let mut starts = JoinSet::new();
    for _ in 0..SLOW {
        let service = service.clone();
        starts.spawn(async move {
            let request = v1::StartVerificationRequest {
                recipients: vec![recipient(Channel::Sms, "+31612345678")],
                ..login(&unique("s"))
            };
            service.start(request).await.unwrap();
        });
    }
    starts.join_all().await;
    // All hands of that sender are busy, and many deliveries wait for them.
    door.wait_for(1).await;
    let (v, _) = service.start_and_read(login("other")).await;
    first_delivery(&service, &v.verification_id, DeliveryStatus::Sent).await;
    assert!(door.got() < SLOW, "{} hands", door.got());
    // When it answers, the waiting deliveries are sent, each once, without a sweep.
    door.open();
    door.wait_for(SLOW).await;
    let ids: Mutex<BTreeMap<_, usize>> = Mutex::default();
    for message in door.got.borrow().iter() {
        *ids.lock().unwrap().entry(message.delivery).or_default() += 1;
    }
    assert!(ids.into_inner().unwrap().values().all(|count| *count == 1));
}
