//! No library writes personal data, whatever `log.level` says.

use countersign::pb::v1;

use super::secrecy::{eight_digits_and, providers};
use crate::harness::{
    binary::{Process, borrowed, mail_settings},
    canary::Canaries,
    check_request, login, recipient,
    sink::{Sink, code},
    unique, with_key,
};

/// Every library by name, at the level at which it says the most.
const LEVEL: &str = "trace,rlibphonenumber=trace,hyper=trace,hyper_util=trace,h2=trace,reqwest=trace,rustls=trace,\
                     tonic=trace,tower=trace,tokio_util=trace,mio=trace,lettre=trace,rusmpp=trace,axum=trace,redb=trace,\
                     minijinja=trace,log=trace";

/// The spellings of a Dutch mobile number, each of which identifies its owner.
fn spellings(national: &str) -> [String; 3] {
    [
        national.to_owned(),
        format!("31{national}"),
        format!("0{national}"),
    ]
}

async fn start(process: &Process, request: v1::StartVerificationRequest) -> String {
    let mut client = process.client().await;
    let request = with_key(&process.key, request);
    let answer = client.start_verification(request).await.unwrap();
    answer.into_inner().verification.unwrap().verification_id
}

#[tokio::test(flavor = "multi_thread")]
async fn log_08_no_library_writes_personal_data_at_any_level() {
    let (dir, sink) = (tempfile::tempdir().unwrap(), Sink::start().await);
    let server = wiremock::MockServer::start().await;
    wiremock::Mock::given(wiremock::matchers::any())
        .respond_with(wiremock::ResponseTemplate::new(201).set_body_json(serde_json::json!({})))
        .mount(&server)
        .await;
    let (text, mut secrets) = providers(&server, dir.path());
    let file = dir.path().join("settings.toml");
    std::fs::write(&file, text).unwrap();
    let mut settings = eight_digits_and([("LOG__LEVEL", LEVEL), ("LOG__TIMESTAMPS", "false")]);
    settings.extend(mail_settings(&sink));
    let arguments = ["--config", file.to_str().unwrap()];
    let process = Process::start_with(dir.path(), &borrowed(&settings), &arguments);
    secrets.push(process.key.clone());
    for (n, channel) in [
        v1::Channel::Sms,
        v1::Channel::Voice,
        v1::Channel::Whatsapp,
        v1::Channel::Email,
    ]
    .into_iter()
    .cycle()
    .take(8)
    .enumerate()
    {
        let national = format!("61234567{n}");
        let mut request = login(&format!("canary-subject-{n}"));
        request
            .binding
            .insert("note".to_owned(), format!("canary-binding-{n}"));
        secrets.extend([request.subject.clone(), format!("canary-binding-{n}")]);
        if channel == v1::Channel::Email {
            let address = format!("canary-address-{n}@recipient.example");
            request.recipients = vec![recipient(channel, &address)];
            secrets.push(address);
            let before = sink.mails().len();
            let id = start(&process, request).await;
            let mails = sink.wait_for(before + 1).await;
            let code = code(mails.last().unwrap());
            let request = check_request(&id, &code, &unique("a"));
            let checked = process
                .client()
                .await
                .check_code(with_key(&process.key, request))
                .await;
            checked.unwrap();
            secrets.push(code);
        } else {
            request.recipients = vec![recipient(channel, &format!("+31{national}"))];
            secrets.extend(spellings(&national));
            let before = server.received_requests().await.unwrap().len();
            start(&process, request).await;
            let sent = async {
                while server.received_requests().await.unwrap().len() == before {
                    tokio::task::yield_now().await;
                }
            };
            tokio::time::timeout(crate::harness::PATIENCE, sent)
                .await
                .expect("the provider got it");
        }
        // Refused numbers are looked at by the library too.
        let national = format!("91234567{n}");
        let mut request = login(&unique("refused"));
        request.recipients = vec![recipient(v1::Channel::Sms, &format!("+31{national}"))];
        secrets.extend(spellings(&national));
        let request = with_key(&process.key, request);
        let refused = process.client().await.start_verification(request).await;
        refused.unwrap_err();
    }
    process.kill();
    let log = std::fs::read(dir.path().join("log")).unwrap();
    let text = String::from_utf8_lossy(&log);
    assert!(
        text.contains("DEBUG") && text.contains(" h2::"),
        "libraries were on"
    );
    assert!(!text.contains("TRACE h2") && !text.contains("TRACE rlibphonenumber"));
    Canaries::of(secrets).assert_absent(&log, "log");
}
