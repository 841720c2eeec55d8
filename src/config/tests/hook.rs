//! Settings of the hook, correct and wrong.

use std::time::Duration;

use super::{PRODUCTION, keys_of, with};
use crate::{domain::recipient::Channel, sender::operator::hook::HookCall};

const HTTP: &str =
    "[hook]\nkind = \"http\"\nurl = \"https://h.example\"\nsecret_files = [\"/k/a\"]\n";
const GRPC: &str = "[hook]\nkind = \"grpc\"\naddress = \"unix:/run/hook.sock\"\n";

#[test]
fn chan_05_a_hook_is_read_and_asked_about_all_channels_unless_it_says_less() {
    assert!(with("", &[]).unwrap().hook.is_none());
    let settings = with(&format!("{HTTP}default = \"deny\"\n"), &[]).unwrap();
    let hook = settings.hook.as_ref().unwrap();
    let HookCall::Http(signed) = &hook.call else {
        panic!("by webhooks")
    };
    assert_eq!(
        (signed.url.as_str(), signed.secrets.len()),
        ("https://h.example", 1)
    );
    assert_eq!(
        (hook.channels.as_slice(), hook.call.timeout()),
        (Channel::ALL.as_slice(), Duration::from_millis(500))
    );
    assert!(!hook.allow_without_answer);
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
    let HookCall::Grpc(peer) = &hook.call else {
        panic!("over gRPC")
    };
    assert_eq!(peer.address, "unix:/run/hook.sock");
    assert!(peer.token.is_none());
    assert_eq!(
        (
            hook.channels,
            hook.call.timeout(),
            hook.allow_without_answer
        ),
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
