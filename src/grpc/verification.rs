//! The handlers of `VerificationService`.

mod convert;
pub(super) mod view;

use std::{
    collections::{BTreeMap, HashMap},
    pin::Pin,
    sync::Arc,
};

use futures_util::{Stream, stream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use super::{RpcResult, caller, entrance::stream_ended, status::status};
use crate::{
    domain::{
        caller::{Caller, Role},
        decide::CancelReason,
        ids::{ActionName, VerificationId},
    },
    pb::v1::{self, verification_service_server::VerificationService},
    service::{
        Service,
        failure::{Busy, Denied, Failure},
        verification::Reading,
    },
};

/// Handles the calls of `VerificationService`.
pub struct VerificationHandler {
    service: Arc<Service>,
    watches: HashMap<String, Arc<Semaphore>>,
    all_watches: Arc<Semaphore>,
    limits: WatchLimits,
    shutdown: CancellationToken,
}

/// How many `WatchVerification` streams may be open at once.
#[derive(Clone, Copy, Debug)]
pub struct WatchLimits {
    /// Those of all callers together.
    pub total: usize,
    /// Those of each caller.
    pub per_caller: usize,
}

/// The places that an open stream has: one of its caller's, and one of all.
type WatchPermits = (OwnedSemaphorePermit, OwnedSemaphorePermit);

impl VerificationHandler {
    /// A handler for these callers, with at most this many streams at once. Streams end
    /// when `shutdown` is canceled.
    #[must_use]
    pub fn new(
        service: Arc<Service>,
        callers: impl Iterator<Item = String>,
        limits: WatchLimits,
        shutdown: CancellationToken,
    ) -> Self {
        let watches = callers
            .map(|caller| (caller, Arc::new(Semaphore::new(limits.per_caller))))
            .collect();
        Self {
            service,
            watches,
            all_watches: Arc::new(Semaphore::new(limits.total)),
            limits,
            shutdown,
        }
    }

    fn view(&self, reading: &Reading) -> v1::Verification {
        view::verification(reading, self.service.explain(reading))
    }

    fn watch_permits(&self, caller: &Caller) -> Result<WatchPermits, Failure> {
        let watches = self
            .watches
            .get(caller.name.as_str())
            .ok_or(Failure::Internal)?;
        let own = watches
            .clone()
            .try_acquire_owned()
            .map_err(|_| Failure::Overloaded(Busy::Watches(self.limits.per_caller)))?;
        let one_of_all = self
            .all_watches
            .clone()
            .try_acquire_owned()
            .map_err(|_| Failure::Overloaded(Busy::AllWatches(self.limits.total)))?;
        Ok((own, one_of_all))
    }
}

/// The status of a failed call about a verification, so that the log names the verification.
fn refused(failure: Failure, verification: &str) -> Status {
    status(failure, VerificationId::parse(verification).ok())
}

/// The role customer may only report "not me".
fn may_cancel(caller: &Caller, reason: CancelReason) -> Result<(), Failure> {
    let more_than_customer = caller
        .roles
        .has_any(&[Role::Frontend, Role::Agent, Role::Supervisor]);
    if more_than_customer || reason == CancelReason::NotMe {
        Ok(())
    } else {
        Err(Failure::RoleMissing(Denied::CancelReason))
    }
}

/// Counts a refused start; a successful one is counted after its commit.
fn count_refused_start(caller: &Caller, action: Option<&ActionName>, failure: &Failure) {
    // Text from a caller must not become a label, so only an action of the settings is used.
    let known = action.filter(|_| !matches!(failure, Failure::ActionUnknown { .. }));
    let action = known.map_or("unknown", ActionName::as_str).to_owned();
    let caller = caller.name.as_str().to_owned();
    metrics::counter!("countersign_starts_total", "action" => action, "caller" => caller, "outcome" => "refused")
        .increment(1);
}

#[tonic::async_trait]
impl VerificationService for VerificationHandler {
    async fn start_verification(
        &self,
        request: Request<v1::StartVerificationRequest>,
    ) -> RpcResult<v1::StartVerificationResponse> {
        let caller = caller(&request).map_err(|failure| status(failure, None))?;
        let missing = |action: &ActionName, given: &BTreeMap<String, String>| {
            self.service
                .missing_binding(action, |name| given.contains_key(name))
        };
        let started = match convert::start(&caller, request.into_inner(), missing) {
            Ok(start) => {
                let action = start.action.clone();
                let started = self.service.start(&caller, start).await;
                started.map_err(|failure| (failure, Some(action)))
            }
            Err(failure) => Err((failure, None)),
        };
        let reading = started.map_err(|(failure, action)| {
            count_refused_start(&caller, action.as_ref(), &failure);
            status(failure, None)
        })?;
        Ok(Response::new(v1::StartVerificationResponse {
            verification: Some(self.view(&reading)),
        }))
    }

    async fn get_verification(
        &self,
        request: Request<v1::GetVerificationRequest>,
    ) -> RpcResult<v1::GetVerificationResponse> {
        let answer = async {
            let caller = caller(&request)?;
            self.service
                .get(&caller, convert::id(&request.get_ref().verification_id)?)
                .await
        };
        let reading = answer
            .await
            .map_err(|failure| refused(failure, &request.get_ref().verification_id))?;
        Ok(Response::new(v1::GetVerificationResponse {
            verification: Some(self.view(&reading)),
        }))
    }

    type WatchVerificationStream =
        Pin<Box<dyn Stream<Item = Result<v1::WatchVerificationResponse, Status>> + Send>>;

    async fn watch_verification(
        &self,
        request: Request<v1::WatchVerificationRequest>,
    ) -> RpcResult<Self::WatchVerificationStream> {
        let answer = async {
            let caller = caller(&request)?;
            let permit = self.watch_permits(&caller)?;
            let id = convert::id(&request.get_ref().verification_id)?;
            let watch = self.service.watch(&caller, id).await?;
            Ok((watch, permit, (caller, id)))
        };
        let (watch, permit, about) = answer
            .await
            .map_err(|failure| refused(failure, &request.get_ref().verification_id))?;
        let (service, shutdown) = (self.service.clone(), self.shutdown.clone());
        let follow = stream::unfold(Some((watch, permit)), move |state| {
            let (service, shutdown) = (service.clone(), shutdown.clone());
            let (caller, id) = about.clone();
            async move {
                let (mut watch, permit) = state?;
                let next = tokio::select! {
                    next = service.next(&mut watch) => next,
                    () = shutdown.cancelled() => Err(Failure::ShuttingDown),
                };
                match next {
                    Ok(None) => None,
                    Ok(Some(reading)) => {
                        let verification =
                            Some(view::verification(&reading, service.explain(&reading)));
                        Some((
                            Ok(v1::WatchVerificationResponse { verification }),
                            Some((watch, permit)),
                        ))
                    }
                    Err(failure) => {
                        stream_ended(&caller.name, id, &failure);
                        Some((Err(status(failure, Some(id))), None))
                    }
                }
            }
        });
        Ok(Response::new(Box::pin(follow)))
    }

    async fn resend_code(
        &self,
        request: Request<v1::ResendCodeRequest>,
    ) -> RpcResult<v1::ResendCodeResponse> {
        let id = request.get_ref().verification_id.clone();
        let answer = async {
            let caller = caller(&request)?;
            self.service
                .resend(&caller, convert::resend(request.into_inner())?)
                .await
        };
        let reading = answer.await.map_err(|failure| refused(failure, &id))?;
        Ok(Response::new(v1::ResendCodeResponse {
            verification: Some(self.view(&reading)),
        }))
    }

    async fn check_code(
        &self,
        request: Request<v1::CheckCodeRequest>,
    ) -> RpcResult<v1::CheckCodeResponse> {
        let answer = async {
            let caller = caller(&request)?;
            self.service
                .check(&caller, convert::check(request.get_ref())?)
                .await
        };
        let (verdict, reading) = answer
            .await
            .map_err(|failure| refused(failure, &request.get_ref().verification_id))?;
        let (verdict, attempts_left) = view::verdict(verdict);
        let verification = Some(self.view(&reading));
        Ok(Response::new(v1::CheckCodeResponse {
            verdict: verdict.into(),
            attempts_left,
            verification,
            grant: String::new(),
        }))
    }

    async fn cancel_verification(
        &self,
        request: Request<v1::CancelVerificationRequest>,
    ) -> RpcResult<v1::CancelVerificationResponse> {
        let answer = async {
            let caller = caller(&request)?;
            let (id, reason) = convert::cancel(request.get_ref())?;
            may_cancel(&caller, reason)?;
            self.service.cancel(&caller, id, reason).await
        };
        let reading = answer
            .await
            .map_err(|failure| refused(failure, &request.get_ref().verification_id))?;
        Ok(Response::new(v1::CancelVerificationResponse {
            verification: Some(self.view(&reading)),
        }))
    }
}
