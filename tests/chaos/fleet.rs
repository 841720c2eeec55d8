//! Two service processes on one store, and a client that fails over between them.

use std::{
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use countersign::pb::v1::{self, Verdict, verification_service_client::VerificationServiceClient};
use tempfile::TempDir;
use tonic::{
    Code, Request, Response, Status,
    metadata::{Ascii, MetadataValue},
    transport::{Channel, Endpoint},
};
use tonic_types::StatusExt as _;

use super::{
    binary::{Process, borrowed},
    case::Said,
};

pub type Client = VerificationServiceClient<Channel>;
type Settings = Vec<(String, String)>;

/// The time after which a call counts as unanswered.
const CALL: Duration = Duration::from_secs(4);

struct Seat {
    dir: PathBuf,
    settings: Settings,
    /// The process and a connection to it; `None` while it is not running.
    process: Mutex<Option<(Process, Client)>>,
}

impl Seat {
    fn process(&self) -> MutexGuard<'_, Option<(Process, Client)>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub struct Fleet {
    seats: [Seat; 2],
    bearer: MetadataValue<Ascii>,
    _dir: TempDir,
}

fn client(process: &Process) -> Client {
    let endpoint = Endpoint::from_shared(format!("http://{}", process.grpc)).expect("an address");
    VerificationServiceClient::new(endpoint.connect_timeout(CALL).connect_lazy())
}

impl Fleet {
    /// Starts both with the same keys, each with its own settings.
    pub fn start(settings: [Settings; 2]) -> Self {
        let dir = tempfile::tempdir().expect("a folder is made");
        let dirs = ["a", "b"].map(|name| dir.path().join(name));
        std::fs::create_dir(&dirs[0]).expect("a folder is made");
        let first = Process::start(&dirs[0], &borrowed(&settings[0]));
        let second = first.beside(&dirs[0], &dirs[1], &borrowed(&settings[1]));
        let bearer = format!("Bearer {}", first.key)
            .parse()
            .expect("visible letters");
        let [dir_a, dir_b] = dirs;
        let [settings_a, settings_b] = settings;
        let seat = |dir, settings, process: Process| {
            let client = client(&process);
            Seat {
                dir,
                settings,
                process: Mutex::new(Some((process, client))),
            }
        };
        Self {
            seats: [
                seat(dir_a, settings_a, first),
                seat(dir_b, settings_b, second),
            ],
            bearer,
            _dir: dir,
        }
    }

    /// Kills it as `kill -9` does; does nothing if it is not running.
    pub fn kill(&self, at: usize) {
        let taken = self.seats[at].process().take();
        taken.into_iter().for_each(|(process, _)| process.kill());
    }

    /// Starts a process that was killed.
    pub fn restart(&self, at: usize) {
        let seat = &self.seats[at];
        let process = Process::start(&seat.dir, &borrowed(&seat.settings));
        let client = client(&process);
        *seat.process() = Some((process, client));
    }

    pub fn signal(&self, at: usize, name: &str) {
        if let Some((process, _)) = &*self.seats[at].process() {
            process.signal(name);
        }
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request
            .metadata_mut()
            .insert("authorization", self.bearer.clone());
        request
    }

    /// Sends one call to one process.
    ///
    /// # Errors
    /// [`Said::Refused`] if the call certainly had no effect, [`Said::Unknown`] if it may have had one.
    async fn call<M, T>(
        &self,
        at: usize,
        message: M,
        call: impl AsyncFnOnce(Client, Request<M>) -> Result<Response<T>, Status>,
    ) -> Result<T, Said> {
        let client = self.seats[at]
            .process()
            .as_ref()
            .map(|(_, client)| client.clone());
        let Some(client) = client else {
            return Err(Said::Unknown);
        };
        let answer = tokio::time::timeout(CALL, call(client, self.request(message))).await;
        let status = match answer {
            Err(_late) => return Err(Said::Unknown),
            Ok(Ok(answer)) => return Ok(answer.into_inner()),
            Ok(Err(status)) => status,
        };
        let reason = status
            .get_details_error_info()
            .map(|info| info.reason)
            .unwrap_or_default();
        Err(match (status.code(), reason.as_str()) {
            (_, "START_AGAIN") => Said::StartAgain,
            (_, "VERIFICATION_NOT_FOUND") => Said::NotFound,
            (_, "VERIFICATION_CLOSED") => Said::Closed,
            (
                Code::Unavailable
                | Code::DeadlineExceeded
                | Code::Aborted
                | Code::Cancelled
                | Code::Unknown,
                _,
            )
            | (_, "") => Said::Unknown,
            (Code::Internal, _) => Said::Refused(format!("INTERNAL {}", status.message())),
            _ => Said::Refused(reason),
        })
    }

    pub async fn check(&self, at: usize, request: v1::CheckCodeRequest) -> Said {
        let answer = self
            .call(at, request, async |mut client, request| {
                client.check_code(request).await
            })
            .await;
        match answer.map(|answer| answer.verdict()) {
            Ok(Verdict::Approved) => Said::Approved,
            Ok(Verdict::Wrong) => Said::Wrong,
            Ok(Verdict::AttemptsExhausted) => Said::Exhausted,
            Ok(Verdict::Expired) => Said::Expired,
            Ok(Verdict::Closed) => Said::Closed,
            Ok(Verdict::Unspecified) => Said::Refused("no verdict".to_owned()),
            Err(said) => said,
        }
    }

    /// The id of the verification that was started.
    pub async fn begin(
        &self,
        at: usize,
        request: v1::StartVerificationRequest,
    ) -> Result<String, Said> {
        let answer = self
            .call(at, request, async |mut client, request| {
                client.start_verification(request).await
            })
            .await?;
        Ok(answer.verification.unwrap_or_default().verification_id)
    }

    pub async fn cancel(&self, at: usize, id: &str) -> Result<(), Said> {
        let (verification_id, reason) = (id.to_owned(), v1::CancelReason::Requested.into());
        let request = v1::CancelVerificationRequest {
            verification_id,
            reason,
        };
        self.call(at, request, async |mut client, request| {
            client.cancel_verification(request).await
        })
        .await
        .map(drop)
    }

    pub async fn resend(&self, at: usize, id: &str, request_id: &str) -> Result<(), Said> {
        let (verification_id, request_id) = (id.to_owned(), request_id.to_owned());
        let request = v1::ResendCodeRequest {
            verification_id,
            request_id,
            channel: 0,
        };
        self.call(at, request, async |mut client, request| {
            client.resend_code(request).await
        })
        .await
        .map(drop)
    }

    pub async fn get(&self, at: usize, id: &str) -> Result<v1::VerificationStatus, Said> {
        let request = v1::GetVerificationRequest {
            verification_id: id.to_owned(),
        };
        let answer = self
            .call(at, request, async |mut client, request| {
                client.get_verification(request).await
            })
            .await?;
        Ok(answer.verification.unwrap_or_default().status())
    }
}
