//! E-mail addresses: their canonical form, and how they are shown.

use email_address::{EmailAddress, Options};
use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};

use crate::{domain::ids::Invalid, format::visible::is_hidden};

/// Longest address in bytes (RFC 5321 §4.5.3.1.3, without the angle brackets), in canonical form.
const BYTES_MAX: usize = 254;
/// Longest text that is looked at: a domain in other letters may be longer than its ASCII form.
const TEXT_BYTES_MAX: usize = 1024;

const WRONG: Invalid = Invalid("must be an e-mail address such as name@example.org");

/// The one form of an address: the local part as it is, the domain in lower-case ASCII.
pub(super) fn canonical_email(text: &str) -> Result<String, Invalid> {
    let is_foreign = |c: char| c.is_whitespace() || c == '"' || is_hidden(c);
    if text.len() > TEXT_BYTES_MAX || text.chars().any(is_foreign) {
        return Err(WRONG);
    }
    let (local, domain) = text.rsplit_once('@').ok_or(WRONG)?;
    let canonical = format!("{local}@{}", canonical_domain(domain).ok_or(WRONG)?);
    let options = Options::default()
        .without_display_text()
        .without_domain_literal()
        .with_required_tld();
    // SMTP without SMTPUTF8, which few servers speak, carries ASCII only.
    let fits = canonical.len() <= BYTES_MAX
        && canonical.is_ascii()
        && EmailAddress::parse_with_options(&canonical, options).is_ok();
    if fits { Ok(canonical) } else { Err(WRONG) }
}

/// A domain in lower-case ASCII (UTS #46); `None` if it cannot be the domain of a mailbox.
fn canonical_domain(domain: &str) -> Option<String> {
    // Hyphens may be in the third and fourth position, as in `r1---sn.example.com`: registries permit them.
    let ascii = Uts46::new()
        .to_ascii(
            domain.as_bytes(),
            AsciiDenyList::STD3,
            Hyphens::CheckFirstLast,
            DnsLength::Verify,
        )
        .ok()?;
    let last = ascii.rsplit('.').next()?;
    (!is_number(last)).then(|| ascii.into_owned())
}

/// Whether the last label of a name is a number, which makes the name an IPv4 address (WHATWG URL,
/// "ends in a number").
fn is_number(label: &str) -> bool {
    let all = |digits: &str, is_digit: fn(&u8) -> bool| digits.bytes().all(|b| is_digit(&b));
    all(label, u8::is_ascii_digit)
        || label
            .strip_prefix("0x")
            .is_some_and(|digits| all(digits, u8::is_ascii_hexdigit))
}

/// Labels that many registries of countries sell names below, as in `bank.co.uk`.
const SECOND_LEVEL: [&str; 16] = [
    "ac", "co", "com", "edu", "go", "gob", "gov", "gv", "ltd", "mil", "ne", "net", "or", "org",
    "plc", "sch",
];

/// The end of a domain that somebody registered, as far as it can be told without a list of all registries. Where names
/// are sold below other labels too, several owners share one end.
pub(super) fn registered(domain: &str) -> &str {
    let mut dots = domain.rmatch_indices('.').map(|(at, _)| at);
    let (Some(last), Some(second)) = (dots.next(), dots.next()) else {
        return domain;
    };
    let is_of_country = domain.len() - last == 3;
    let is_sold = is_of_country && SECOND_LEVEL.contains(&&domain[second + 1..last]);
    let begin = if is_sold {
        dots.next().map_or(0, |third| third + 1)
    } else {
        second + 1
    };
    &domain[begin..]
}

/// The address in lower case and without the tag behind `+`. A local part that begins with `+` is kept whole: there is
/// nothing before the tag.
pub(super) fn without_tag(address: &str) -> String {
    let (local, domain) = address.rsplit_once('@').unwrap_or((address, ""));
    let name = local
        .find('+')
        .filter(|at| *at > 0)
        .map_or(local, |at| &local[..at]);
    format!("{}@{domain}", name.to_ascii_lowercase())
}

/// One form for all addresses of one mailbox. Gmail ignores dots before the `@`, and has two domains.
pub(super) fn mailbox(address: &str) -> String {
    let address = without_tag(address);
    match address.rsplit_once('@') {
        Some((local, "gmail.com" | "googlemail.com")) => {
            format!("{}@gmail.com", local.replace('.', ""))
        }
        _ => address,
    }
}

pub(super) fn mask_email(address: &str) -> String {
    let (local, domain) = address.rsplit_once('@').unwrap_or((address, ""));
    let first = |text: &str| text.chars().next().map(String::from).unwrap_or_default();
    let top = domain.rsplit_once('.').map_or("", |(_, top)| top);
    format!("{}•••@{}•••.{top}", first(local), first(domain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mail_06_addresses_are_accepted_and_refused_as_in_the_cases() {
        let cases: serde_json::Value =
            serde_json::from_str(include_str!("../../../tests/vectors/email_addresses.json"))
                .unwrap();
        for (name, accepted) in [("accept", true), ("refuse", false)] {
            let addresses = cases[name].as_array().unwrap();
            assert!(addresses.len() > 3, "the cases were read");
            for address in addresses {
                let address = address.as_str().unwrap();
                assert_eq!(canonical_email(address).is_ok(), accepted, "{address}");
            }
        }
    }

    #[test]
    fn mail_06_a_domain_is_a_name_and_never_an_address_of_a_machine() {
        for address in [
            "a@127.0.0.1",
            "a@256.256.256.256",
            "a@127.1",
            "a@1.2.3.4.5",
            "a@example.123",
            "a@example.0",
            "a@example.0x7f",
            "a@0x7f.0x1",
            "a@example.0x",
            "a@2130706433",
            "a@[127.0.0.1]",
            "a@[IPv6:::1]",
            "a@[IPv6:2001:db8::1]",
            "a@::1",
            "a@localhost",
            "a@example.\u{661}\u{662}",
            "a@127\u{3002}0.0.1",
        ] {
            assert_eq!(canonical_email(address), Err(WRONG), "{address}");
        }
        for address in [
            "a@1.example",
            "a@127.0.0.1.example.org",
            "a@3com.com",
            "a@x.c0m",
        ] {
            assert!(canonical_email(address).is_ok(), "{address}");
        }
    }

    #[test]
    fn mail_06_labels_of_a_domain_follow_the_rules_of_the_dns_and_of_idna() {
        let label = "x".repeat(63);
        for (address, form) in [
            ("a@EX--ample.COM", Some("a@ex--ample.com")),
            ("a@ab--cd.example.com", Some("a@ab--cd.example.com")),
            ("a@r1---sn.example.com", Some("a@r1---sn.example.com")),
            ("a@b\u{fc}cher.example", Some("a@xn--bcher-kva.example")),
            ("a@XN--BCHER-KVA.example", Some("a@xn--bcher-kva.example")),
            ("a@stra\u{df}e.example", Some("a@xn--strae-oqa.example")),
            (
                "a@\u{4f8b}\u{3048}.\u{30c6}\u{30b9}\u{30c8}",
                Some("a@xn--r8jz45g.xn--zckzah"),
            ),
            ("a@ex\u{ff41}mple\u{3002}org", Some("a@example.org")),
            ("a@xn--.example", None),
            ("a@xn--a.example", None),
            ("a@xn--99999999.example", None),
            ("a@-example.org", None),
            ("a@example-.org", None),
            ("a@example.-org", None),
            ("a@ex_ample.org", None),
            ("a@example.org.", None),
            ("a@.example.org", None),
            ("a@example..org", None),
            ("a@exa\u{200b}mple.org", None),
            ("a@exa\u{ad}mple.org", None),
            ("a@ex ample.org", None),
            ("a@example.org/path", None),
            ("a@example.org:25", None),
            ("a@\u{202e}gro.elpmaxe", None),
            (&format!("a@{label}.org"), Some(&*format!("a@{label}.org"))),
            (&format!("a@x{label}.org"), None),
        ] {
            assert_eq!(canonical_email(address).ok().as_deref(), form, "{address}");
        }
    }

    #[test]
    fn mail_06_a_local_part_is_a_dot_atom_of_at_most_64_bytes() {
        for local in [
            "a",
            "first.last+tag",
            "o'brien",
            "a_b-c",
            "+31612345678",
            "!#$%&'*/=?^`{|}~",
            "123456",
            &"x".repeat(64),
        ] {
            let address = format!("{local}@example.org");
            assert_eq!(canonical_email(&address), Ok(address.clone()), "{address}");
        }
        for local in [
            "",
            ".a",
            "a.",
            "a..b",
            "a b",
            "a@b",
            "a,b",
            "a;b",
            "a:b",
            "a\\b",
            "<a>",
            "(comment)a",
            "a[b]",
            "\"a\"",
            "\"a b\"",
            "j\u{fc}rgen",
            "a\u{200b}",
            "a\0",
            "a\r\nBcc: b",
            &"x".repeat(65),
        ] {
            let address = format!("{local}@example.org");
            assert_eq!(canonical_email(&address), Err(WRONG), "{address:?}");
        }
    }

    #[test]
    fn mail_06_an_address_has_at_most_254_bytes_in_its_canonical_form() {
        let local = "x".repeat(64);
        let domain = |length: usize| {
            let labels = format!("{0}.{0}.", "y".repeat(63));
            format!("{labels}{}.example", "z".repeat(length - labels.len() - 8))
        };
        let fits = format!("{local}@{}", domain(189));
        assert_eq!((fits.len(), canonical_email(&fits).is_ok()), (254, true));
        let long = format!("{local}@{}", domain(190));
        assert_eq!((long.len(), canonical_email(&long)), (255, Err(WRONG)));
        // 147 bytes as it is written, 272 in ASCII.
        let wide = format!("{local}@{}example", "\u{e9}.".repeat(25));
        assert!(wide.len() < 150);
        assert_eq!(canonical_email(&wide), Err(WRONG));
    }

    #[test]
    fn send_15_names_below_a_registered_domain_are_one_area() {
        for (domain, end) in [
            ("example.org", "example.org"),
            ("a.example.org", "example.org"),
            ("a.b.c.example.org", "example.org"),
            ("bank.co.uk", "bank.co.uk"),
            ("mail.bank.co.uk", "bank.co.uk"),
            ("co.uk", "co.uk"),
            ("a.co.example", "co.example"),
            ("a.bank.nl", "bank.nl"),
            ("localhost", "localhost"),
        ] {
            assert_eq!(registered(domain), end);
        }
    }
}
