//! `[actions]`: what customers approve, and the limits of each action.

use std::{collections::BTreeMap, time::Duration};

use super::{ChannelRoutes, Table};
use crate::{
    domain::{
        code::{
            CodeLength,
            guess::{DIGITS_MAX, DIGITS_MIN, Separators},
        },
        delivery::plan::Step,
        ids::{ActionName, Invalid},
        recipient::Channel,
        verification::binding::is_name,
        verification::rules::{
            ATTEMPTS_MAX, CODE_LIFETIME_MAX, CODE_LIFETIME_MIN, EntryMode, Limits,
            RESEND_COOLDOWN_MAX, SENDS_MAX, STEP_WAIT_MAX, STEP_WAIT_MIN,
        },
    },
    message::TextByLanguage,
    service::policy::Action,
};

/// All actions: the rules of each, and what customers read for it.
pub(super) struct Actions {
    pub(super) rules: BTreeMap<ActionName, Action>,
    pub(super) titles: BTreeMap<ActionName, TextByLanguage>,
}

/// The channels, best first, of an action that lists none.
const CHANNEL_ORDER: [Channel; 5] = [
    Channel::Push,
    Channel::Email,
    Channel::Sms,
    Channel::Voice,
    Channel::Whatsapp,
];

/// Reads all actions. `public`: whether customers can reach our pages, which links need.
pub(super) fn actions(mut table: Table<'_>, routes: &ChannelRoutes, public: bool) -> Actions {
    let (mut actions, mut titles) = (BTreeMap::new(), BTreeMap::new());
    for (name, mut row) in table.named() {
        let rules = action(&mut row, routes);
        let title: TextByLanguage = row.texts("title").into_iter().collect();
        if rules.limits.entry_modes.contains(&EntryMode::Link) && !public {
            row.mistake(
                "entry_modes",
                "has link, which needs http.public_url for the page of the link",
            );
        }
        match ActionName::parse(&name) {
            Ok(name) => {
                titles.insert(name.clone(), title);
                actions.insert(name, rules);
            }
            Err(Invalid(what)) => row.mistake_here(format!("has a name that {what}")),
        }
        row.finish();
    }
    table.finish();
    Actions {
        rules: actions,
        titles,
    }
}

fn action(row: &mut Table<'_>, routes: &ChannelRoutes) -> Action {
    let (code_length, code_lifetime) = code(row);
    let channels = channels(row, routes);
    let sends = row.small("sends", SENDS_MAX.into(), &(1..=SENDS_MAX.into()));
    let limits = Limits {
        code_length,
        code_lifetime,
        attempts: row.small("attempts", ATTEMPTS_MAX.into(), &(1..=ATTEMPTS_MAX.into())),
        sends,
        resend_cooldown: resend_cooldown(row, code_lifetime),
        separators: separators(row),
        entry_modes: entry_modes(row),
        plan: plan(row, &channels),
        channels,
    };
    check_plan(row, &limits);
    Action {
        limits,
        binding: binding(row),
        quota_fallback: row.switch("quota_fallback", false),
    }
}

/// The length and the lifetime of codes.
fn code(row: &mut Table<'_>) -> (CodeLength, Duration) {
    let bounds = DIGITS_MIN.into()..=DIGITS_MAX.into();
    let digits: u8 = row.small("code_digits", DIGITS_MIN.into(), &bounds);
    let length = CodeLength::new(digits)
        .or(CodeLength::new(DIGITS_MIN))
        .expect("the least number of digits is one");
    let bounds = CODE_LIFETIME_MIN.as_secs()..=CODE_LIFETIME_MAX.as_secs();
    (length, row.seconds("code_lifetime_s", 300, &bounds))
}

fn resend_cooldown(row: &mut Table<'_>, code_lifetime: Duration) -> Duration {
    let bounds = 0..=RESEND_COOLDOWN_MAX.as_secs();
    let cooldown = row.seconds("resend_cooldown_s", 30, &bounds);
    if cooldown >= code_lifetime && cooldown > Duration::ZERO {
        let what = "must be shorter than code_lifetime_s, or no code can ever be resent";
        row.mistake("resend_cooldown_s", what);
    }
    cooldown
}

fn separators(row: &mut Table<'_>) -> Separators {
    let both = [("space", ' '), ("hyphen", '-')];
    let separators = row.words("separators", &both, &both);
    Separators {
        space: separators.contains(&' '),
        hyphen: separators.contains(&'-'),
    }
}

fn entry_modes(row: &mut Table<'_>) -> Vec<EntryMode> {
    let all = EntryMode::ALL.map(|mode| (mode.as_str(), mode));
    // Links are off by default: customers who are used to links in our e-mails also follow links in forged ones.
    let typed: Vec<_> = all
        .into_iter()
        .filter(|(_, mode)| *mode != EntryMode::Link)
        .collect();
    let modes = row.words("entry_modes", &all, &typed);
    if modes.is_empty() && !row.is_mistaken("entry_modes") {
        let what = "is empty, so no code can be entered; leave it out for all but link";
        row.mistake("entry_modes", what);
    }
    modes
}

/// Checks that a plan ends before the code expires, and has no more steps than messages are allowed.
fn check_plan(row: &Table<'_>, limits: &Limits) {
    let waits = limits.plan.iter().filter_map(|step| step.wait);
    if waits.sum::<Duration>() >= limits.code_lifetime {
        row.mistake(
            "plan",
            "waits for code_lifetime_s or longer, so its last step would never come; shorten the waits",
        );
    }
    let steps = limits.plan.len();
    if steps > usize::from(limits.sends) {
        row.mistake(
            "plan",
            format!("has {steps} steps, but sends is {}", limits.sends),
        );
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
    if names.is_empty() {
        let what = "is empty, so no code can be sent; leave it out for all channels with a route";
        row.mistake("channels", what);
    }
    for name in names {
        match Channel::from_name(&name) {
            Some(channel) if channels.contains(&channel) => {
                row.mistake("channels", format!("has {name:?} twice"));
            }
            Some(channel) if available.contains(&channel) => channels.push(channel),
            // A route whose name is not understood may be the one.
            Some(_) if row.is_root_unclear("routes") => {}
            Some(_) => row.mistake("channels", format!("has {name:?}, which has no route")),
            None => row.mistake(
                "channels",
                format!("has {name:?}; each must be one of push, email, sms, voice, whatsapp"),
            ),
        }
    }
    channels
}

/// The steps of a channel plan. Each is a channel and, except for the last, the wait before the next step: `sms 40s`.
fn plan(row: &mut Table<'_>, channels: &[Channel]) -> Vec<Step> {
    let texts = row.list("plan").unwrap_or_default();
    let mut plan: Vec<Step> = Vec::new();
    for (place, text) in texts.iter().enumerate() {
        match step(text, place + 1 == texts.len()) {
            Ok(step) if plan.iter().any(|other| other.channel == step.channel) => {
                row.mistake("plan", format!("has the channel of {text:?} twice"));
            }
            // The mistakes of the channels, or of their routes, are recorded.
            Ok(_) if row.is_mistaken("channels") || row.is_root_unclear("routes") => {}
            Ok(step) if !channels.contains(&step.channel) => {
                row.mistake(
                    "plan",
                    format!("has {text:?}, whose channel is not in channels"),
                );
            }
            Ok(step) => plan.push(step),
            Err(what) => row.mistake("plan", format!("has {text:?}; it {what}")),
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
            Some(fits.ok_or_else(|| format!("must wait {least}s to {most}s"))?)
        }
        (_, _, true) => {
            return Err(
                "must be a channel alone, because nothing follows the last step".to_owned(),
            );
        }
        (_, _, false) => return Err("must be a channel and a wait, such as \"sms 40s\"".to_owned()),
    };
    Ok(Step { channel, wait })
}

/// The names of the values that a start must bind, in the API's grammar.
fn binding(row: &mut Table<'_>) -> Vec<String> {
    let names = row.list("binding").unwrap_or_default();
    for name in names.iter().filter(|name| !is_name(name)) {
        row.mistake(
            "binding",
            format!("has {name:?}; each must be 1 to 32 of a-z, 0-9 and _"),
        );
    }
    for (at, name) in names.iter().enumerate() {
        if names[..at].contains(name) {
            row.mistake("binding", format!("has {name:?} twice"));
        }
    }
    names
}
