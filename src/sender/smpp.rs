//! Sends text messages to a message centre over SMPP 3.4, and takes its receipts.

mod centre;
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
use rusmpp::{pdus::SubmitSm, types::COctetString};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, timeout_at},
};

use self::{
    centre::Centre,
    keeper::Keeper,
    session::{Job, Rules},
    status::{retry, unknown},
    submission::{Address, submissions},
};
use super::transport::tls::Tls;
pub use super::transport::tls::TlsError;
use crate::{
    domain::ids::SenderName,
    format::secret::SecretText,
    ports::{
        sender::{Capabilities, Message, ReceiptPath, SendError, Sender, Sent, receipts::Receipts},
        system::{Clock, Entropy},
    },
};

/// As many messages wait for room in the window at most; others wait outside, each in its time limit.
const JOBS_MAX: usize = 64;

/// The message centre and how to talk to it.
#[derive(Clone, Debug)]
pub struct SmppSettings {
    /// The sender's name in the settings.
    pub name: SenderName,
    /// Its name, which its certificate must carry, or its address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Is the connection encrypted?
    pub tls: bool,
    /// PEM file of certificate authorities to trust beside those of the system.
    pub ca_file: Option<PathBuf>,
    /// Who we are: at most 15 characters.
    pub system_id: String,
    /// At most 8 characters.
    pub password: SecretText,
    /// What kind of client we are, if it wants to know: at most 12 characters.
    pub system_type: String,
    /// Who the messages are from: a number with its plus, a short code, or a name.
    pub from: String,
    /// Deadline of one hand-over, from dialling to the last answer; and how long a single answer may take.
    pub timeout: Duration,
    /// Most messages that wait for their answers at a time.
    pub window: u32,
    /// So much silence, and we ask whether anybody is there.
    pub enquire_every: Duration,
}

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SmppError {
    /// The address of the sender has another form.
    #[error(
        "from must be a number such as +31612345678, a short code of 3 to 8 digits, or a name of at most 11 characters"
    )]
    From,
    /// It has no room in a login.
    #[error("{0} must be at most {1} ASCII characters")]
    Login(&'static str, usize),
    /// No message could ever be sent.
    #[error("window must be at least 1")]
    Window,
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// What the process has for it.
pub struct SmppMeans {
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Spreads tries in time.
    pub entropy: Arc<dyn Entropy>,
    /// Where receipts go.
    pub receipts: Receipts,
}

/// Sends over one session that it keeps.
pub struct Smpp {
    centre: Arc<Centre>,
    rules: Arc<Rules>,
    from: Address,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    /// Begins with the first message: settings are looked at where no task can run.
    jobs: OnceLock<mpsc::Sender<Job>>,
}

impl std::fmt::Debug for Smpp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Smpp({}:{})", self.centre.host, self.centre.port)
    }
}

impl Smpp {
    /// A sender with these settings. Reads `ca_file`, so it blocks; connects only when there is something to send.
    ///
    /// # Errors
    /// What is wrong with the settings.
    pub fn new(settings: SmppSettings, means: SmppMeans) -> Result<Self, SmppError> {
        if settings.window == 0 {
            return Err(SmppError::Window);
        }
        let centre = Centre {
            tls: settings
                .tls
                .then(|| Tls::new(&settings.host, settings.ca_file.as_deref()))
                .transpose()?,
            system_id: login("system_id", &settings.system_id)?,
            password: login("the password", settings.password.expose())?,
            system_type: login("system_type", &settings.system_type)?,
            timeout: settings.timeout,
            host: settings.host,
            port: settings.port,
        };
        let rules = Rules {
            name: settings.name,
            receipts: means.receipts,
            window: usize::try_from(settings.window).unwrap_or(usize::MAX),
            timeout: settings.timeout,
            enquire_every: settings.enquire_every,
        };
        Ok(Self {
            centre: Arc::new(centre),
            rules: Arc::new(rules),
            from: Address::parse(&settings.from).ok_or(SmppError::From)?,
            clock: means.clock,
            entropy: means.entropy,
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
            // Ends with this sender, which holds the other end of the queue.
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

    /// Hands one part over.
    async fn submit(&self, message: SubmitSm, deadline: Instant) -> Result<Sent, SendError> {
        let claimed = Arc::<AtomicBool>::default();
        let (answer, answered) = oneshot::channel();
        let job = Job {
            message,
            claimed: claimed.clone(),
            answer,
        };
        let hand_over = async {
            self.jobs().send(job).await.map_err(|_| retry("closed"))?;
            // A session that let go of it had written it.
            answered.await.unwrap_or_else(|_| Err(unknown("timeout")))
        };
        match timeout_at(deadline, hand_over).await {
            Ok(answer) => answer,
            // Whoever claims it first decides whether it goes out.
            Err(_late) if claimed.swap(true, Ordering::SeqCst) => Err(unknown("timeout")),
            Err(_late) => Err(retry("timeout")),
        }
    }
}

#[async_trait]
impl Sender for Smpp {
    async fn send(&self, message: &Message) -> Result<Sent, SendError> {
        let deadline = Instant::now() + self.rules.timeout;
        let parts = submissions(
            &self.from,
            message,
            message.expires_at.since(self.clock.now()),
        )?;
        let mut sent = Sent::default();
        for (at, part) in parts.into_iter().enumerate() {
            sent = self
                .submit(part, deadline)
                .await
                .map_err(|error| if at == 0 { error } else { after_others(error) })?;
        }
        Ok(sent)
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            idempotent: false,
            receipts: ReceiptPath::ByReference,
        }
    }
}

/// The parts before this one were taken.
fn after_others(error: SendError) -> SendError {
    match error {
        SendError::Retry { after, reason } => SendError::Unknown { after, reason },
        error @ (SendError::Unknown { .. }
        | SendError::Deferred { .. }
        | SendError::NextSender { .. }
        | SendError::Unfit { .. }
        | SendError::GiveUp { .. }) => error,
    }
}

/// A text of a login: with its end it takes at most `MAX` octets.
fn login<const MAX: usize>(
    key: &'static str,
    text: &str,
) -> Result<COctetString<1, MAX>, SmppError> {
    COctetString::from_string(text.to_owned()).map_err(|_| SmppError::Login(key, MAX - 1))
}

#[cfg(test)]
mod tests;
