//! Failing mail servers, each a real `smtp-sink` of Postfix: the effect of each failure, and which server gets the
//! message.

use std::time::Duration;

use countersign::pb::v1::{self, DeliveryStatus, Verdict};

use crate::{
    harness::{
        Harness, PATIENCE, Setup, login,
        sink::{code, header},
        unique,
    },
    rig::SmtpSink,
};

/// The service with these mail servers, in this order.
async fn service(servers: &[&SmtpSink]) -> Harness {
    let section = |(name, server): (&str, &&SmtpSink)| {
        let port = server.port;
        format!(
            "[senders.{name}]\nkind = \"smtp\"\nhost = \"127.0.0.1\"\nport = {port}\ntls = \"none\"\nfrom = \"a@bank.example\"\n"
        )
    };
    let sections: String = ["a", "b"].into_iter().zip(servers).map(section).collect();
    let names = if servers.len() == 1 {
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
async fn a_recipient_that_is_refused_for_good_is_asked_of_nobody_else() {
    for fault in [["-f", "RCPT"], ["-f", "DATA"], ["-f", "."]] {
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
