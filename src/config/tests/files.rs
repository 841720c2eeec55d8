//! Secret files: mistakes are reported, and content is not.

use super::*;

#[test]
fn conf_01_mistakes_in_secret_files_are_in_the_same_report_with_key_and_path() {
    let broken = format!("{FILES}/open.pem");
    let text = format!(
        "{PRODUCTION}[senders.hook]\nkind = \"webhook\"\nchannels = [\"sms\"]\nurl = 5\n\
         secret_files = [\"/k/good\", \"/nonexistent/secret\"]\n[senders.push]\nkind = \"fcm\"\n\
         service_account_file = \"{broken}\"\n[grpc]\ntls_cert_file = \"/k/c.pem\"\ntls_key_file = \"{broken}\"\n\
         [routes.sms]\nsenders = [\"hook\"]\n"
    )
    .replace("host = \"mail", "password_file = \"/k/mail\"\nhost = \"mail");
    with_files("/k/open.pem\"");
    fs::set_permissions(&broken, fs::Permissions::from_mode(0o644)).unwrap();
    let mistakes = with(&text, &[]).unwrap_err();
    let keys: Vec<&str> = mistakes.0.iter().map(|one| one.key.as_str()).collect();
    let expected = [
        "countries.allowed",
        "grpc.tls_cert_file",
        "grpc.tls_key_file",
        "senders.hook.secret_files",
        "senders.mail.username",
        "senders.push.service_account_file",
    ];
    assert_eq!(keys, expected, "{mistakes}");
    let report = mistakes.to_string();
    for part in [
        "6 mistakes in the settings:".to_owned(),
        "senders.hook.secret_files: /nonexistent/secret cannot be read: No such file".to_owned(),
        format!("{broken} has mode 644, so other users can read or change it; run chmod 600"),
    ] {
        assert!(report.contains(&part), "{part} is missing in {report}");
    }
    assert!(!report.contains("whsec_"), "{report}");
}

#[test]
fn no_secret_is_shown_by_the_settings_or_their_debug_form() {
    let text = format!(
        "{PRODUCTION}[senders.hook]\nkind = \"webhook\"\nchannels = [\"sms\"]\nurl = \"https://h.example\"\n\
         secret_files = [\"/k/a\"]\nreceipts = {{ secret_files = [\"/k/r\"] }}\n[senders.sms]\nkind = \"smpp\"\n\
         host = \"smsc.example\"\nsystem_id = \"bank\"\npassword_file = \"/k/p\"\nfrom = \"Bank\"\n\
         [hook]\nkind = \"grpc\"\naddress = \"unix:/x\"\ntoken_file = \"/k/t\"\ndefault = \"deny\"\n\
         [grpc]\ntls_cert_file = \"/k/c.pem\"\ntls_key_file = \"/k/key.pem\"\n\
         [store]\nurl = \"rediss://user@redis.example\"\npassword_file = \"/k/redis\"\n\
         [http]\npublic_url = \"https://otp.bank.example\"\n"
    );
    let settings = with(&text, &[]).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let shown = format!("{settings:?}{}", settings.effective());
    assert!(!shown.contains("MfKQ9r8GKY"), "{shown}");
    assert!(shown.contains("SecretText(hidden)") && shown.contains("password_file = "));
}
