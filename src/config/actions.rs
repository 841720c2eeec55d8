//! `[actions]`: what may be proven, and with which limits.

use std::{collections::BTreeMap, time::Duration};

use super::{ChannelRoutes, Table};
use crate::domain::{
    code::{
        CodeLength,
        guess::{DIGITS_MAX, DIGITS_MIN, Separators},
    },
    delivery::plan::Step,
    ids::{ActionName, Invalid},
    recipient::Channel,
    verification::rules::{
        ATTEMPTS_MAX, CODE_LIFETIME_MAX, CODE_LIFETIME_MIN, EntryMode, Limits, RESEND_COOLDOWN_MAX,
        SENDS_MAX, STEP_WAIT_MAX, STEP_WAIT_MIN,
    },
};

/// The channels in the order in which an action takes them that names none.
const CHANNEL_ORDER: [Channel; 5] = [
    Channel::Push,
    Channel::Email,
    Channel::Sms,
    Channel::Voice,
    Channel::Whatsapp,
];

/// The rules of one action.
#[derive(Clone, Debug)]
pub struct ActionSettings {
    /// Its numbers.
    pub limits: Limits,
    /// What must be bound.
    pub binding: Vec<String>,
    /// May it go on under local quotas while the store's cannot be drawn?
    pub quota_fallback: bool,
}

/// `public`: can customers reach our pages?
pub(super) fn actions(
    mut table: Table<'_>,
    routes: &ChannelRoutes,
    public: bool,
) -> BTreeMap<ActionName, ActionSettings> {
    let mut actions = BTreeMap::new();
    for (name, mut row) in table.named() {
        let rules = action(&mut row, routes);
        if rules.limits.entry_modes.contains(&EntryMode::Link) && !public {
            row.mistake(
                "entry_modes",
                "may hold link only with http.public_url, where the page of the link is",
            );
        }
        match ActionName::parse(&name) {
            Ok(name) => drop(actions.insert(name, rules)),
            Err(Invalid(what)) => row.mistake_here(format!("the name {what}")),
        }
        row.finish();
    }
    table.finish();
    actions
}

fn action(row: &mut Table<'_>, routes: &ChannelRoutes) -> ActionSettings {
    let digits: u8 = row.small(
        "code_digits",
        DIGITS_MIN.into(),
        &(DIGITS_MIN.into()..=DIGITS_MAX.into()),
    );
    let code_length = CodeLength::new(digits)
        .or(CodeLength::new(DIGITS_MIN))
        .expect("the least number of digits is one");
    let lifetime_bounds = CODE_LIFETIME_MIN.as_secs()..=CODE_LIFETIME_MAX.as_secs();
    let code_lifetime = row.seconds("code_lifetime_s", 300, &lifetime_bounds);
    let resend_cooldown = row.seconds(
        "resend_cooldown_s",
        30,
        &(0..=RESEND_COOLDOWN_MAX.as_secs()),
    );
    if resend_cooldown >= code_lifetime && resend_cooldown > Duration::ZERO {
        row.mistake(
            "resend_cooldown_s",
            "must be shorter than code_lifetime_s, or no code can be sent again",
        );
    }
    let both = [("space", ' '), ("hyphen", '-')];
    let separators = row.words("separators", &both, &both);
    let modes = EntryMode::ALL.map(|mode| (mode.as_str(), mode));
    // A link is for those who ask for it: customers who learn that mails have links follow those of others, too.
    let typed: Vec<_> = modes
        .into_iter()
        .filter(|(_, mode)| *mode != EntryMode::Link)
        .collect();
    let (channels, sends) = (
        channels(row, routes),
        row.small("sends", SENDS_MAX.into(), &(1..=SENDS_MAX.into())),
    );
    let plan = plan(row, &channels);
    if plan.iter().filter_map(|step| step.wait).sum::<Duration>() >= code_lifetime {
        row.mistake(
            "plan",
            "waits longer than code_lifetime_s, so its last step would never come",
        );
    }
    if plan.len() > usize::from(sends) {
        row.mistake(
            "plan",
            format!("has {} steps, and sends permits {sends}", plan.len()),
        );
    }
    let limits = Limits {
        code_length,
        code_lifetime,
        attempts: row.small("attempts", ATTEMPTS_MAX.into(), &(1..=ATTEMPTS_MAX.into())),
        sends,
        resend_cooldown,
        separators: Separators {
            space: separators.contains(&' '),
            hyphen: separators.contains(&'-'),
        },
        entry_modes: row.words("entry_modes", &modes, &typed),
        channels,
        plan,
    };
    ActionSettings {
        limits,
        binding: binding(row),
        quota_fallback: row.switch("quota_fallback", false),
    }
}

fn channels(row: &mut Table<'_>, routes: &ChannelRoutes) -> Vec<Channel> {
    let available: Vec<_> = CHANNEL_ORDER
        .into_iter()
        .filter(|channel| routes.contains_key(channel))
        .collect();
    let Some(names) = row.list("channels") else {
        row.note_list(
            "channels",
            &available
                .iter()
                .map(|channel| channel.as_str().to_owned())
                .collect::<Vec<_>>(),
        );
        return available;
    };
    let mut channels = Vec::new();
    for name in names {
        match Channel::from_name(&name) {
            Some(channel) if available.contains(&channel) => channels.push(channel),
            Some(_) => row.mistake("channels", format!("{name:?} has no route")),
            None => row.mistake(
                "channels",
                format!("{name:?} is none of push, email, sms, voice, whatsapp"),
            ),
        }
    }
    channels
}

/// The steps of a channel plan; each a channel, and but for the last how long the customer has: `sms 40s`.
fn plan(row: &mut Table<'_>, channels: &[Channel]) -> Vec<Step> {
    let texts = row.list("plan").unwrap_or_default();
    let mut plan: Vec<Step> = Vec::new();
    for (place, text) in texts.iter().enumerate() {
        match step(text, place + 1 == texts.len()) {
            Ok(step) if plan.iter().any(|other| other.channel == step.channel) => {
                row.mistake(
                    "plan",
                    format!("{text:?} takes a channel for the second time"),
                );
            }
            Ok(step) if !channels.contains(&step.channel) => {
                row.mistake(
                    "plan",
                    format!("{text:?} takes a channel that is none of channels"),
                );
            }
            Ok(step) => plan.push(step),
            Err(what) => row.mistake("plan", format!("{text:?} {what}")),
        }
    }
    plan
}

fn step(text: &str, is_last: bool) -> Result<Step, String> {
    let mut words = text.split_whitespace();
    let channel = words
        .next()
        .and_then(Channel::from_name)
        .ok_or("must begin with the name of a channel")?;
    let (wait, rest) = (words.next(), words.next());
    let wait = match (wait, rest, is_last) {
        (None, None, true) => None,
        (Some(wait), None, false) => {
            let seconds = wait
                .strip_suffix('s')
                .and_then(|digits| digits.parse().ok())
                .map(Duration::from_secs);
            let fits = seconds.filter(|wait| (STEP_WAIT_MIN..=STEP_WAIT_MAX).contains(wait));
            let (least, most) = (STEP_WAIT_MIN.as_secs(), STEP_WAIT_MAX.as_secs());
            Some(fits.ok_or(format!("must wait for {least}s to {most}s"))?)
        }
        (_, _, true) => {
            return Err("must be a channel alone: nothing comes after the last step".to_owned());
        }
        (_, _, false) => return Err("must be a channel and a wait, such as \"sms 40s\"".to_owned()),
    };
    Ok(Step { channel, wait })
}

/// The names that a binding must have; their grammar is that of the API.
fn binding(row: &mut Table<'_>) -> Vec<String> {
    let names = row.list("binding").unwrap_or_default();
    let fits = |name: &String| {
        (1..=32).contains(&name.len())
            && name
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    };
    for name in names.iter().filter(|name| !fits(name)) {
        row.mistake(
            "binding",
            format!("{name:?} must be 1 to 32 of a-z, 0-9 and _"),
        );
    }
    names
}
