//! Push messages: the whole road to an app, and what a locked screen may show.

use countersign::pb::v1::{self, Channel, EntryMode, Method, Verdict};

use crate::harness::{Harness, check_request, fields, login, recipient};

/// A registration token.
const APP: &str = "fcm:dG9rZW4tb2YtdGhlLWFwcA:APA91bF-of_the_app_of_anna_4f2a";

fn to_app() -> v1::StartVerificationRequest {
    v1::StartVerificationRequest { recipients: vec![recipient(Channel::Push, APP)], locale: "nl".to_owned(), ..login("s") }
}

#[tokio::test]
async fn a_code_goes_to_an_app_and_is_typed_by_the_customer() {
    let service = Harness::new().await;
    let (v, code) = service.start_and_read(to_app()).await;
    assert_eq!((v.channel(), v.masked_recipient.as_str()), (Channel::Push, "app •••• 4f2a"));
    assert_eq!(v.methods, [i32::from(Method::Push)]);
    assert!(v.explanation.contains("in uw app"), "{}", v.explanation);
    let check = v1::CheckCodeRequest { entry_mode: EntryMode::App.into(), ..check_request(&v.verification_id, &code, "a1") };
    let answer = service.client.clone().check_code(service.request(check)).await.unwrap();
    assert_eq!(answer.into_inner().verdict(), Verdict::Approved);
}

#[tokio::test]
async fn chan_07_the_alert_holds_neither_the_code_nor_what_is_bound_and_the_opened_app_both() {
    let service = Harness::new().await;
    let binding = [("amount", "EUR 12.34"), ("payee", "Jansen")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    let request = v1::StartVerificationRequest { action: "payment".to_owned(), binding: binding.into(), ..to_app() };
    let (_, code) = service.start_and_read(request).await;
    let message = service.recorder.all().remove(0);
    let grouped = format!("{} {}", &code[..3], &code[3..]);
    for shown in [&message.content.subject, &message.content.text] {
        assert!(!shown.is_empty() && !shown.contains(|c: char| c.is_ascii_digit()) && !shown.contains("Jansen"), "{shown}");
    }
    let opened = message.content.opened.unwrap();
    assert!(opened.contains(&grouped) && opened.contains("amount: EUR 12.34\npayee: Jansen\n"), "{opened}");
}

#[tokio::test]
async fn an_address_that_no_push_service_gives_is_refused_by_name() {
    let service = Harness::new().await;
    for address in ["anna@example.org", "fcm:short", "apns:xyz", "webpush:e30"] {
        let request = v1::StartVerificationRequest { recipients: vec![recipient(Channel::Push, address)], ..to_app() };
        assert_eq!(fields(&service.start(request).await.unwrap_err()), ["recipients[0].address"], "{address}");
    }
}
