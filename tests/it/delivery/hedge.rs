//! Slow senders and unknown outcomes: hedging, retries and failover.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use countersign::{
    app::Machine,
    domain::delivery::{reason::Reason, receipt::Receipt},
    pb::v1::{self, Channel, DeliveryStatus, StartVerificationRequest, Verdict},
    ports::sender::{Capabilities, Message, ReceiptPath, SendError, Sender, Sent},
    service::delivery::receipt::Noted,
};
use tokio::sync::watch;

use crate::{
    harness::http::get,
    harness::{A_BIT, Harness, PATIENCE, Setup, login, recipient, reference, sender_name},
};

type Answer = Result<Sent, SendError>;

/// A sender that answers when the test tells it to.
struct Gate {
    got: watch::Sender<Vec<Message>>,
    /// The first answers, given at once.
    early: Mutex<VecDeque<Answer>>,
    /// All later answers, given once the test has set one.
    answer: watch::Sender<Option<Answer>>,
    can: Capabilities,
}

#[async_trait]
impl Sender for Gate {
    async fn send(&self, message: &Message) -> Answer {
        self.got.send_modify(|got| got.push(message.clone()));
        if let Some(answer) = self.early.lock().unwrap().pop_front() {
            return answer;
        }
        let mut answers = self.answer.subscribe();
        let answer = answers
            .wait_for(Option::is_some)
            .await
            .expect("the gate lives")
            .clone();
        answer.expect("it was waited for").map(|_| Sent {
            reference: Some(reference(message)),
            ..Sent::default()
        })
    }

    fn capabilities(&self) -> Capabilities {
        self.can
    }
}

impl Gate {
    fn able_to(can: Capabilities) -> Arc<Self> {
        Arc::new(Self {
            got: watch::Sender::default(),
            early: Mutex::default(),
            answer: watch::Sender::default(),
            can,
        })
    }

    fn slow() -> Arc<Self> {
        Self::able_to(Capabilities {
            idempotent: false,
            receipts: ReceiptPath::ByToken,
        })
    }

    fn quick(answer: Answer) -> Arc<Self> {
        let gate = Self::slow();
        gate.says(answer);
        gate
    }

    fn says(&self, answer: Answer) {
        self.answer.send_replace(Some(answer));
    }

    fn says_first(self: Arc<Self>, answers: impl IntoIterator<Item = Answer>) -> Arc<Self> {
        self.early.lock().unwrap().extend(answers);
        self
    }

    fn got(&self) -> Vec<Message> {
        self.got.borrow().clone()
    }

    async fn wait_for(&self, count: usize) {
        let mut got = self.got.subscribe();
        let arrived = tokio::time::timeout(PATIENCE, got.wait_for(|got| got.len() >= count)).await;
        arrived
            .expect("the message arrives")
            .expect("the gate lives");
    }
}

const HEDGED: &str = "hedge_ms = 500\n";

const TAKEN: Answer = Ok(Sent {
    reference: None,
    aliases: Vec::new(),
});

fn again() -> SendError {
    SendError::failing(Duration::from_secs(2), Reason::Busy)
}

fn lost() -> SendError {
    SendError::unanswered(Duration::from_secs(2), Reason::from_word("silent"))
}

/// A service that sends e-mails by these senders, in the order of their names.
async fn service(gates: &[(&str, &Arc<Gate>)], rest: &str) -> Harness {
    let names: Vec<_> = gates
        .iter()
        .map(|(name, _)| format!("\"{name}\""))
        .collect();
    let sections: Vec<_> = gates
        .iter()
        .map(|(name, _)| format!("[senders.{name}]\nkind = \"outbox\"\n"))
        .collect();
    let route = format!("[routes.email]\nsenders = [{}]\n", names.join(", "));
    let setup = Setup::default()
        .file(&sections.concat())
        .file(&route)
        .file(rest);
    let senders: BTreeMap<_, _> = gates
        .iter()
        .map(|(name, gate)| ((*name).to_owned(), Arc::clone(gate) as Arc<dyn Sender>))
        .collect();
    setup
        .start_on(Machine {
            clock: setup.clock.clone(),
            senders,
            ..Machine::default()
        })
        .await
}

/// Waits until the delivery has this status; time passes only while the message waits for its next try.
async fn ended(service: &Harness, id: &str, status: DeliveryStatus) -> v1::Delivery {
    let find = async {
        loop {
            let delivery = service.get(id).await.unwrap().deliveries.remove(0);
            if delivery.status() == status {
                return delivery;
            }
            if delivery.status() == DeliveryStatus::Queued {
                service.pass(A_BIT).await;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(PATIENCE, find).await.expect("it ends")
}

/// Starts a verification, and waits until its delivery has this status.
async fn delivered(service: &Harness, status: DeliveryStatus) -> (String, v1::Delivery) {
    let id = service.start(login("s")).await.unwrap().verification_id;
    let delivery = ended(service, &id, status).await;
    (id, delivery)
}

fn assert_same_once(one: &Gate, other: &Gate) {
    let (one, other) = (one.got(), other.got());
    assert_eq!((one.len(), other.len()), (1, 1), "each got it once");
    assert_eq!(
        (one[0].delivery, one[0].code.expose()),
        (other[0].delivery, other[0].code.expose()),
        "the same message"
    );
    assert_eq!(one[0].content.text, other[0].content.text);
}

/// Waits until this many hedges had this outcome. The counts are of the whole process, so they are compared with
/// earlier ones.
async fn until_counted(service: &Harness, outcome: &str, before: u64) {
    let counted = async {
        while count(service, outcome).await <= before {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(PATIENCE, counted)
        .await
        .expect("it is counted");
}

async fn count(service: &Harness, outcome: &str) -> u64 {
    let page = get(service.reach.admin, "/metrics").await;
    let wanted = format!("countersign_hedges_total{{channel=\"email\",outcome=\"{outcome}\"}} ");
    page.lines()
        .find_map(|line| line.trim().strip_prefix(&wanted))
        .map_or(0, |count| count.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_hedging_a_slow_sender_has_the_only_message() {
    let (a, b) = (Gate::slow(), Gate::quick(TAKEN));
    let service = service(
        &[("a", &a), ("b", &b)],
        "[worker]\nsend_deadline_ms = 1500\n",
    )
    .await;
    // The next sender gets it after the first has failed, as another try.
    let (_, delivery) = delivered(&service, DeliveryStatus::Sent).await;
    assert_eq!((delivery.sender.as_str(), delivery.tries), ("b", 2));
    assert_same_once(&a, &b);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_slow_sender_does_not_answer_the_next_delivers() {
    let (a, b) = (Gate::slow(), Gate::quick(TAKEN));
    let service = service(&[("a", &a), ("b", &b)], HEDGED).await;
    let before = count(&service, "both").await;
    let (id, delivery) = delivered(&service, DeliveryStatus::Sent).await;
    assert_eq!(
        (delivery.sender.as_str(), delivery.tries),
        ("b", 1),
        "a hedge is no other try"
    );
    assert_same_once(&a, &b);
    // The slow sender accepts it too, which is counted and changes nothing.
    a.says(TAKEN);
    until_counted(&service, "both", before).await;
    assert_eq!(service.get(&id).await.unwrap().deliveries[0], delivery);
    assert_eq!(
        service.check(&id, a.got()[0].code.expose()).await,
        Verdict::Approved
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_slow_sender_may_still_win() {
    let (a, b) = (Gate::slow(), Gate::slow());
    let service = service(&[("a", &a), ("b", &b)], HEDGED).await;
    let before = count(&service, "first").await;
    let id = service.start(login("s")).await.unwrap().verification_id;
    b.wait_for(1).await;
    a.says(TAKEN);
    let delivery = ended(&service, &id, DeliveryStatus::Sent).await;
    assert_eq!((delivery.sender.as_str(), delivery.tries), ("a", 1));
    b.says(Err(again()));
    until_counted(&service, "first", before).await;
    assert_eq!(
        service.get(&id).await.unwrap().deliveries[0],
        delivery,
        "what the other says no longer matters"
    );
    assert_same_once(&a, &b);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hedge_that_fails_leaves_the_first_sender_its_time() {
    let (a, b) = (Gate::slow(), Gate::quick(Err(again())));
    let service = service(&[("a", &a), ("b", &b)], HEDGED).await;
    let id = service.start(login("s")).await.unwrap().verification_id;
    b.wait_for(1).await;
    a.says(TAKEN);
    let delivery = ended(&service, &id, DeliveryStatus::Sent).await;
    assert_eq!((delivery.sender.as_str(), delivery.tries), ("a", 1));
    assert_same_once(&a, &b);
}

#[tokio::test(flavor = "multi_thread")]
async fn when_both_fail_the_one_asked_last_decides() {
    let no = |reason: &str| Err(SendError::about_recipient(Reason::from_word(reason)));
    for first_ends_last in [true, false] {
        let (a, b) = (Gate::slow(), Gate::slow());
        let service = service(&[("a", &a), ("b", &b)], HEDGED).await;
        let id = service.start(login("s")).await.unwrap().verification_id;
        b.wait_for(1).await;
        let before = count(&service, "none").await;
        if first_ends_last {
            b.says(no("said_by_b"));
            a.says(Err(again()));
        } else {
            a.says(Err(again()));
            b.says(no("said_by_b"));
        }
        let delivery = ended(&service, &id, DeliveryStatus::Failed).await;
        assert_eq!(
            (delivery.failure.as_str(), delivery.tries),
            ("said_by_b", 1)
        );
        until_counted(&service, "none", before).await;
        assert_same_once(&a, &b);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_that_fails_before_the_hedge_is_due_is_followed_as_ever() {
    let (a, b) = (Gate::quick(Err(again())), Gate::quick(TAKEN));
    let service = service(&[("a", &a), ("b", &b)], HEDGED).await;
    let (_, delivery) = delivered(&service, DeliveryStatus::Sent).await;
    assert_eq!((delivery.sender.as_str(), delivery.tries), ("b", 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn hook_05_a_receipt_of_either_is_taken() {
    for winner_first in [true, false] {
        let (a, b) = (Gate::slow(), Gate::quick(TAKEN));
        let service = service(&[("a", &a), ("b", &b)], HEDGED).await;
        let (id, _) = delivered(&service, DeliveryStatus::Sent).await;
        let tokens = [
            ("b", b.got()[0].receipt.clone()),
            ("a", a.got()[0].receipt.clone()),
        ];
        let (name, token) = &tokens[usize::from(!winner_first)];
        let noted = service
            .reach
            .service
            .receipt(&sender_name(name), token.as_str(), Receipt::Delivered)
            .await
            .unwrap();
        assert_eq!(noted, Noted::Changed, "{name}");
        assert_eq!(
            ended(&service, &id, DeliveryStatus::Delivered).await.sender,
            *name
        );
        a.says(TAKEN);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hook_05_both_are_found_by_their_own_names_for_the_message() {
    let by_name = Capabilities {
        idempotent: false,
        receipts: ReceiptPath::ByReference,
    };
    let (a, b) = (Gate::able_to(by_name), Gate::able_to(by_name));
    b.says(TAKEN);
    let service = service(&[("a", &a), ("b", &b)], HEDGED).await;
    let (id, _) = delivered(&service, DeliveryStatus::Sent).await;
    a.says(TAKEN);
    let name = reference(&a.got()[0]);
    // The loser's id of the message is stored after its answer, without anything waiting for it; a worker repeats that
    // too.
    let noted = async {
        loop {
            let noted = service
                .reach
                .service
                .receipt_by_reference(
                    &sender_name("a"),
                    std::slice::from_ref(&name),
                    Receipt::Delivered,
                )
                .await
                .unwrap();
            if noted != Noted::Unknown {
                return noted;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    assert_eq!(
        tokio::time::timeout(PATIENCE, noted)
            .await
            .expect("it is written down"),
        Noted::Changed
    );
    assert_eq!(
        ended(&service, &id, DeliveryStatus::Delivered).await.sender,
        "a"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_breaker_is_not_hedged_to() {
    let (a, b, c) = (Gate::slow(), Gate::quick(Err(again())), Gate::quick(TAKEN));
    let rest = format!(
        "{HEDGED}[routes.voice]\nsenders = [\"b\"]\n[breaker]\nfailures = 1\nopen_s = 100\n"
    );
    let service = service(&[("a", &a), ("b", &b), ("c", &c)], &rest).await;
    let recipients = vec![recipient(Channel::Voice, "+31612345678")];
    service
        .start(StartVerificationRequest {
            recipients,
            ..login("other")
        })
        .await
        .unwrap();
    let opened = async {
        while service
            .reach
            .service
            .complaints()
            .iter()
            .all(|complaint| complaint.word != "sender_open")
        {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(PATIENCE, opened)
        .await
        .expect("it opens");
    b.says(TAKEN);
    let (_, delivery) = delivered(&service, DeliveryStatus::Sent).await;
    assert_eq!(delivery.sender, "c");
    assert!(
        b.got()
            .iter()
            .all(|message| message.recipient.channel().as_str() == "voice"),
        "b is left alone"
    );
    a.says(TAKEN);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_refused_a_message_does_not_get_it_as_a_hedge() {
    let unfit = SendError::unclear(Reason::TooLong);
    let a = Gate::slow().says_first([Err(again())]);
    let (b, c) = (
        Gate::quick(Err(unfit)),
        Gate::quick(TAKEN).says_first([Err(again())]),
    );
    let service = service(&[("a", &a), ("b", &b), ("c", &c)], HEDGED).await;
    let id = service.start(login("s")).await.unwrap().verification_id;
    // After the pause, the first sender is asked again, and is slow this time.
    let second_round = async {
        while a.got().len() < 2 {
            let delivery = service.get(&id).await.unwrap().deliveries.remove(0);
            if delivery.status() == DeliveryStatus::Queued {
                service.pass(A_BIT).await;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(PATIENCE, second_round)
        .await
        .expect("it is asked again");
    let delivery = ended(&service, &id, DeliveryStatus::Sent).await;
    assert_eq!(
        (delivery.sender.as_str(), b.got().len(), c.got().len()),
        ("c", 1, 2)
    );
    a.says(TAKEN);
}

#[tokio::test(flavor = "multi_thread")]
async fn send_11_who_knows_repeats_is_asked_once_more_when_it_does_not_know() {
    let idempotent = Capabilities {
        idempotent: true,
        receipts: ReceiptPath::ByToken,
    };
    for (can, asked) in [
        (idempotent, 2),
        (
            Capabilities {
                idempotent: false,
                ..idempotent
            },
            1,
        ),
    ] {
        let (a, b) = (Gate::able_to(can), Gate::quick(TAKEN));
        a.says(Err(lost()));
        let service = service(&[("a", &a), ("b", &b)], "").await;
        let (_, delivery) = delivered(&service, DeliveryStatus::Sent).await;
        assert_eq!(
            (delivery.sender.as_str(), delivery.tries),
            ("b", 2),
            "then the next: to ask once more is no try"
        );
        let ids: Vec<_> = a.got().iter().map(|message| message.delivery).collect();
        assert_eq!(ids, vec![b.got()[0].delivery; asked], "with the same id");
    }

    let a = Gate::able_to(idempotent).says_first([Err(lost())]);
    a.says(TAKEN);
    let b = Gate::slow();
    let service = service(&[("a", &a), ("b", &b)], "").await;
    let (_, delivery) = delivered(&service, DeliveryStatus::Sent).await;
    assert_eq!(
        (delivery.sender.as_str(), delivery.tries, a.got().len()),
        ("a", 1, 2),
        "the repeat is its success"
    );
    assert!(b.got().is_empty());
}
