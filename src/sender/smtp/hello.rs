//! The name that EHLO gives, and what mail servers think of it.

use super::super::settings::SettingError;

/// What EHLO gives if the machine has no name that can be sent: an address literal (RFC 5321 §4.1.3).
const LITERAL: &str = "[127.0.0.1]";
/// Endings of names that mean something on one machine or in one network only.
const LOCAL_ENDINGS: [&str; 4] = [".localdomain", ".localhost", ".local", ".internal"];

/// The name of the settings, or the machine's.
///
/// # Errors
/// The name of the settings is none.
pub(super) fn hello(name: Option<String>) -> Result<String, SettingError> {
    match name {
        Some(name) if is_host_name(&name) => Ok(name),
        Some(name) => Err(SettingError::new(
            "hello_name",
            format!("is {name:?}; it must be a host name"),
        )),
        None => Ok(of_machine()),
    }
}

/// The warning about a name that many mail servers refuse, in the settings or the machine's.
pub(super) fn warning(name: Option<&str>) -> Option<SettingError> {
    let used = name.map_or_else(of_machine, str::to_owned);
    let said = if name.is_some() {
        format!("is {used:?}")
    } else {
        format!("is not set, and EHLO gives {used:?}")
    };
    let problem = problem(&used)?;
    Some(SettingError::new(
        "hello_name",
        format!(
            "{said}, which {problem}; set it to the name that the DNS has for the address of this machine"
        ),
    ))
}

/// What is wrong with a name, as the end of a sentence that begins with it.
fn problem(name: &str) -> Option<&'static str> {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    let is_local = LOCAL_ENDINGS.iter().any(|ending| name.ends_with(ending));
    if name.starts_with('[') {
        Some("is no name: many mail servers refuse it")
    } else if name.contains('_') {
        Some("contains `_`: mail servers refuse it as invalid")
    } else if !name.contains('.') || is_local {
        Some("is not fully qualified: many mail servers refuse it")
    } else {
        None
    }
}

fn of_machine() -> String {
    let name = hostname::get()
        .ok()
        .and_then(|name| name.into_string().ok());
    let usable = name.filter(|name| is_host_name(name));
    usable.unwrap_or_else(|| LITERAL.to_owned())
}

/// Whether a name can be sent. The underscore is not allowed in host names, but machines have it all the same.
fn is_host_name(name: &str) -> bool {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    !name.is_empty() && name.bytes().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn send_16_a_name_that_mail_servers_refuse_is_a_warning() {
        for (name, wrong) in [
            ("vm", "not fully qualified"),
            ("localhost", "not fully qualified"),
            ("localhost.localdomain", "not fully qualified"),
            ("vm.local.", "not fully qualified"),
            ("a_b", "contains `_`"),
            ("a_b.bank.example", "contains `_`"),
        ] {
            let warning = warning(Some(name)).unwrap();
            assert_eq!(warning.key, "hello_name");
            assert!(
                warning.problem.contains(wrong) && warning.problem.contains(name),
                "{warning}"
            );
            assert!(hello(Some(name.to_owned())).is_ok(), "and no mistake");
        }
        assert_eq!(warning(Some("mail.bank.example")), None);
        assert!(problem(LITERAL).is_some());
        assert!(hello(Some("a b".to_owned())).is_err());
        assert!(hello(None).is_ok_and(|name| !name.is_empty()));
    }
}
