//! Failing mail servers, each a real `smtp-sink` of Postfix or a whole Postfix: the effect of each failure, and which
//! server gets the message.

use std::time::Duration;

use countersign::pb::v1::{self, DeliveryStatus, Verdict};

use crate::{
    harness::{
        Harness, PATIENCE, Setup, login,
        sink::{code, header},
        unique,
    },
    rig::{Postfix, SmtpSink},
};

/// The service with these mail servers, in this order.
async fn service(servers: &[&SmtpSink]) -> Harness {
    let ports: Vec<u16> = servers.iter().map(|server| server.port).collect();
    service_at(&ports, "service.bank.example").await
}

/// The service with mail servers at these ports, which it greets by this name.
async fn service_at(ports: &[u16], hello: &str) -> Harness {
    let section = |(name, port): (&str, &u16)| {
        format!(
            "[senders.{name}]\nkind = \"smtp\"\nhost = \"127.0.0.1\"\nport = {port}\ntls = \"none\"\nfrom = \"a@bank.example\"\nhello_name = \"{hello}\"\n"
        )
    };
    let sections: String = ["a", "b"].into_iter().zip(ports).map(section).collect();
    let names = if ports.len() == 1 {
        "\"a\""
    } else {
        "\"a\", \"b\""
    };
    let file = format!("{sections}[routes.email]\nsenders = [{names}]\n");
    Setup::default()
        .with("WORKER__POLL_MS", "10")
        .file(&file)
        .start()
        .await
}

/// Starts, and waits until the delivery has ended; time passes so slowly that the code stays valid.
async fn decided(service: &Harness) -> (v1::Verification, v1::Delivery) {
    let v = service.start(login(&unique("s"))).await.unwrap();
    let look = async {
        loop {
            let v = service.get(&v.verification_id).await.unwrap();
            if v.deliveries[0].status() != DeliveryStatus::Queued {
                let delivery = v.deliveries[0].clone();
                return (v, delivery);
            }
            service.clock.advance(Duration::from_millis(10));
        }
    };
    tokio::time::timeout(PATIENCE, look)
        .await
        .expect("the delivery is decided")
}

#[tokio::test]
async fn send_11_what_passes_by_itself_goes_to_the_second_server_with_the_same_code() {
    for fault in [
        ["-r", "CONNECT"],
        ["-r", "EHLO"],
        ["-r", "MAIL"],
        ["-r", "RCPT"],
        ["-r", "DATA"],
        ["-r", "."],
        ["-q", "CONNECT"],
        ["-q", "MAIL"],
        ["-q", "DATA"],
        ["-Q", "RCPT"],
    ] {
        let (failing, good) = (SmtpSink::start(&fault), SmtpSink::keeping(&[]));
        let service = service(&[&failing, &good]).await;
        let (v, delivery) = decided(&service).await;
        assert_eq!(
            (delivery.status(), delivery.sender.as_str(), delivery.tries),
            (DeliveryStatus::Sent, "b", 2),
            "{fault:?}"
        );
        let mails = good.mails();
        assert_eq!(mails.len(), 1, "{fault:?}");
        assert_eq!(header(&mails[0], "X-Rcpt-Args"), "<anna@example.org>");
        assert_eq!(
            service.check(&v.verification_id, &code(&mails[0])).await,
            Verdict::Approved,
            "{fault:?}"
        );
    }
}

#[tokio::test]
async fn a_server_that_hangs_up_after_the_mail_makes_one_duplicate_with_the_same_code() {
    let (failing, good) = (SmtpSink::keeping(&["-q", "."]), SmtpSink::keeping(&[]));
    let service = service(&[&failing, &good]).await;
    let (v, delivery) = decided(&service).await;
    assert_eq!(
        (delivery.status(), delivery.sender.as_str()),
        (DeliveryStatus::Sent, "b")
    );
    let (lost, sent) = (failing.mails(), good.mails());
    assert_eq!(
        (lost.len(), sent.len()),
        (1, 1),
        "none twice by the same server"
    );
    assert_eq!(code(&lost[0]), code(&sent[0]));
    assert_eq!(
        header(&lost[0], "Message-ID"),
        header(&sent[0], "Message-ID"),
        "the idempotency id"
    );
    assert_eq!(
        service.check(&v.verification_id, &code(&lost[0])).await,
        Verdict::Approved
    );
}

#[tokio::test]
async fn send_16_a_recipient_that_is_refused_for_good_is_asked_of_nobody_else() {
    for step in ["RCPT", "DATA", "."] {
        let fault = ["-B", "550 5.1.1 user unknown", "-f", step];
        let (failing, good) = (SmtpSink::start(&fault), SmtpSink::keeping(&[]));
        let service = service(&[&failing, &good]).await;
        let (_, delivery) = decided(&service).await;
        let seen = (
            delivery.status(),
            delivery.failure.as_str(),
            delivery.sender.as_str(),
        );
        assert_eq!(seen, (DeliveryStatus::Failed, "refused", "a"), "{fault:?}");
        assert!(good.mails().is_empty(), "{fault:?}");
    }
}

#[tokio::test]
async fn send_16_a_refusal_that_does_not_name_the_recipient_goes_to_the_second_server() {
    for reply in [
        "500 5.3.0 Error: command failed",
        "554 5.7.1 looks like spam",
        "552 5.3.4 Message size exceeds fixed limit",
        "550 relay not permitted",
        "450 4.7.1 Client host rejected: cannot find your hostname",
    ] {
        let refuses_for_good = reply.starts_with('5');
        let flags = if refuses_for_good {
            ["-B", "-f"]
        } else {
            ["-b", "-r"]
        };
        for step in ["RCPT", "DATA", "."] {
            let fault = [flags[0], reply, flags[1], step];
            let (failing, good) = (SmtpSink::start(&fault), SmtpSink::keeping(&[]));
            let service = service(&[&failing, &good]).await;
            let (_, delivery) = decided(&service).await;
            assert_eq!(
                (delivery.status(), delivery.sender.as_str(), delivery.tries),
                (DeliveryStatus::Sent, "b", 2),
                "{fault:?}"
            );
        }
    }
    let refusing = SmtpSink::start(&["-f", "RCPT"]);
    let (_, delivery) = decided(&service(&[&refusing]).await).await;
    assert_eq!(
        (delivery.status(), delivery.failure.as_str()),
        (DeliveryStatus::Failed, "refused"),
        "without a second one it fails"
    );
}

/// With `reject_non_fqdn_helo_hostname`, Postfix refuses a bare machine name, but says so only at RCPT, like a refusal of
/// the recipient.
#[tokio::test(flavor = "multi_thread")]
async fn send_16_a_postfix_that_dislikes_our_name_is_passed_over_and_the_mail_arrives_by_the_second()
 {
    let strict = Postfix::start(
        "smtpd_helo_required = yes\nsmtpd_helo_restrictions = reject_non_fqdn_helo_hostname",
    );
    let good = SmtpSink::keeping(&[]);
    let service = service_at(&[strict.port, good.port], "vm").await;
    let (v, delivery) = decided(&service).await;
    assert_eq!(
        (delivery.status(), delivery.sender.as_str(), delivery.tries),
        (DeliveryStatus::Sent, "b", 2)
    );
    let mails = good.mails();
    assert_eq!(mails.len(), 1);
    assert_eq!(
        service.check(&v.verification_id, &code(&mails[0])).await,
        Verdict::Approved
    );
    assert!(
        strict
            .log()
            .contains("Helo command rejected: need fully-qualified hostname")
    );

    // The same server accepts a name that operators should set.
    let service = service_at(&[strict.port], "vm.bank.example").await;
    let (_, delivery) = decided(&service).await;
    assert_eq!(delivery.status(), DeliveryStatus::Sent);
    strict.wait_for("anna@example.org");
}

#[tokio::test]
async fn a_server_that_refuses_us_is_passed_over() {
    for fault in [["-f", "CONNECT"], ["-f", "EHLO"], ["-f", "MAIL"]] {
        let (failing, good) = (SmtpSink::start(&fault), SmtpSink::keeping(&[]));
        let service = service(&[&failing, &good]).await;
        let (_, delivery) = decided(&service).await;
        assert_eq!(
            (delivery.status(), delivery.sender.as_str()),
            (DeliveryStatus::Sent, "b"),
            "{fault:?}"
        );
        assert_eq!(good.mails().len(), 1, "{fault:?}");
    }
    let refusing = SmtpSink::start(&["-f", "MAIL"]);
    let (_, delivery) = decided(&service(&[&refusing]).await).await;
    assert_eq!(
        (delivery.status(), delivery.failure.as_str()),
        (DeliveryStatus::Failed, "sender_refused")
    );
}

#[tokio::test]
async fn mails_on_kept_connections_arrive_whole_with_and_without_pipelining() {
    for arguments in [&[][..], &["-p"][..]] {
        let sink = SmtpSink::keeping(arguments);
        let service = service(&[&sink]).await;
        for _ in 0..20 {
            let (v, delivery) = decided(&service).await;
            assert_eq!(delivery.status(), DeliveryStatus::Sent);
            let mails = sink.mails();
            let mail = mails
                .iter()
                .find(|mail| header(mail, "Message-ID").contains(&delivery.delivery_id))
                .expect("it is there");
            assert!(
                mail.contains("</html>") && mail.trim_end().ends_with("--"),
                "the last line is there: {mail}"
            );
            assert_eq!(
                service.check(&v.verification_id, &code(mail)).await,
                Verdict::Approved
            );
        }
    }
}
