//! Which numbers may get a message. For all others, nothing reaches a sender, and the refusal is an event.

use countersign::{
    pb::v1::{self, Channel, Contact, StartVerificationRequest},
    service::record::vault::Line,
};
use tonic::{Code, Status};

use crate::{
    harness::http::get,
    harness::{A_BIT, Harness, Setup, fields, login, reason, recipient, shape, unique},
};

/// A start of another subject to these recipients.
fn to(recipients: &[(Channel, &str)]) -> StartVerificationRequest {
    let recipients = recipients
        .iter()
        .map(|(channel, address)| recipient(*channel, address))
        .collect();
    StartVerificationRequest {
        recipients,
        ..login(&unique("subject"))
    }
}

/// A refusal because of the recipients, and the fields that it names.
fn refused(status: &Status, why: &str) -> Vec<String> {
    assert_eq!(
        (status.code(), reason(status).as_str()),
        (Code::FailedPrecondition, why)
    );
    fields(status)
}

fn detail<'a>(line: &'a Line, name: &str) -> &'a str {
    line.details.get(name).map_or("", String::as_str)
}

/// The reasons of all refused starts, oldest first.
async fn refusals(service: &Harness) -> Vec<String> {
    let lines = service.audit().await;
    let refused = lines
        .iter()
        .filter(|line| line.what == "refused" && detail(line, "call") == "start");
    refused
        .map(|line| detail(line, "reason").to_owned())
        .collect()
}

/// Checks that every accepted message was sent; returns their number.
async fn sent(service: &Harness) -> usize {
    let before = service.recorder.all().len();
    let (verification, _) = service
        .start_and_read(to(&[(Channel::Email, "last@example.org")]))
        .await;
    service
        .until(&verification.verification_id, |v| {
            v.deliveries[0].status() == v1::DeliveryStatus::Sent
        })
        .await;
    let after = service.recorder.all();
    assert_eq!(after.len(), before + 1, "nothing was on its way");
    before
}

#[tokio::test]
async fn send_01_what_is_not_on_the_list_gets_nothing() {
    let service = Setup::default()
        .file("[countries]\nallowed = [\"NL\"]\n")
        .start()
        .await;
    let unlisted = ["+4915112345678", "+33612345678", "+12125550123"];
    // Attack 15: satellite and other global premium networks.
    let worldwide = [
        "+8823421234",
        "+979123456789",
        "+870301234567",
        "+881612345678",
        "+80012345678",
    ];
    let mut expected = Vec::new();
    for channel in [Channel::Sms, Channel::Voice, Channel::Whatsapp] {
        for number in unlisted.iter().chain(&worldwide) {
            let status = service.start(to(&[(channel, number)])).await.unwrap_err();
            assert_eq!(
                refused(&status, "COUNTRY_NOT_ALLOWED"),
                ["recipients[0].address"],
                "{number}"
            );
            assert!(
                !format!("{status:?}").contains(&number[3..]),
                "no error has the number"
            );
            expected.push("COUNTRY_NOT_ALLOWED");
        }
    }
    assert_eq!(refusals(&service).await, expected, "each is an event");
    assert_eq!(sent(&service).await, 0);
    let (_, code) = service
        .start_and_read(to(&[(Channel::Sms, "+31612345678")]))
        .await;
    assert_eq!(code.len(), 6);
    let page = get(service.reach.admin, "/metrics").await;
    assert!(
        page.contains("countersign_unfit_recipients_total{reason=\"COUNTRY_NOT_ALLOWED\"}"),
        "{page}"
    );
}

#[tokio::test]
async fn send_01_an_empty_list_is_none_and_mail_needs_no_country() {
    let service = Setup::default()
        .file("[countries]\nallowed = []\n")
        .start()
        .await;
    for (channel, number) in [
        (Channel::Sms, "+31612345678"),
        (Channel::Voice, "+31201234567"),
    ] {
        assert_eq!(
            shape(service.start(to(&[(channel, number)])).await).1,
            "COUNTRY_NOT_ALLOWED"
        );
    }
    service
        .start(to(&[(Channel::Email, "anna@example.org")]))
        .await
        .unwrap();
}

#[tokio::test]
async fn send_01_a_tenant_has_a_list_of_its_own() {
    let service = Setup::default()
        .file("[countries]\nallowed = [\"NL\"]\n[tenants.default]\ncountries = [\"DE\"]\n")
        .start()
        .await;
    assert_eq!(
        shape(service.start(to(&[(Channel::Sms, "+31612345678")])).await).1,
        "COUNTRY_NOT_ALLOWED"
    );
    service
        .start(to(&[(Channel::Sms, "+4915112345678")]))
        .await
        .unwrap();
}

#[tokio::test]
async fn send_01_another_recipient_takes_the_place_of_one_that_is_passed_over() {
    let file = "[countries]\nallowed = [\"NL\"]\n[actions.any]\nchannels = [\"sms\", \"voice\", \"email\"]\n";
    let service = Setup::default().file(file).start().await;
    let all = to(&[
        (Channel::Sms, "+4915112345678"),
        (Channel::Voice, "+319061234"),
        (Channel::Email, "anna@example.org"),
    ]);
    let request = StartVerificationRequest {
        action: "any".to_owned(),
        preferred_channel: Channel::Sms.into(),
        ..all
    };
    let (verification, _) = service.start_and_read(request.clone()).await;
    assert_eq!(verification.channel(), Channel::Email);
    let again = service.start(request).await.unwrap();
    assert_eq!(
        again.verification_id, verification.verification_id,
        "a repeat is one"
    );
    let events = service.audit().await;
    let passed: Vec<_> = events
        .iter()
        .filter(|line| line.what == "passed_over")
        .collect();
    let said: Vec<_> = passed
        .iter()
        .map(|line| (detail(line, "channel"), detail(line, "reason")))
        .collect();
    assert_eq!(
        said,
        [
            ("sms", "COUNTRY_NOT_ALLOWED"),
            ("voice", "NUMBER_TYPE_NOT_ALLOWED")
        ],
        "each once"
    );
    assert!(
        passed
            .iter()
            .all(|line| line.verification == verification.verification_id)
    );
    // No later step of the plan sends to it either.
    service.advance(30);
    for channel in [Channel::Sms, Channel::Voice] {
        let resent = service
            .try_resend(&verification.verification_id, channel)
            .await;
        assert_eq!(
            shape(resent),
            (Code::FailedPrecondition, "CHANNEL_NOT_PERMITTED".to_owned())
        );
    }
    assert!(
        service
            .recorder
            .all()
            .iter()
            .all(|message| message.recipient.expose() == "anna@example.org")
    );
}

#[tokio::test]
async fn send_01_no_step_of_a_plan_goes_to_a_number_that_was_passed_over() {
    let file = "[countries]\nallowed = [\"NL\"]\n[actions.login]\nplan = [\"sms 40s\", \"voice 40s\", \"email\"]\n";
    let service = Setup::default().file(file).start().await;
    let all = [
        (Channel::Sms, "+31612345678"),
        (Channel::Voice, "+4930123456"),
        (Channel::Email, "anna@example.org"),
    ];
    let id = service.start(to(&all)).await.unwrap().verification_id;
    service.recorder.wait_for(1).await;
    service.advance(40);
    while service.recorder.all().len() < 2 {
        service.pass(A_BIT).await;
    }
    let channels: Vec<_> = service
        .get(&id)
        .await
        .unwrap()
        .deliveries
        .iter()
        .map(v1::Delivery::channel)
        .collect();
    assert_eq!(channels, [Channel::Sms, Channel::Email]);
}

#[tokio::test]
async fn send_01_all_that_are_refused_are_named_and_those_on_no_channel_of_the_action_do_not_matter()
 {
    let file =
        "[countries]\nallowed = [\"NL\"]\n[actions.by_number]\nchannels = [\"sms\", \"voice\"]\n";
    let service = Setup::default().file(file).start().await;
    let by_number = |recipients| StartVerificationRequest {
        action: "by_number".to_owned(),
        ..to(recipients)
    };
    let both = [
        (Channel::Sms, "+31101234567"),
        (Channel::Email, "anna@example.org"),
        (Channel::Voice, "+4930123456"),
    ];
    let status = service.start(by_number(&both)).await.unwrap_err();
    assert_eq!(
        refused(&status, "NUMBER_TYPE_NOT_ALLOWED"),
        ["recipients[0].address", "recipients[2].address"],
        "the first says why"
    );
    let neither = [
        (Channel::Email, "anna@example.org"),
        (Channel::Whatsapp, "+4915112345678"),
    ];
    assert_eq!(
        shape(service.start(by_number(&neither)).await).1,
        "CHANNEL_NOT_PERMITTED"
    );
    assert_eq!(sent(&service).await, 0);
}

#[tokio::test]
async fn send_02_numbers_of_other_types_get_nothing() {
    let service = Harness::new().await;
    let never = [
        "+319061234",
        "+4918012345",
        "+4918500123456",
        "+447640123456",
        "+49177991234567",
    ];
    let by_policy = ["+445612345678", "+447012345678", "+448001234567"];
    for number in never.iter().chain(&by_policy) {
        for channel in [Channel::Sms, Channel::Voice, Channel::Whatsapp] {
            let status = service.start(to(&[(channel, number)])).await.unwrap_err();
            assert_eq!(
                refused(&status, "NUMBER_TYPE_NOT_ALLOWED"),
                ["recipients[0].address"],
                "{number} by {channel:?}"
            );
        }
    }
    for channel in [Channel::Sms, Channel::Whatsapp] {
        assert_eq!(
            shape(service.start(to(&[(channel, "+31101234567")])).await).1,
            "NUMBER_TYPE_NOT_ALLOWED"
        );
    }
    assert_eq!(
        refusals(&service).await.len(),
        3 * (never.len() + by_policy.len()) + 2
    );
    assert_eq!(sent(&service).await, 0);
    // A number outside of every number plan is invalid, and so are short codes.
    for number in ["+31112", "+44100", "+31600000000"] {
        assert_eq!(
            shape(service.start(to(&[(Channel::Sms, number)])).await),
            (Code::InvalidArgument, "INVALID_FIELDS".to_owned())
        );
    }
    for (channel, number) in [
        (Channel::Voice, "+31101234567"),
        (Channel::Sms, "+12015550123"),
        (Channel::Sms, "+31612345678"),
    ] {
        service.start(to(&[(channel, number)])).await.unwrap();
    }
    let lax = "[numbers]\nvoip = true\npersonal = true\ntoll_free = true\nfixed_line_sms = true\n";
    let service = Setup::default().file(lax).start().await;
    for number in by_policy.iter().chain(&["+31101234567"]) {
        service.start(to(&[(Channel::Sms, number)])).await.unwrap();
    }
    assert_eq!(
        shape(service.start(to(&[(Channel::Sms, never[0])])).await).1,
        "NUMBER_TYPE_NOT_ALLOWED"
    );
}

fn by_agent(request: StartVerificationRequest, own: &[&str]) -> StartVerificationRequest {
    let contact = Contact {
        contact_id: unique("call"),
        agent_id: "agent-7".to_owned(),
        agent_recipients: own.iter().map(|text| (*text).to_owned()).collect(),
        ..Default::default()
    };
    StartVerificationRequest {
        contact: Some(contact),
        ..request
    }
}

#[tokio::test]
async fn desk_06_an_agent_gets_no_code_of_a_customer_however_it_is_spelled() {
    let service = Harness::new().await;
    // Attack 39: the same address in another spelling, on either side.
    let pairs = [
        (Channel::Sms, "+31612345678", "+31 (0)6-1234 5678"),
        (Channel::Voice, "+31 6 12 34 56 78", "+31612345678"),
        (Channel::Whatsapp, "+31-6-12.34.56.78", "+31 612345678"),
        (
            Channel::Email,
            "agent@bank.example.org",
            "Agent+private@BANK.example.org",
        ),
        (
            Channel::Email,
            "AGENT+1@bank.example.org",
            "agent@bank.example.org",
        ),
    ];
    for (channel, recipient, own) in pairs {
        let status = service
            .start(by_agent(
                to(&[(channel, recipient)]),
                &["+4915112345678", own],
            ))
            .await
            .unwrap_err();
        assert_eq!(
            refused(&status, "AGENT_IS_RECIPIENT"),
            ["recipients[0].address"],
            "{recipient} {own}"
        );
    }
    // One such recipient among others is enough to refuse the start: an agent who tries this gets no second chance.
    let among = to(&[
        (Channel::Email, "anna@example.org"),
        (Channel::Sms, "+31612345678"),
    ]);
    let status = service
        .start(by_agent(among, &["+31612345678"]))
        .await
        .unwrap_err();
    assert_eq!(
        refused(&status, "AGENT_IS_RECIPIENT"),
        ["recipients[1].address"]
    );
    assert_eq!(sent(&service).await, 0);
    let lines = service.audit().await;
    let tried: Vec<_> = lines
        .iter()
        .filter(|line| detail(line, "reason") == "AGENT_IS_RECIPIENT")
        .collect();
    assert_eq!(tried.len(), pairs.len() + 1);
    assert!(
        tried
            .iter()
            .all(|line| line.agent == "agent-7" && line.contact.starts_with("call-")),
        "the agent is named"
    );
    // With another number the start succeeds; the agent's addresses are not remembered for the subject.
    let request = to(&[(Channel::Sms, "+31612345679")]);
    service
        .start(by_agent(
            request.clone(),
            &["+31612345678", "agent@bank.example.org"],
        ))
        .await
        .unwrap();
    let later = StartVerificationRequest {
        request_id: unique("start"),
        recipients: vec![recipient(Channel::Sms, "+31612345678")],
        ..request
    };
    service.start(later).await.expect("no agent's own is named");
}

#[tokio::test]
async fn desk_06_what_is_said_of_the_agent_is_checked() {
    let service = Harness::new().await;
    let start =
        |own: &[&str]| service.start(by_agent(to(&[(Channel::Email, "anna@example.org")]), own));
    assert_eq!(
        fields(
            &start(&["1234", "agent@", "+31612345678"])
                .await
                .unwrap_err()
        ),
        ["contact.agent_recipients[0]", "contact.agent_recipients[1]"]
    );
    assert_eq!(
        fields(&start(&["+31612345678"; 5]).await.unwrap_err()),
        ["contact.agent_recipients"]
    );
    let mut nameless = by_agent(
        to(&[(Channel::Email, "anna@example.org")]),
        &["+31612345678"],
    );
    nameless.contact.as_mut().unwrap().agent_id.clear();
    assert_eq!(
        fields(&service.start(nameless).await.unwrap_err()),
        ["contact.agent_id"]
    );
}
