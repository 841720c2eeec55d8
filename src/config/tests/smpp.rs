//! Settings of message centres, correct and wrong.

use super::{PRODUCTION, keys_of, sender, with};
use crate::sender::smpp::SmppSettings;

const CENTER: &str = "[senders.p]\nkind = \"smpp\"\nhost = \"smsc.example\"\nsystem_id = \"bank\"\npassword_file = \"/k/p\"\n\
                      from = \"Bank\"\n";

#[test]
fn a_message_centre_is_read_and_carries_sms_alone() {
    let route = |channel: &str| format!("{CENTER}[routes.{channel}]\nsenders = [\"p\"]\n");
    let settings = with(&route("sms"), &[]).unwrap();
    let center: &SmppSettings = sender(&settings, "p");
    assert_eq!(
        (
            center.tls,
            center.port,
            center.window,
            center.enquire_every.as_secs()
        ),
        (true, 3550, 10, 30)
    );
    assert_eq!(
        with(settings.effective(), &[]).unwrap().effective(),
        settings.effective()
    );
    assert_eq!(
        keys_of(with(&route("voice"), &[])),
        ["routes.voice.senders"]
    );
    let plain = with(&format!("{CENTER}tls = \"none\"\n"), &[]).unwrap();
    let center: &SmppSettings = sender(&plain, "p");
    assert_eq!((center.tls, center.port), (false, 2775));
}

#[test]
fn all_mistakes_about_a_message_centre_are_told_together() {
    let wrong = "[senders.p]\nkind = \"smpp\"\nsystem_id = \"0123456789abcdef\"\nsystem_type = \"0123456789abc\"\nfrom = \"12\"\n\
                 tls = \"starttls\"\nwindow = 0\nenquire_link_s = 0\ntimeout_ms = 99\ncolor = \"red\"\n";
    let keys = [
        "color",
        "enquire_link_s",
        "from",
        "host",
        "password_file",
        "system_id",
        "system_type",
        "timeout_ms",
        "tls",
        "window",
    ];
    let mut told = keys_of(with(wrong, &[]));
    told.sort();
    assert_eq!(told, keys.map(|key| format!("senders.p.{key}")));
    let from = |from: &str| with(&CENTER.replace("\"Bank\"", &format!("\"{from}\"")), &[]);
    for right in ["+31612345678", "12345", "Bank", "Example Bk1"] {
        assert!(from(right).is_ok(), "{right}");
    }
    for wrong in [
        "+",
        "+12a",
        "+1234567890123456",
        "12",
        "123456789",
        "Example Bank",
        "Bänk",
    ] {
        assert_eq!(keys_of(from(wrong)), ["senders.p.from"], "{wrong}");
    }
}

#[test]
fn in_production_a_message_centre_is_spoken_to_in_the_clear_on_loopback_alone() {
    let file = |host: &str| {
        format!(
            "{PRODUCTION}{}tls = \"none\"\n",
            CENTER.replace("smsc.example", host)
        )
    };
    assert_eq!(keys_of(with(&file("smsc.example"), &[])), ["senders.p.tls"]);
    assert_eq!(keys_of(with(&file("127.0.0.1"), &[])), Vec::<String>::new());
}
