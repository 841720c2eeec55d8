//! Keys, settings, and which parts are signed. Another project's verifier checks the signatures
//! (tests/python).

use aws_lc_rs::{
    encoding::AsDer as _,
    signature::{ED25519, KeyPair as _, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey},
};

use super::*;

const NOW: Timestamp = Timestamp::from_micros(1_800_000_000_000_000);
const MAIL: &str = "From: Bank <a@bank.example>\r\nTo: b@example.org\r\nSubject: Your\r\n code\r\nX-Other: 1\r\n\r\nHello \r\n\r\n";

fn pem(label: &str, der: &[u8]) -> SecretText {
    SecretText::new(format!(
        "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
        BASE64_STANDARD.encode(der)
    ))
}

fn ed25519() -> (SecretText, Vec<u8>) {
    let pair = Ed25519KeyPair::generate().unwrap();
    (
        pem("PRIVATE KEY", pair.to_pkcs8v1().unwrap().as_ref()),
        pair.public_key().as_ref().to_vec(),
    )
}

fn rsa(size: aws_lc_rs::rsa::KeySize) -> (SecretText, Vec<u8>) {
    let pair = RsaKeyPair::generate(size).unwrap();
    (
        pem("PRIVATE KEY", pair.as_der().unwrap().as_ref()),
        pair.public_key().as_ref().to_vec(),
    )
}

fn settings(domain: &str, keys: &[(&str, &SecretText)]) -> DkimSettings {
    let keys = keys.iter().map(|(selector, pem)| DkimKey {
        selector: (*selector).to_owned(),
        pem: (*pem).clone(),
    });
    DkimSettings {
        domain: domain.to_owned(),
        keys: keys.collect(),
    }
}

/// The value of this tag in a signature.
fn tag(signature: &str, name: &str) -> String {
    let value = signature
        .split_once(':')
        .unwrap()
        .1
        .split(';')
        .find_map(|tag| tag.trim().strip_prefix(&format!("{name}=")));
    value.unwrap().split_whitespace().collect()
}

/// The text that a signature of [`MAIL`] covers, and the signature's bytes.
fn signed_and_signature(signature: &str) -> (String, Vec<u8>) {
    let (head, value) = signature.trim_end().split_once("\tb=").unwrap();
    let own = canonical::field(
        "DKIM-Signature",
        &format!("{}\tb=", head.split_once(':').unwrap().1),
    );
    let input =
        format!("from:Bank <a@bank.example>\r\nto:b@example.org\r\nsubject:Your code\r\n{own}");
    let value = BASE64_STANDARD
        .decode(value.split_whitespace().collect::<String>())
        .unwrap();
    (input, value)
}

#[test]
fn each_key_signs_for_itself_and_the_signature_says_what_it_covers() {
    let ((old, old_public), (new, new_public)) = (rsa(aws_lc_rs::rsa::KeySize::Rsa2048), ed25519());
    let signer = DkimSigner::new(
        &settings("Bank.example", &[("old", &old), ("new", &new)]),
        "bank.example",
    )
    .unwrap();
    let fields = signer.sign(MAIL, NOW).unwrap();
    assert!(
        fields.ends_with("\r\n") && fields.lines().all(|line| line.len() <= 90),
        "{fields}"
    );
    let signatures: Vec<String> = fields
        .split("DKIM-Signature:")
        .skip(1)
        .map(|rest| format!("DKIM-Signature:{rest}"))
        .collect();
    let of = |name: &str| {
        signatures
            .iter()
            .map(|signature| tag(signature, name))
            .collect::<Vec<_>>()
    };
    assert_eq!(of("a"), ["rsa-sha256", "ed25519-sha256"]);
    assert_eq!(
        (of("s"), of("d")),
        (
            vec!["old".to_owned(), "new".to_owned()],
            vec!["bank.example".to_owned(); 2]
        )
    );
    assert_eq!(
        (of("t"), of("x")),
        (
            vec!["1800000000".to_owned(); 2],
            vec!["1800604800".to_owned(); 2]
        )
    );
    assert_eq!(
        of("h"),
        ["From:To:Subject:From:To:Subject:Date:Reply-To"; 2],
        "what readers show, once more than it is there"
    );
    assert_eq!(
        of("bh"),
        vec![BASE64_STANDARD.encode(digest(&SHA256, b"Hello\r\n")); 2]
    );
    for (signature, rsa_key, public) in [
        (&signatures[0], true, old_public),
        (&signatures[1], false, new_public),
    ] {
        let (input, value) = signed_and_signature(signature);
        let verified = if rsa_key {
            UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, public)
                .verify(input.as_bytes(), &value)
        } else {
            UnparsedPublicKey::new(&ED25519, public)
                .verify(digest(&SHA256, input.as_bytes()).as_ref(), &value)
        };
        assert!(verified.is_ok(), "{input}");
    }
}

#[test]
fn keys_and_names_that_vouch_for_nothing_are_refused() {
    let (good, _) = ed25519();
    let refused = |domain: &str, keys: &[(&str, &SecretText)]| {
        DkimSigner::new(&settings(domain, keys), "mail.bank.example")
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default()
    };
    for domain in [
        "bank.example",
        "MAIL.bank.example",
        "codes.mail.bank.example",
    ] {
        assert_eq!(refused(domain, &[("a", &good)]), "", "{domain}");
    }
    for domain in ["other.example", "xmail.bank.example", "ank.example"] {
        let told = refused(domain, &[("a", &good)]);
        assert!(told.contains("must be the domain of from"), "{told}");
    }
    for domain in [
        "",
        "example",
        "bank.example; l=0",
        "bank..example",
        "b\u{e4}nk.example",
    ] {
        let told = refused(domain, &[("a", &good)]);
        assert_eq!(
            told,
            format!("dkim_domain is {domain:?}; it must be a host name with a dot")
        );
    }
    let keys = |keys: &[(&str, &SecretText)]| refused("bank.example", keys);
    assert_eq!(keys(&[]), "dkim_keys has 0 keys; it must have 1 to 4");
    assert_eq!(
        keys(&[("a", &good); KEYS_MAX + 1]),
        "dkim_keys has 5 keys; it must have 1 to 4"
    );
    assert_eq!(
        keys(&[("a", &good); 2]),
        "dkim_keys.1.selector is \"a\", as that of another key"
    );
    assert_eq!(
        keys(&[("a b", &good)]),
        "dkim_keys.0.selector is \"a b\", which is no host name"
    );
    let public = pem("PUBLIC KEY", &ed25519().1);
    let secret = |text: &str| SecretText::new(text.to_owned());
    for bad in [
        secret(""),
        secret("s3cret"),
        secret("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
        public,
    ] {
        let told = keys(&[("a", &bad)]);
        assert!(
            told.contains("dkim_keys.0.file holds no private key") && !told.contains("s3cret"),
            "{told}"
        );
    }
}

#[test]
fn a_signer_prints_no_key() {
    let (key, _) = ed25519();
    let settings = settings("bank.example", &[("a", &key)]);
    let printed = format!(
        "{settings:?} {:?}",
        DkimSigner::new(&settings, "bank.example").unwrap()
    );
    assert!(
        !printed.contains("BEGIN") && printed.contains("hidden"),
        "{printed}"
    );
}
