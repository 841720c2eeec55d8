//! Words for recipient, account and sender in replies, and what servers say of each. They are looked for near each other,
//! because no list holds all the ways in which servers put them together.

/// A party to a mail, and the words about it.
pub(super) struct Party {
    /// Its names, each a whole word.
    pub(super) nouns: &'static [&'static str],
    /// What clearly follows a name, within [`FAR`].
    pub(super) after: &'static [&'static str],
    /// What follows a name within [`NEAR`], and may be an excuse of a filter.
    pub(super) softly_after: &'static [&'static str],
    /// What precedes a name, within [`NEAR`].
    pub(super) before: &'static [&'static str],
}

/// How many words may stand between a party and what is clearly said of it.
pub(super) const FAR: usize = 8;
/// How many words may stand between a party and other words.
pub(super) const NEAR: usize = 4;

/// The recipient, in the languages of servers: it does not exist, or takes no mail.
pub(super) const RECIPIENT: Party = Party {
    nouns: &[
        "user",
        "recipient",
        "mailbox",
        "inbox",
        "addressee",
        "alias",
        "person",
        "empfänger",
        "empfaenger",
        "benutzer",
        "nutzer",
        "postfach",
        "adressat",
        "destinataire",
        "utilisateur",
        "destinatario",
        "usuario",
        "utente",
        "gebruiker",
        "ontvanger",
    ],
    after: GONE,
    softly_after: CLOSED,
    before: &[
        "unknown",
        "no such",
        "invalid",
        "illegal",
        "nonexistent",
        "unbekannt",
        "onbekend",
        "inconnu",
    ],
};

/// The account of the recipient in a reply to RCPT. In a reply to the mail it may be ours, at a provider.
pub(super) const ACCOUNT: Party = Party {
    nouns: &["account"],
    after: GONE,
    softly_after: CLOSED,
    before: &["unknown", "no", "no such", "invalid", "nonexistent"],
};

/// The sender: the server refuses the address that we send from.
pub(super) const SENDER: Party = Party {
    nouns: &["sender", "senders"],
    after: &[],
    softly_after: &[
        "rejected",
        "refused",
        "denied",
        "blocked",
        "banned",
        "forged",
        "invalid",
        "unknown",
        "not allowed",
        "not permitted",
        "not accepted",
        "not authori",
        "unauthori",
        "unverified",
        "not found",
        "not exist",
        "doesnt exist",
        "has no",
        "prohibited",
        "not resolve",
    ],
    before: &["unknown", "invalid", "bad", "banned", "blocked", "forged"],
};

/// What is said of a mailbox that does not exist.
const GONE: &[&str] = &[
    "unknown",
    "not known",
    "not found",
    "not be found",
    "wasnt found",
    "couldnt be found",
    "cant be found",
    "not exist",
    "doesnt exist",
    "doesnt have",
    "does not have",
    "nonexistent",
    "no longer",
    "not local",
    "unbekannt",
    "existiert nicht",
    "inconnu",
    "nexiste pas",
    "desconocid",
    "no existe",
    "inexistente",
    "sconosciut",
    "inesistente",
    "onbekend",
    "bestaat niet",
];

/// What is said of a mailbox that takes no mail, and by some servers of all mail that they dislike.
const CLOSED: &[&str] = &[
    "unavailable",
    "not available",
    "disabled",
    "inactive",
    "not active",
    "deactivated",
    "suspended",
    "locked",
    "closed",
    "out of storage",
    "not accepting",
    "not accept mail",
    "not accept email",
    "not accept message",
    "not be accessed",
    "cannot be accessed",
];
