//! The session against message centres that behave as configured: correctly, incorrectly, or not at
//! all.

use std::sync::Mutex;

use futures_util::StreamExt as _;
use rusmpp::{
    Command, CommandId, CommandStatus, Pdu,
    pdus::{BindTransceiverResp, DeliverSm, SubmitSmResp},
    tokio_codec::CommandCodec,
    types::COctetString,
    values::{DataCoding, EsmClass},
};
use tokio::{
    io::{AsyncWriteExt as _, split},
    net::{TcpListener, TcpStream},
};
use tokio_util::{
    bytes::BytesMut,
    codec::{Encoder as _, FramedRead},
};

use super::{
    super::doubles::{
        samples::{self, message},
        tls_sink,
    },
    receipt::tests::receipt,
    *,
};
use crate::{
    domain::{delivery::receipt::Receipt, ids::SenderName, recipient::Recipient},
    format::gsm7::tests::decode,
    ports::sender::{
        Content,
        receipts::{About, Arrival, ReceiptQueue, queue},
    },
};

/// One reaction of a message centre to a command.
enum Deed {
    Say(CommandStatus, u32, Box<Pdu>),
    Raw(Vec<u8>),
    End,
}

/// The reactions to a command, on the connection with this number.
type Habit = fn(usize, &Command) -> Vec<Deed>;

/// A message centre for tests, which stops with the test's runtime.
struct Center {
    port: u16,
    heard: Arc<Mutex<Vec<(usize, Command)>>>,
}

impl Center {
    async fn start(habit: Habit) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let heard = Arc::<Mutex<Vec<_>>>::default();
        let shared = heard.clone();
        tokio::spawn(async move {
            let mut connections = 0_usize;
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(attend(stream, connections, habit, shared.clone()));
                connections += 1;
            }
        });
        Self { port, heard }
    }

    fn heard(&self, id: CommandId) -> Vec<(usize, Command)> {
        self.heard
            .lock()
            .unwrap()
            .iter()
            .filter(|(_, command)| command.id() == id)
            .cloned()
            .collect()
    }

    fn submitted(&self) -> Vec<SubmitSm> {
        let all = self.heard(CommandId::SubmitSm).into_iter();
        all.filter_map(|(_, command)| {
            if let Some(Pdu::SubmitSm(submit)) = command.pdu() {
                Some(submit.clone())
            } else {
                None
            }
        })
        .collect()
    }

    /// Waits, for a limited time, until it has received this many commands of this kind.
    async fn wait_for(&self, id: CommandId, count: usize) -> Vec<(usize, Command)> {
        for _ in 0..2000 {
            let heard = self.heard(id);
            if heard.len() >= count {
                return heard;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("{id:?} came {} times", self.heard(id).len());
    }
}

async fn attend(
    stream: TcpStream,
    connection: usize,
    habit: Habit,
    heard: Arc<Mutex<Vec<(usize, Command)>>>,
) {
    let (from, mut to) = split(stream);
    let mut from = FramedRead::new(from, CommandCodec::new());
    while let Some(Ok(command)) = from.next().await {
        heard.lock().unwrap().push((connection, command.clone()));
        for deed in habit(connection, &command) {
            let mut bytes = BytesMut::new();
            match deed {
                Deed::Say(status, sequence, pdu) => {
                    CommandCodec::new()
                        .encode(Command::new(status, sequence, *pdu), &mut bytes)
                        .unwrap();
                }
                Deed::Raw(raw) => bytes.extend_from_slice(&raw),
                Deed::End => return,
            }
            if to.write_all(&bytes).await.is_err() {
                return;
            }
        }
    }
}

fn ok(sequence: u32, pdu: impl Into<Pdu>) -> Vec<Deed> {
    vec![Deed::Say(
        CommandStatus::EsmeRok,
        sequence,
        Box::new(pdu.into()),
    )]
}

fn taken(id: &str) -> Pdu {
    SubmitSmResp::builder()
        .message_id(COctetString::from_string(id.to_owned()).unwrap())
        .build()
        .into()
}

/// Accepts every message, with the id `m` and its sequence number.
fn good(_: usize, command: &Command) -> Vec<Deed> {
    let sequence = command.sequence_number();
    match command.id() {
        CommandId::BindTransceiver => ok(sequence, BindTransceiverResp::default()),
        CommandId::SubmitSm => ok(sequence, taken(&format!("m{sequence}"))),
        CommandId::EnquireLink => ok(sequence, Pdu::EnquireLinkResp),
        CommandId::Unbind => ok(sequence, Pdu::UnbindResp),
        _ => Vec::new(),
    }
}

/// Like [`good`], but answers each message with this status.
fn with_status(command: &Command, status: u32) -> Vec<Deed> {
    match command.id() {
        CommandId::SubmitSm => {
            vec![Deed::Say(
                CommandStatus::from(status),
                command.sequence_number(),
                Box::new(SubmitSmResp::default().into()),
            )]
        }
        _ => good(0, command),
    }
}

fn settings(port: u16) -> SmppSettings {
    SmppSettings {
        name: SenderName::parse("center").unwrap(),
        host: "127.0.0.1".to_owned(),
        port,
        tls: false,
        ca_file: None,
        system_id: "bank".to_owned(),
        password: SecretText::new("secret08".to_owned()),
        system_type: String::new(),
        from: "Bank".to_owned(),
        from_type: AddressType::default(),
        to_type: AddressType::default(),
        alphabet: DefaultAlphabet::default(),
        data_coding: 0,
        validity: Validity::default(),
        receipts: ReceiptParts::default(),
        receipt_ids: ReceiptIds::default(),
        timeout: Duration::from_secs(10),
        window: 10,
        enquire_every: Duration::from_secs(30),
    }
}

fn sender(settings: &SmppSettings) -> (Arc<Smpp>, ReceiptQueue) {
    let (receipts, receipt_queue) = queue();
    let parts = SenderParts {
        receipts,
        ..samples::sender_parts()
    };
    let sender = Smpp::new(settings, &parts).unwrap();
    (Arc::new(sender), receipt_queue)
}

fn sms(text: &str) -> Message {
    let mail = message();
    Message {
        recipient: Recipient::parse(Channel::Sms, "+31612345678").unwrap(),
        content: Arc::new(Content {
            text: text.to_owned(),
            html: None,
            ..(*mail.content).clone()
        }),
        ..mail
    }
}

fn reference(sent: Result<Sent, SendError>) -> String {
    sent.unwrap().reference.unwrap().as_str().to_owned()
}

#[tokio::test]
async fn a_message_goes_out_as_it_was_written() {
    let center = Center::start(good).await;
    let (sender, _receipts) = sender(&settings(center.port));
    assert_eq!(
        reference(sender.send(&sms("Code €1 [x]: 123 456")).await),
        "m2"
    );
    let Some(Pdu::BindTransceiver(bind)) =
        center.heard(CommandId::BindTransceiver)[0].1.pdu().cloned()
    else {
        panic!("a login")
    };
    assert_eq!(
        (
            bind.system_id.as_str(),
            bind.password.as_str(),
            u8::from(bind.interface_version)
        ),
        ("bank", "secret08", 0x34)
    );
    let submit = &center.submitted()[0];
    assert_eq!(
        (
            u8::from(submit.source_addr_ton),
            submit.source_addr.as_str()
        ),
        (5, "Bank")
    );
    assert_eq!(
        (
            u8::from(submit.dest_addr_ton),
            u8::from(submit.dest_addr_npi)
        ),
        (1, 1)
    );
    assert_eq!(submit.destination_addr.as_str(), "31612345678");
    assert_eq!(
        (
            u8::from(submit.esm_class),
            u8::from(submit.registered_delivery)
        ),
        (0, 1)
    );
    assert_eq!(submit.validity_period.as_str(), "000000000500000R");
    assert_eq!(submit.data_coding, DataCoding::McSpecific);
    assert_eq!(
        decode(submit.short_message().as_ref()),
        "Code €1 [x]: 123 456"
    );
}

#[tokio::test]
async fn a_long_message_goes_out_in_parts_and_the_last_brings_the_receipt() {
    let center = Center::start(good).await;
    let (sender, _receipts) = sender(&settings(center.port));
    assert_eq!(reference(sender.send(&sms(&"ż".repeat(100))).await), "m3");
    let parts = center.submitted();
    let seen: Vec<_> = parts
        .iter()
        .map(|part| (u8::from(part.esm_class), u8::from(part.registered_delivery)))
        .collect();
    assert_eq!(seen, [(0x40, 0), (0x40, 1)]);
    assert!(
        parts
            .iter()
            .all(|part| part.data_coding == DataCoding::Ucs2)
    );
    assert_eq!(parts[1].short_message().as_ref()[..6], [5, 0, 3, 7, 2, 2]);
}

#[tokio::test]
async fn a_refusal_of_a_later_part_says_that_some_was_taken() {
    fn second_is_too_much(_: usize, command: &Command) -> Vec<Deed> {
        if command.sequence_number() > 2 {
            with_status(command, 0x58)
        } else {
            good(0, command)
        }
    }
    let center = Center::start(second_is_too_much).await;
    let (sender, _receipts) = sender(&settings(center.port));
    assert_eq!(
        sender.send(&sms(&"a".repeat(161))).await,
        Err(SendError {
            maybe_accepted: true,
            ..SendError::later(Duration::from_secs(2), Reason::Busy)
        })
    );
}

#[tokio::test]
async fn a_refusal_is_judged_and_the_session_goes_on() {
    let center = Center::start(|_, command| with_status(command, 0x0b)).await;
    let (sender, _receipts) = sender(&settings(center.port));
    for _ in 0..2 {
        assert_eq!(
            sender.send(&sms("x")).await,
            Err(SendError::about_recipient(Reason::Refused))
        );
    }
    assert_eq!(center.heard(CommandId::BindTransceiver).len(), 1);
}

#[tokio::test]
async fn a_refused_login_is_for_the_next_sender() {
    let center = Center::start(|_, command| {
        vec![Deed::Say(
            CommandStatus::EsmeRinvpaswd,
            command.sequence_number(),
            Box::new(BindTransceiverResp::default().into()),
        )]
    });
    let center = center.await;
    let (sender, _receipts) = sender(&settings(center.port));
    assert_eq!(
        sender.send(&sms("x")).await,
        Err(SendError::login_refused(Duration::from_secs(2)))
    );
    // Messages that come in the pause afterwards fail at once with the same error.
    assert_eq!(
        sender.send(&sms("x")).await,
        Err(SendError::login_refused(Duration::from_secs(2)))
    );
    assert!(center.submitted().is_empty());
}

#[tokio::test]
async fn nobody_there_is_a_retry() {
    let port = TcpListener::bind(("127.0.0.1", 0))
        .await
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let (sender, _receipts) = sender(&settings(port));
    assert_eq!(
        sender.send(&sms("x")).await,
        Err(retry(Reason::Unreachable))
    );
}

#[tokio::test]
async fn who_listens_and_never_answers_is_cut_off() {
    let silent = Center::start(|_, _| Vec::new()).await;
    let brief = |port| SmppSettings {
        timeout: Duration::from_millis(300),
        ..settings(port)
    };
    let (bound_never, _receipts) = sender(&brief(silent.port));
    assert_eq!(
        bound_never.send(&sms("x")).await,
        Err(retry(Reason::Timeout)),
        "no login, so no message"
    );

    let deaf = Center::start(|_, command| {
        if command.id() == CommandId::BindTransceiver {
            good(0, command)
        } else {
            Vec::new()
        }
    });
    let deaf = deaf.await;
    let (bound, _receipts) = sender(&brief(deaf.port));
    assert_eq!(
        bound.send(&sms("x")).await,
        Err(unknown(Reason::Timeout)),
        "it has the message"
    );
    deaf.wait_for(CommandId::BindTransceiver, 2).await;
}

#[tokio::test]
async fn a_message_that_was_given_up_never_goes_out() {
    let hesitant = Center::start(|_, command| match command.id() {
        CommandId::BindTransceiver => good(0, command),
        _ => Vec::new(),
    });
    let hesitant = hesitant.await;
    let settings = SmppSettings {
        window: 1,
        timeout: Duration::from_millis(400),
        ..settings(hesitant.port)
    };
    let (sender, _receipts) = sender(&settings);
    let (early, late) = (sms("first"), sms("second"));
    let (first, second) = tokio::join!(sender.send(&early), sender.send(&late));
    assert_eq!(
        (first, second),
        (Err(unknown(Reason::Timeout)), Err(retry(Reason::Timeout)))
    );
    hesitant.wait_for(CommandId::BindTransceiver, 2).await;
    assert_eq!(hesitant.submitted().len(), 1, "the window had room for one");
}

#[tokio::test]
async fn a_lost_session_leaves_what_was_written_unknown_and_the_next_one_carries_on() {
    fn ends_at_the_first(connection: usize, command: &Command) -> Vec<Deed> {
        if connection == 0 && command.id() == CommandId::SubmitSm {
            vec![Deed::End]
        } else {
            good(0, command)
        }
    }
    let center = Center::start(ends_at_the_first).await;
    let (sender, _receipts) = sender(&settings(center.port));
    assert_eq!(
        sender.send(&sms("x")).await,
        Err(unknown(Reason::ConnectionLost))
    );
    center.wait_for(CommandId::BindTransceiver, 2).await;
    assert!(sender.send(&sms("x")).await.is_ok());
}

#[tokio::test]
async fn what_is_no_smpp_ends_the_session_and_nothing_else() {
    for raw in [
        // Lengths beyond the limit, and shorter than a header.
        [[0x7f, 0xff, 0xff, 0xff], [0, 0, 0, 5], [0; 4], [0; 4]].concat(),
        [[0, 0, 0, 15], [0, 0, 0, 5], [0; 4], [0; 4]].concat(),
    ] {
        static RAW: Mutex<Vec<u8>> = Mutex::new(Vec::new());
        RAW.lock().unwrap().clone_from(&raw);
        let center = Center::start(|connection, command| match command.id() {
            CommandId::SubmitSm if connection == 0 => vec![Deed::Raw(RAW.lock().unwrap().clone())],
            _ => good(0, command),
        });
        let center = center.await;
        let (sender, _receipts) = sender(&settings(center.port));
        assert_eq!(
            sender.send(&sms("x")).await,
            Err(unknown(Reason::ConnectionLost)),
            "{raw:?}"
        );
        center.wait_for(CommandId::BindTransceiver, 2).await;
        assert!(sender.send(&sms("x")).await.is_ok());
    }
}

#[tokio::test]
async fn a_command_that_cannot_be_read_is_refused_and_the_session_goes_on() {
    let center = Center::start(|_, command| {
        if command.id() != CommandId::SubmitSm {
            return good(0, command);
        }
        let sequence = command.sequence_number().to_be_bytes();
        // Unterminated text: in a receipt, in a request, and in the answer with the message id.
        let unread =
            |id: [u8; 4], sequence| [[0, 0, 0, 20], id, [0; 4], sequence, [0x41; 4]].concat();
        let raw = [
            unread([0, 0, 0, 5], [0, 0, 0, 70]),
            unread([0, 0, 0, 3], [0, 0, 0, 71]),
            unread([0x80, 0, 0, 4], sequence),
        ];
        vec![Deed::Raw(raw.concat())]
    });
    let center = center.await;
    let (sender, _receipts) = sender(&settings(center.port));
    assert_eq!(
        reference(sender.send(&sms("x")).await),
        "AAAA",
        "an id without its end"
    );
    let refused = &center.wait_for(CommandId::DeliverSmResp, 1).await[0].1;
    assert_eq!(
        (refused.sequence_number(), refused.status()),
        (70, CommandStatus::EsmeRok),
        "or it would come again and again"
    );
    assert_eq!(
        center.wait_for(CommandId::GenericNack, 1).await[0]
            .1
            .sequence_number(),
        71
    );
    assert_eq!(center.heard(CommandId::BindTransceiver).len(), 1);
}

#[tokio::test]
async fn answers_that_nobody_waits_for_and_strange_commands_do_no_harm() {
    fn odd(_: usize, command: &Command) -> Vec<Deed> {
        let mut deeds = ok(99, taken("late"));
        deeds.extend(ok(7, Pdu::EnquireLink));
        deeds.extend(ok(9, rusmpp::pdus::QuerySm::default()));
        deeds.extend(good(0, command));
        if matches!(
            command.id(),
            CommandId::BindTransceiver | CommandId::SubmitSm
        ) {
            deeds
        } else {
            good(0, command)
        }
    }
    let center = Center::start(odd).await;
    let (sender, _receipts) = sender(&settings(center.port));
    assert_eq!(reference(sender.send(&sms("x")).await), "m2");
    assert_eq!(
        center.wait_for(CommandId::EnquireLinkResp, 1).await[0]
            .1
            .sequence_number(),
        7
    );
    let refused = &center.wait_for(CommandId::GenericNack, 1).await[0].1;
    assert_eq!(
        (refused.sequence_number(), refused.status()),
        (9, CommandStatus::EsmeRinvcmdid)
    );
}

#[tokio::test]
async fn no_more_messages_wait_for_answers_than_the_window_holds() {
    // Answers only when three messages are waiting, so the test ends only if three are sent without
    // waiting.
    static OPEN: Mutex<Vec<u32>> = Mutex::new(Vec::new());
    let center = Center::start(|_, command| {
        if command.id() != CommandId::SubmitSm {
            return good(0, command);
        }
        let mut open = OPEN.lock().unwrap();
        open.push(command.sequence_number());
        assert!(open.len() <= 3, "more than the window");
        if open.len() < 3 {
            return Vec::new();
        }
        // Answers in another order than they arrived.
        open.drain(..)
            .rev()
            .flat_map(|sequence| ok(sequence, taken(&format!("m{sequence}"))))
            .collect()
    });
    let center = center.await;
    let (sender, _receipts) = sender(&SmppSettings {
        window: 3,
        ..settings(center.port)
    });
    let messages: Vec<_> = (0..30)
        .map(|number| sms(&format!("message {number}")))
        .collect();
    let all =
        futures_util::future::join_all(messages.iter().map(|message| sender.send(message))).await;
    let submitted = center.heard(CommandId::SubmitSm);
    for (message, sent) in messages.iter().zip(all) {
        let reference = reference(sent);
        let (_, command) = submitted
            .iter()
            .find(|(_, command)| format!("m{}", command.sequence_number()) == reference)
            .unwrap();
        let Some(Pdu::SubmitSm(submit)) = command.pdu() else {
            panic!("a message")
        };
        assert_eq!(
            decode(submit.short_message().as_ref()),
            message.content.text,
            "each has its own answer"
        );
    }
}

#[tokio::test]
async fn silence_is_asked_about_and_the_end_is_said() {
    let center = Center::start(good).await;
    let settings = SmppSettings {
        enquire_every: Duration::from_millis(100),
        ..settings(center.port)
    };
    let (sender, receipts) = sender(&settings);
    sender.send(&sms("x")).await.unwrap();
    center.wait_for(CommandId::EnquireLink, 2).await;
    assert_eq!(center.heard(CommandId::BindTransceiver).len(), 1);
    drop(receipts);
    center.wait_for(CommandId::Unbind, 1).await;
    // A further message opens a new session.
    sender.send(&sms("y")).await.unwrap();
    center.wait_for(CommandId::Unbind, 2).await;
    assert_eq!(center.submitted().len(), 2);
}

#[tokio::test]
async fn a_sender_that_goes_away_says_goodbye() {
    let center = Center::start(good).await;
    let (sender, _receipts) = sender(&settings(center.port));
    sender.send(&sms("x")).await.unwrap();
    drop(sender);
    center.wait_for(CommandId::Unbind, 1).await;
}

fn delivered(reference: &str) -> Pdu {
    receipt(&format!("id:{reference} stat:DELIVRD err:000")).into()
}

#[tokio::test]
async fn a_receipt_goes_inward_and_is_answered() {
    let center = Center::start(|_, command| match command.id() {
        CommandId::SubmitSm => {
            let mut deeds = good(0, command);
            deeds.extend(ok(50, delivered("m2")));
            let by_hand = DeliverSm::builder().esm_class(EsmClass::from(0)).build();
            deeds.extend(ok(51, by_hand));
            deeds
        }
        _ => good(0, command),
    });
    let center = center.await;
    let (sender, mut receipts) = sender(&settings(center.port));
    sender.send(&sms("x")).await.unwrap();
    let Some(Arrival::Receipt(came)) = receipts.recv().await else {
        panic!("a receipt")
    };
    assert_eq!(
        (came.sender.as_str(), came.receipt),
        ("center", Receipt::Delivered)
    );
    let About::References(names) = came.about else {
        panic!("by the id of the message centre")
    };
    assert_eq!(names[0].as_str(), "m2");
    let answers = center.wait_for(CommandId::DeliverSmResp, 2).await;
    let seen: Vec<_> = answers
        .iter()
        .map(|(_, answer)| (answer.sequence_number(), answer.status()))
        .collect();
    assert_eq!(
        seen,
        [(50, CommandStatus::EsmeRok), (51, CommandStatus::EsmeRok)]
    );
    assert!(
        receipts.try_recv().is_err(),
        "what a customer writes is no receipt"
    );
}

#[tokio::test]
async fn a_receipt_that_finds_the_queue_full_is_to_come_again() {
    let center = Center::start(|_, command| match command.id() {
        CommandId::SubmitSm => {
            let flood = (100..100 + 1025).flat_map(|sequence| ok(sequence, delivered("m2")));
            good(0, command).into_iter().chain(flood).collect()
        }
        _ => good(0, command),
    });
    let center = center.await;
    let (sender, mut receipts) = sender(&settings(center.port));
    sender.send(&sms("x")).await.unwrap();
    let answers = center.wait_for(CommandId::DeliverSmResp, 1025).await;
    assert!(
        answers[..1024]
            .iter()
            .all(|(_, answer)| answer.status() == CommandStatus::EsmeRok)
    );
    assert_eq!(answers[1024].1.status(), CommandStatus::EsmeRxTAppn);
    assert!(receipts.recv().await.is_some());
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_gets_no_password() {
    let (port, heard) = tls_sink::start().await;
    let (sender, _receipts) = sender(&SmppSettings {
        tls: true,
        ..settings(port)
    });
    assert_eq!(
        sender.send(&sms("x")).await,
        Err(status::next_sender(Reason::TlsFailed))
    );
    assert!(heard.lock().unwrap().is_empty());
}

#[test]
fn settings_that_no_login_holds_are_mistakes() {
    let broken = |break_it: fn(&mut SmppSettings)| {
        let mut settings = settings(1);
        break_it(&mut settings);
        let error = Smpp::new(&settings, &samples::sender_parts()).unwrap_err();
        error.to_string()
    };
    assert!(broken(|s| s.system_id = "x".repeat(16)).contains("system_id must be at most 15"));
    assert!(
        broken(|s| s.password = SecretText::new("12345678901234567".to_owned()))
            .contains("password_file must be at most 16")
    );
    assert!(broken(|s| s.system_type = "é".to_owned()).contains("system_type must be at most 12"));
    assert!(broken(|s| s.from = "Example Bank".to_owned()).contains("from must be"));
    assert!(broken(|s| s.window = 0).contains("window"));
}

#[tokio::test]
async fn what_is_no_number_is_left_to_others() {
    let (sender, _receipts) = sender(&settings(1));
    assert_eq!(
        sender.send(&message()).await,
        Err(status::unfit(Reason::NotANumber))
    );
}
