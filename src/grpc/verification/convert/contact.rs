//! Converts the contact of a start, and the addresses of its agent.

use crate::{
    domain::{
        ids::Reference,
        recipient::{Channel, Recipient},
        verification::Contact,
    },
    grpc::fields::Fields,
    pb::v1,
};

/// The largest number of the agent's own addresses in a start.
const AGENT_RECIPIENTS_MAX: usize = 4;

/// The contact in which a start is asked for.
pub(super) fn contact(fields: &mut Fields, given: &v1::Contact) -> Option<Contact> {
    let id = fields.take("contact.contact_id", Reference::parse(&given.contact_id));
    let case = fields.optional("contact.case_id", &given.case_id, Reference::parse);
    let agent = fields.optional("contact.agent_id", &given.agent_id, Reference::parse);
    let Ok(channel) = v1::ContactChannel::try_from(given.channel) else {
        let allowed = "a value of ContactChannel, such as CONTACT_CHANNEL_PHONE";
        fields.wrong_enum("contact.channel", None, given.channel, allowed);
        return None;
    };
    let name = channel
        .as_str_name()
        .trim_start_matches("CONTACT_CHANNEL_")
        .to_ascii_lowercase();
    let channel = (channel != v1::ContactChannel::Unspecified).then_some(name);
    Some(Contact {
        id: id?,
        case,
        channel,
        agent,
    })
}

/// The agent's own addresses. They are compared with the recipients and not stored.
pub(super) fn agents_own(fields: &mut Fields, given: &v1::Contact) -> Vec<Recipient> {
    if given.agent_recipients.len() > AGENT_RECIPIENTS_MAX {
        fields.wrong_count(
            "contact.agent_recipients",
            given.agent_recipients.len(),
            "at most 4",
        );
    }
    if !given.agent_recipients.is_empty() && given.agent_id.is_empty() {
        fields.wrong(
            "contact.agent_id",
            "is required with contact.agent_recipients",
        );
    }
    let each = given
        .agent_recipients
        .iter()
        .enumerate()
        .take(AGENT_RECIPIENTS_MAX);
    let parse = |text: &str| {
        Recipient::parse(
            if text.contains('@') {
                Channel::Email
            } else {
                Channel::Voice
            },
            text,
        )
    };
    each.filter_map(|(at, text)| {
        fields.take(&format!("contact.agent_recipients[{at}]"), parse(text))
    })
    .collect()
}
