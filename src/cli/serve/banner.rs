//! The text printed at the start: addresses, and in development commands to try and the limits that apply.

use std::fmt::Write as _;

use crate::{
    app::Reach,
    config::{Profile, Settings},
    domain::{
        limit::quota::Dimension,
        refusal::Wait,
        verification::rules::{REMEMBERED_ANONYMOUS_MAX, REMEMBERED_MAX},
    },
};

/// The width of lines that list things, in characters.
const COLUMNS: usize = 100;

/// What is printed at the start.
pub(super) struct Banner {
    pub(super) profile: &'static str,
    data_dir: String,
    /// In development, the limits that people meet who try the service; empty in production.
    limits: String,
}

impl Banner {
    pub(super) fn of(settings: &Settings) -> Self {
        let (profile, limits) = match settings.profile {
            Profile::Development => ("development", limits(settings)),
            Profile::Production => ("production", String::new()),
        };
        let data_dir = settings.data_dir.display().to_string();
        Self {
            profile,
            data_dir,
            limits,
        }
    }

    pub(super) fn text(&self, reach: &Reach) -> String {
        let Reach {
            grpc, http, admin, ..
        } = reach;
        let (version, profile, data_dir) =
            (env!("CARGO_PKG_VERSION"), self.profile, &self.data_dir);
        let mut text = format!(
            "countersign {version}, profile {profile}, listening\n  gRPC   {grpc}\n  HTTP   http://{http}\n  admin  http://{admin} \
             (/metrics, /livez, /readyz)\n  data   {data_dir}"
        );
        if let Some(key) = &reach.development_key {
            let _ = write!(
                text,
                "\n  key    {key}  (also in {data_dir}/development.key)\n  outbox http://{http}/dev  (messages are shown there and sent to nobody)\n"
            );
            text.push_str(&self.limits);
            text.push_str(&commands(key, reach));
        }
        text
    }
}

/// The actions with their bindings, the quotas, and the limits that no setting raises.
fn limits(settings: &Settings) -> String {
    let mut text =
        "\nActions ([actions]; binding: the names that a start must give a value):\n".to_owned();
    for (name, action) in &settings.actions {
        let binding = if action.binding.is_empty() {
            "none".to_owned()
        } else {
            action.binding.join(", ")
        };
        let limits = &action.limits;
        let _ = writeln!(
            text,
            "  {:<8} binding: {binding}; {} digits for {}, {} guesses, {} messages, resend after {}",
            name.as_str(),
            limits.code_length.get(),
            Wait(limits.code_lifetime),
            limits.attempts,
            limits.sends,
            Wait(limits.resend_cooldown),
        );
    }
    text.push_str("\nQuotas ([quotas]; those about one person are higher than in production):\n");
    text.push_str(&wrapped(&quotas(settings)));
    let _ = write!(
        text,
        "\nOne subject per test: a subject has 5 guesses at once and then one in 2 s, and {REMEMBERED_ANONYMOUS_MAX} anonymous\n\
         starts ({REMEMBERED_MAX} in all) until ten minutes after their codes expire. No setting raises that.\n"
    );
    text
}

fn quotas(settings: &Settings) -> Vec<String> {
    let limited = Dimension::ALL.into_iter().filter_map(|dimension| {
        let quota = settings.admission.quotas.get(dimension)?;
        let (name, count, period) = (dimension.as_str(), quota.count, Wait(quota.period));
        Some(format!("{name} {count} in {period}"))
    });
    limited.collect()
}

/// A list as lines of at most [`COLUMNS`] characters.
fn wrapped(items: &[String]) -> String {
    let (mut text, mut line) = (String::new(), String::new());
    for (at, item) in items.iter().enumerate() {
        if !line.is_empty() && line.len() + item.len() > COLUMNS {
            let _ = writeln!(text, "  {}", line.trim_end());
            line.clear();
        }
        let end = if at + 1 == items.len() { "" } else { ", " };
        let _ = write!(line, "{item}{end}");
    }
    if !line.is_empty() {
        let _ = writeln!(text, "  {line}");
    }
    text
}

/// Three commands to copy: start, read the code, check it. They contain the process id, so that they work
/// again after a restart.
fn commands(key: &str, reach: &Reach) -> String {
    let Reach { grpc, http, .. } = reach;
    let call = format!("grpcurl -plaintext -H 'authorization: Bearer {key}'");
    let mark = std::process::id();
    format!(
        r#"
Try it (grpcurl is one way; `countersign demo` needs nothing):
  {call} -d '{{"subject":"customer-{mark}","action":"login","request_id":"start-{mark}","recipients":[{{"channel":"CHANNEL_EMAIL","address":"anna@example.org"}}]}}' {grpc} countersign.v1.VerificationService/StartVerification
  curl -s http://{http}/dev/outbox   # shows the verification_id and the code for the next call
  {call} -d '{{"verification_id":"VRF","code":"CODE","entry_mode":"ENTRY_MODE_PORTAL","attempt_id":"attempt-{mark}"}}' {grpc} countersign.v1.VerificationService/CheckCode
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    #[test]
    fn a_first_start_tells_actions_quotas_and_limits() {
        let settings = config::load(None, std::iter::empty()).unwrap();
        let text = Banner::of(&settings).limits;
        for told in [
            "  login    binding: none; 6 digits for 300 s, 5 guesses, 4 messages, resend after 5 s\n",
            "  payment  binding: amount, payee; 6 digits for 300 s",
            "recipient 1000 in ",
            "One subject per test",
            "8 anonymous\nstarts (16 in all)",
        ] {
            assert!(text.contains(told), "{told:?} is not in\n{text}");
        }
        assert!(text.lines().all(|line| line.len() <= COLUMNS + 2), "{text}");
    }

    #[test]
    fn production_tells_nothing_of_limits() {
        let mut settings = config::load(None, std::iter::empty()).unwrap();
        settings.profile = Profile::Production;
        assert_eq!(Banner::of(&settings).limits, "");
    }
}
