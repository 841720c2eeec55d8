//! The hook, right and wrong.

use std::{path::PathBuf, time::Duration};

use super::{PRODUCTION, keys_of, with};
use crate::{
    config::{HookKind, HookSettings},
    domain::recipient::Channel,
};

const HTTP: &str =
    "[hook]\nkind = \"http\"\nurl = \"https://h.example\"\nsecret_files = [\"/k/a\"]\n";
const GRPC: &str = "[hook]\nkind = \"grpc\"\naddress = \"unix:/run/hook.sock\"\n";

#[test]
fn chan_05_a_hook_is_read_and_asked_about_all_channels_unless_it_says_less() {
    assert_eq!(with("", &[]).unwrap().hook, None);
    let kind = HookKind::Http {
        url: "https://h.example".to_owned(),
        secret_files: vec![PathBuf::from("/k/a")],
        allow_hosts: Vec::new(),
    };
    let expected = HookSettings {
        kind,
        channels: Channel::ALL.to_vec(),
        ca_file: None,
        timeout: Duration::from_millis(500),
        allow_without_answer: false,
    };
    let settings = with(&format!("{HTTP}default = \"deny\"\n"), &[]).unwrap();
    assert_eq!(settings.hook.as_ref(), Some(&expected));
    assert_eq!(
        with(settings.effective(), &[]).unwrap().effective(),
        settings.effective()
    );

    let settings = with(
        &format!("{GRPC}default = \"allow\"\nchannels = [\"email\"]\ntimeout_ms = 50\n"),
        &[],
    )
    .unwrap();
    let hook = settings.hook.unwrap();
    assert_eq!(
        hook.kind,
        HookKind::Grpc {
            address: "unix:/run/hook.sock".to_owned(),
            token_file: None
        }
    );
    assert_eq!(
        (hook.channels, hook.timeout, hook.allow_without_answer),
        (vec![Channel::Email], Duration::from_millis(50), true)
    );
}

#[test]
fn chan_05_what_holds_without_an_answer_must_be_said() {
    for section in [HTTP, GRPC] {
        assert_eq!(keys_of(with(section, &[])), ["hook.default"]);
        assert_eq!(
            keys_of(with(&format!("{section}default = \"maybe\"\n"), &[])),
            ["hook.default"]
        );
        assert_eq!(
            keys_of(with(
                &format!("{PRODUCTION}{section}default = \"deny\"\n"),
                &[]
            )),
            [""; 0]
        );
    }
}

#[test]
fn chan_05_every_mistake_in_a_hook_is_told() {
    let missing = "[hook]\nkind = \"http\"\naddress = \"unix:/x\"\ntimeout_ms = 49\n";
    let keys = [
        "hook.address",
        "hook.default",
        "hook.secret_files",
        "hook.timeout_ms",
        "hook.url",
    ];
    assert_eq!(keys_of(with(missing, &[])), keys);
    assert_eq!(
        keys_of(with("[hook]\nkind = \"mail\"\n", &[])),
        ["hook.kind"]
    );
}
