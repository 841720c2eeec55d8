//! E-mail addresses: their canonical form, and how they are shown.

use email_address::{EmailAddress, Options};

use crate::domain::ids::Invalid;

pub(super) fn canonical_email(text: &str) -> Result<String, Invalid> {
    const WRONG: Invalid = Invalid("must be an e-mail address such as name@example.org");
    if text.len() > 254
        || text
            .chars()
            .any(|c| c.is_control() || c.is_whitespace() || c == '"')
    {
        return Err(WRONG);
    }
    let (local, domain) = text.rsplit_once('@').ok_or(WRONG)?;
    let domain = idna::domain_to_ascii_strict(domain).map_err(|_| WRONG)?;
    let canonical = format!("{local}@{domain}");
    let options = Options::default()
        .without_display_text()
        .without_domain_literal()
        .with_required_tld();
    // SMTP without SMTPUTF8, which few servers speak, carries ASCII only.
    let fits =
        canonical.is_ascii() && EmailAddress::parse_with_options(&canonical, options).is_ok();
    if fits { Ok(canonical) } else { Err(WRONG) }
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
