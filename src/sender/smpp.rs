//! Sends text messages to a message centre over SMPP 3.4, and receives its receipts.

mod centre;
mod ids;
mod keeper;
mod receipt;
mod session;
mod status;
mod submission;
mod text;
mod wire;

use std::{
    path::PathBuf,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use rusmpp::pdus::SubmitSm;
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, timeout_at},
};

use self::{
    centre::{Centre, Login},
    keeper::Keeper,
    session::{Job, Rules},
    status::{retry, unknown},
    submission::{Address, Form, submissions},
};
pub use self::{
    ids::ReceiptIds,
    submission::{AddressType, ReceiptParts, Validity},
    text::DefaultAlphabet,
};
use super::{
    settings::{SenderParts, SenderSettings, SettingError, distinct},
    transport::tls::Tls,
};
use crate::{
    domain::{delivery::reason::Reason, ids::SenderName, recipient::Channel},
    format::secret::SecretText,
    ports::{
        sender::{Capabilities, Message, ReceiptPath, SendError, Sender, Sent},
        system::{Clock, Entropy},
    },
};

/// Most messages queued for room in the window. Further ones wait outside the queue,
/// within their time limits.
const JOBS_MAX: usize = 64;

/// The settings of a message centre and its session.
#[derive(Clone, Debug)]
pub struct SmppSettings {
    /// The sender's name in the settings, which its receipts carry.
    pub name: SenderName,
    /// Name of the message centre, which its certificate must carry, or its IP address.
    pub host: String,
    /// TCP port of the message centre.
    pub port: u16,
    /// Whether the connection is encrypted.
    pub tls: bool,
    /// PEM file of certificate authorities to trust in addition to the system's.
    pub ca_file: Option<PathBuf>,
    /// Login name: at most 15 characters.
    pub system_id: String,
    /// Password: at most 16 characters, of which the standard permits 8.
    pub password: SecretText,
    /// System type of the login: at most 12 characters, usually empty.
    pub system_type: String,
    /// Originator of the messages: a number with its plus, a short code, or a name.
    pub from: String,
    /// Type and numbering plan of `from`.
    pub from_type: AddressType,
    /// Type and numbering plan of recipients' numbers.
    pub to_type: AddressType,
    /// The alphabet that the message centre expects in texts that are not in UCS-2.
    pub alphabet: DefaultAlphabet,
    /// `data_coding` of such texts: 0 is the message centre's default alphabet.
    pub data_coding: u8,
    /// How messages say until when they may be delivered.
    pub validity: Validity,
    /// The parts of a long message for which receipts are requested.
    pub receipts: ReceiptParts,
    /// How receipts spell the ids of messages.
    pub receipt_ids: ReceiptIds,
    /// Time limit of one hand-over, from connecting to the last answer, and of each single answer.
    pub timeout: Duration,
    /// Maximum number of messages that wait for their answers at the same time.
    pub window: u32,
    /// Silence after which the connection is tested with `enquire_link`.
    pub enquire_every: Duration,
}

impl SenderSettings for SmppSettings {
    fn carries(&self, channel: Channel) -> bool {
        channel == Channel::Sms
    }

    fn warnings(&self) -> Vec<SettingError> {
        let is_long = self.password.expose().len() > PASSWORD_CHARS_STANDARD;
        let what = "holds more than the 8 characters of SMPP 3.4; some message centres cut or refuse such passwords";
        is_long
            .then(|| SettingError::new("password_file", what))
            .into_iter()
            .collect()
    }

    fn build(&self, parts: &SenderParts) -> Result<Arc<dyn Sender>, SettingError> {
        Ok(Arc::new(Smpp::new(self, parts)?))
    }

    fn problems(&self, parts: &SenderParts) -> Vec<SettingError> {
        let tls = self
            .tls
            .then(|| Tls::new(&self.host, self.ca_file.as_deref()));
        let connection = [tls.and_then(Result::err), self.build(parts).err()];
        distinct(connection.into_iter().chain(login_problems(self).map(Some)))
    }
}

/// Longest `system_id` (SMPP 3.4 §4.1.5).
pub const SYSTEM_ID_CHARS_MAX: usize = 15;
/// Longest `system_type` (SMPP 3.4 §4.1.5).
pub const SYSTEM_TYPE_CHARS_MAX: usize = 12;
/// Longest `password` of the standard (SMPP 3.4 §4.1.5).
pub const PASSWORD_CHARS_STANDARD: usize = 8;
/// Longest `password` that is sent: many message centres give longer ones than the standard permits.
pub const PASSWORD_CHARS_MAX: usize = 16;

const NO_ORIGINATOR: &str = "must be a number such as +31612345678, a short code of 3 to 8 digits, or a name of at most 11 characters";

/// Sends text messages over one session, which it keeps open.
pub struct Smpp {
    centre: Arc<Centre>,
    rules: Arc<Rules>,
    form: Form,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    /// The queue to the session, made when the service begins to serve: settings are also checked
    /// without an async runtime.
    jobs: OnceLock<mpsc::Sender<Job>>,
}

impl std::fmt::Debug for Smpp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Smpp({}:{})", self.centre.host, self.centre.port)
    }
}

impl Smpp {
    /// A sender with these settings. Reads `ca_file`, so it blocks; connects when it is opened.
    ///
    /// # Errors
    /// The first setting that cannot be used.
    pub fn new(settings: &SmppSettings, parts: &SenderParts) -> Result<Self, SettingError> {
        if settings.window == 0 {
            return Err(SettingError::new("window", "is 0, and must be at least 1"));
        }
        let from = Address::parse(&settings.from)
            .ok_or_else(|| SettingError::new("from", NO_ORIGINATOR))?;
        let tls = settings
            .tls
            .then(|| Tls::new(&settings.host, settings.ca_file.as_deref()));
        let centre = Centre {
            tls: tls.transpose()?,
            login: login(settings)?,
            timeout: settings.timeout,
            host: settings.host.clone(),
            port: settings.port,
        };
        let rules = Rules {
            name: settings.name.clone(),
            receipts: parts.receipts.clone(),
            ids: settings.receipt_ids,
            window: usize::try_from(settings.window).unwrap_or(usize::MAX),
            timeout: settings.timeout,
            enquire_every: settings.enquire_every,
        };
        let form = Form {
            from: from.with(settings.from_type),
            to: settings.to_type,
            alphabet: settings.alphabet,
            data_coding: settings.data_coding,
            validity: settings.validity,
            receipts: settings.receipts,
        };
        Ok(Self {
            centre: Arc::new(centre),
            rules: Arc::new(rules),
            form,
            clock: parts.clock.clone(),
            entropy: parts.entropy.clone(),
            jobs: OnceLock::new(),
        })
    }

    fn jobs(&self) -> &mpsc::Sender<Job> {
        self.jobs.get_or_init(|| {
            let (jobs, queue) = mpsc::channel(JOBS_MAX);
            let (centre, rules, entropy) = (
                self.centre.clone(),
                self.rules.clone(),
                self.entropy.clone(),
            );
            // The task ends with this sender, which holds the other end of the queue.
            tokio::spawn(
                Keeper {
                    centre,
                    rules,
                    entropy,
                }
                .keep(queue),
            );
            jobs
        })
    }

    /// Submits one part of a message.
    async fn submit(&self, message: SubmitSm, deadline: Instant) -> Result<Sent, SendError> {
        let claimed = Arc::<AtomicBool>::default();
        let (answer, answered) = oneshot::channel();
        let job = Job {
            message,
            claimed: claimed.clone(),
            answer,
        };
        let hand_over = async {
            self.jobs()
                .send(job)
                .await
                .map_err(|_| retry(Reason::Closed))?;
            // A session drops a job without an answer only after it was written.
            answered
                .await
                .unwrap_or_else(|_| Err(unknown(Reason::Timeout)))
        };
        match timeout_at(deadline, hand_over).await {
            Ok(answer) => answer,
            // Whoever claims the job first decides whether it is sent.
            Err(_late) if claimed.swap(true, Ordering::SeqCst) => Err(unknown(Reason::Timeout)),
            Err(_late) => Err(retry(Reason::Timeout)),
        }
    }
}

#[async_trait]
impl Sender for Smpp {
    async fn send(&self, message: &Message) -> Result<Sent, SendError> {
        let deadline = Instant::now() + self.rules.timeout;
        let parts = submissions(&self.form, message, self.clock.now())?;
        let (mut sent, mut names) = (Sent::default(), Vec::new());
        for (at, part) in parts.into_iter().enumerate() {
            // Some message centres report on one part only, whichever was asked for.
            names.extend(sent.reference.take());
            names.append(&mut sent.aliases);
            sent = self
                .submit(part, deadline)
                .await
                .map_err(|error| if at == 0 { error } else { after_others(error) })?;
        }
        sent.aliases.append(&mut names);
        Ok(sent)
    }

    fn open(&self) {
        self.jobs();
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            idempotent: false,
            receipts: ReceiptPath::ByReference,
        }
    }
}

/// The outcome if an earlier part was accepted: the message as a whole may not simply be repeated.
fn after_others(error: SendError) -> SendError {
    SendError {
        maybe_accepted: error.maybe_accepted || error.again.is_some(),
        ..error
    }
}

/// Checks the originator of messages.
///
/// # Errors
/// The forms that it may have, as the end of a sentence that begins with its key.
pub fn check_from(text: &str) -> Result<(), &'static str> {
    Address::parse(text).map(drop).ok_or(NO_ORIGINATOR)
}

/// The texts of the login.
fn login(settings: &SmppSettings) -> Result<Login, SettingError> {
    match login_problems(settings).next() {
        Some(problem) => Err(problem),
        None => Ok(Login {
            system_id: settings.system_id.clone(),
            password: settings.password.clone(),
            system_type: settings.system_type.clone(),
        }),
    }
}

/// What is wrong with the texts of the login. Their values are not shown: one is the password.
fn login_problems(settings: &SmppSettings) -> impl Iterator<Item = SettingError> {
    [
        (
            "system_id",
            settings.system_id.as_str(),
            SYSTEM_ID_CHARS_MAX,
        ),
        (
            "password_file",
            settings.password.expose(),
            PASSWORD_CHARS_MAX,
        ),
        ("system_type", &settings.system_type, SYSTEM_TYPE_CHARS_MAX),
    ]
    .into_iter()
    .filter(|(_, text, max)| text.len() > *max || !text.is_ascii() || text.contains('\0'))
    .map(|(key, _, max)| SettingError::new(key, format!("must be at most {max} ASCII characters")))
}

#[cfg(test)]
mod tests;
