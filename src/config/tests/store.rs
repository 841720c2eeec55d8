//! Settings of the store, correct and wrong.

use super::{keys_of, with};

#[test]
fn store_14_production_takes_redis_without_tls_only_where_it_says_so() {
    let keys = |text: &str| {
        let file = format!("profile = \"production\"\n[store]\n{text}\n");
        let mistakes = with(&file, &[]).unwrap_err();
        mistakes
            .0
            .into_iter()
            .map(|mistake| mistake.key)
            .filter(|key| key.starts_with("store."))
            .collect::<Vec<_>>()
    };
    assert_eq!(keys("url = \"redis://redis.internal\""), ["store.url"]);
    assert_eq!(
        keys("url = \"redis://redis.internal\"\nplaintext_allowed = true"),
        Vec::<String>::new()
    );
    assert_eq!(
        keys("url = \"rediss-cluster://a,b,c\"\nshards = 128\nwait_replicas = 1"),
        Vec::<String>::new()
    );
}

#[test]
fn settings_of_the_store_that_fight_are_mistakes() {
    for (text, key) in [
        ("url = \"redis://user@h\"", "store.password_file"),
        ("url = \"redis://h\"\nca_file = \"/k/ca.pem\"", "store.url"),
        (
            "url = \"redis://h\"\nsentinel_username = \"x\"",
            "store.sentinel_password_file",
        ),
        (
            "url = \"redis://h\"\nwait_replicas = 1\nwait_ms = 250",
            "store.wait_ms",
        ),
        ("url = \"redis://h\"\nprefix = \"a b\"", "store.prefix"),
        ("url = \"redis://h\"\nshards = 0", "store.shards"),
    ] {
        let mistakes = with(&format!("[store]\n{text}\n"), &[]).unwrap_err();
        assert_eq!(
            mistakes
                .0
                .iter()
                .map(|mistake| mistake.key.as_str())
                .collect::<Vec<_>>(),
            [key],
            "{mistakes}"
        );
    }
}

#[test]
fn conf_04_a_half_of_the_clients_pair_is_checked_by_itself() {
    let text = "[store]\nurl = \"rediss://h\"\nclient_cert_file = \"/k/c.pem\"\n";
    let mistakes = with(text, &[]).unwrap_err();
    let told = mistakes.to_string();
    assert!(
        told.contains("store.client_key_file: is required"),
        "{told}"
    );
    assert!(
        told.contains("store.client_cert_file: the file holds no"),
        "{told}"
    );
}

#[test]
fn another_store_does_not_read_the_files_for_redis() {
    let text = "[store]\npassword_file = \"/nonexistent/p\"\nca_file = \"/nonexistent/ca\"\n";
    assert!(with(text, &[]).is_ok());
    assert_eq!(
        keys_of(with(&format!("{text}url = \"rediss://u@h\"\n"), &[])),
        ["store.ca_file", "store.password_file"]
    );
    assert_eq!(
        keys_of(with("[store]\nshards = 0\n", &[])),
        ["store.shards"],
        "but its numbers are checked"
    );
}
