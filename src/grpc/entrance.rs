//! The layer before every handler of the callers' listener: the form of the call, authentication, permission, limits,
//! deadline, panics, log, metrics.
//!
//! A call is judged as soon as its headers are there, before its body is read and in the order in which calls arrive.

pub mod callers;
mod deadline;
mod form;
mod in_progress;
mod line;
mod measure;
mod request_id;
mod taken;

use std::{
    convert::Infallible,
    net::SocketAddr,
    panic::AssertUnwindSafe,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use futures_util::{
    FutureExt,
    future::{BoxFuture, ready},
};
use http::{HeaderValue, Request, Response, Uri};
use tonic::{Status, body::Body};
use tower::{Layer, Service};
use tracing::Instrument;

use super::{
    entrance::{callers::Callers, form::NoCall},
    status::{Cause, broken_message, status},
};
use crate::{
    domain::caller::{
        Caller,
        permission::{self, Access, METHODS, Method},
    },
    listener::{
        bodies::{Cut, PAUSE_MAX},
        inbound::Inbound,
        throttle::Throttle,
    },
    ports::system::Entropy,
    service::failure::{Busy, Denied, Failure},
};

use in_progress::{InProgress, Permits};
use line::Throttles;
pub(super) use line::stream_ended;
use measure::Durations;
use request_id::RequestId;
use taken::until_taken;

/// The name in metrics and logs for all methods outside the table, so that callers cannot create labels.
const OTHER: &str = "_OTHER";

/// Why a call was not admitted, and its caller, if known.
type NotAdmitted = (Failure, Option<Arc<Caller>>);

/// The parts from which the entrance is built.
pub struct EntranceParts {
    /// The callers in the settings, found by their API keys.
    pub callers: Callers,
    /// Whether the methods are open that only the development profile offers.
    pub development: bool,
    /// The largest number of calls in progress on this process, over all connections.
    pub calls_max: usize,
    /// The largest number of them for each caller.
    pub calls_per_caller: usize,
    /// The deadline of a call that sends none.
    pub deadline_default: Duration,
    /// The longest deadline; a longer one is shortened to it.
    pub deadline_max: Duration,
    /// The source of request ids.
    pub entropy: Arc<dyn Entropy>,
}

/// Puts the entrance before all services of a listener.
#[derive(Clone)]
pub struct EntranceLayer(Arc<Shared>);

impl EntranceLayer {
    /// An entrance with its own count of calls in progress.
    #[must_use]
    pub fn new(parts: EntranceParts) -> Self {
        Self(Arc::new(Shared {
            in_progress: InProgress::new(&parts.callers, parts.calls_max, parts.calls_per_caller),
            durations: Durations::new(),
            throttles: Throttles::default(),
            no_calls: Throttle::default(),
            parts,
        }))
    }
}

impl<S> Layer<S> for EntranceLayer {
    type Service = Entrance<S>;

    fn layer(&self, inner: S) -> Entrance<S> {
        let shared = self.0.clone();
        Entrance { inner, shared }
    }
}

/// A service behind the entrance.
#[derive(Clone)]
pub struct Entrance<S> {
    inner: S,
    shared: Arc<Shared>,
}

/// The state shared by all connections of a listener.
struct Shared {
    parts: EntranceParts,
    in_progress: InProgress,
    durations: Durations,
    throttles: Throttles,
    no_calls: Throttle,
}

/// A call as it arrived.
struct Arrival {
    /// The index of its method in the permission table; `None` for a method without a row.
    place: Option<usize>,
    peer: Option<SocketAddr>,
    begun: Instant,
}

impl Arrival {
    fn method(&self) -> Option<&'static Method> {
        self.place.map(|place| &METHODS[place])
    }

    fn name(&self) -> &'static str {
        self.method().map_or(OTHER, |method| method.name)
    }
}

/// A call that may be passed on, with its place among those in progress.
struct Admitted {
    /// The caller; `None` for a method that is open in development.
    caller: Option<Arc<Caller>>,
    _permits: Permits,
}

impl<S, B> Service<Request<B>> for Entrance<S>
where
    S: Service<Request<B>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
    B: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let inbound = request.extensions().get::<Inbound>().cloned();
        if let Some(wrong) = NoCall::of(&request) {
            self.shared.note_no_call(wrong, inbound.as_ref());
            return Box::pin(ready(Ok(wrong.response())));
        }
        // Only this instance was polled until it was ready, so it handles the call and the clone replaces it.
        let clone = self.inner.clone();
        let inner = std::mem::replace(&mut self.inner, clone);
        let shared = self.shared.clone();
        let call = Arrival {
            place: place(request.uri()),
            peer: inbound.as_ref().map(Inbound::peer),
            begun: Instant::now(),
        };
        let request_id = RequestId::new(&*shared.parts.entropy);
        let span = tracing::info_span!(
            "call",
            x_request_id = request_id.as_str(),
            method = call.name()
        );
        let admitted = match shared.judge(&request, &call) {
            Ok(admitted) => admitted,
            Err((failure, caller)) => {
                // Answered here: a future that could also do the work would be large, and a flood makes many.
                let answer =
                    || shared.finish(&call, caller.as_deref(), &request_id, refuse(failure));
                return Box::pin(ready(Ok(span.in_scope(answer))));
            }
        };
        if let Some(inbound) = &inbound {
            inbound.admit();
        }
        // The handlers never see the API key.
        request.headers_mut().remove(http::header::AUTHORIZATION);
        let answer = async move {
            let response = shared.answer(inner, request, &admitted, inbound).await;
            let caller = admitted.caller.clone();
            let response = shared.finish(&call, caller.as_deref(), &request_id, response);
            Ok(until_taken(admitted, call.name(), response))
        };
        Box::pin(answer.instrument(span))
    }
}

impl Shared {
    /// Records a call, and gives its answer the id of the request.
    fn finish(
        &self,
        call: &Arrival,
        caller: Option<&Caller>,
        request_id: &RequestId,
        mut response: Response<Body>,
    ) -> Response<Body> {
        self.record(call, caller, &response);
        if let Ok(value) = HeaderValue::from_str(request_id.as_str()) {
            response.headers_mut().insert("x-request-id", value);
        }
        response
    }

    /// Passes an admitted call on.
    async fn answer<S, B>(
        &self,
        mut inner: S,
        mut request: Request<B>,
        admitted: &Admitted,
        inbound: Option<Inbound>,
    ) -> Response<Body>
    where
        S: Service<Request<B>, Response = Response<Body>, Error = Infallible>,
    {
        if let Some(caller) = &admitted.caller {
            request.extensions_mut().insert(caller.clone());
        }
        let brought = request
            .headers()
            .get("grpc-timeout")
            .and_then(|value| deadline::parse(value.to_str().ok()?));
        let limit = brought
            .unwrap_or(self.parts.deadline_default)
            .min(self.parts.deadline_max);
        let work = AssertUnwindSafe(inner.call(request)).catch_unwind();
        match tokio::time::timeout(limit, work).await {
            Ok(Ok(Ok(response))) => match unread(&response, inbound.as_ref()) {
                Some(failure) => refuse(failure),
                None => response,
            },
            Ok(Err(_panic)) => {
                metrics::counter!("countersign_panics_total").increment(1);
                tracing::error!("call panicked");
                refuse(Failure::Internal)
            }
            Err(_late) => refuse(Failure::DeadlineExceeded { limit }),
        }
    }

    /// Authenticates the caller, checks its permission, and finds the call a place among those in progress.
    fn judge<B>(&self, request: &Request<B>, call: &Arrival) -> Result<Admitted, NotAdmitted> {
        let caller = self.admit(request, call)?;
        match self.in_progress.admit(caller.as_deref()) {
            Ok(permits) => Ok(Admitted {
                caller,
                _permits: permits,
            }),
            Err(busy) => Err((Failure::Overloaded(busy), caller)),
        }
    }

    /// Authenticates the caller and checks its permission. `None` as caller: the method is open in development.
    fn admit<B>(
        &self,
        request: &Request<B>,
        call: &Arrival,
    ) -> Result<Option<Arc<Caller>>, NotAdmitted> {
        let method = call.method();
        if self.parts.development
            && method.is_some_and(|method| method.access == Access::Development)
        {
            return Ok(None);
        }
        // Check the credential first: without one, nobody learns which methods exist.
        let caller = self
            .parts
            .callers
            .admit(request.headers())
            .map_err(|(failure, caller)| (failure, caller.cloned()))?;
        if request.uri().query().is_some() {
            return Err((Failure::MethodUnknown, Some(caller.clone())));
        }
        let allowed = method.map_or(&[][..], Method::roles);
        if caller.roles.has_any(allowed) {
            Ok(Some(caller.clone()))
        } else {
            let denied = Failure::RoleMissing(Denied::Method(allowed));
            Err((denied, Some(caller.clone())))
        }
    }
}

/// The place of a method in the permission table. A path with a query is no method's: gRPC has none.
fn place(uri: &Uri) -> Option<usize> {
    match uri.query() {
        None => permission::place(uri.path()),
        Some(_) => None,
    }
}

/// Why the library could not read the request message; `None` if it could.
fn unread(response: &Response<Body>, inbound: Option<&Inbound>) -> Option<Failure> {
    let status = response.extensions().get::<Status>()?;
    if Cause::of(status).is_some() {
        return None;
    }
    match inbound.and_then(Inbound::cut) {
        Some(cut) => Some(of_cut(cut)),
        None => broken_message(status),
    }
}

const fn of_cut(cut: Cut) -> Failure {
    match cut {
        // An admitted call's sender is proved, so its body is never too large for a stranger's.
        Cut::Full | Cut::TooLarge => Failure::Overloaded(Busy::Bodies),
        Cut::Stalled => Failure::DeadlineExceeded { limit: PAUSE_MAX },
    }
}

fn refuse(failure: Failure) -> Response<Body> {
    status(failure, None).into_http()
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use tonic::Code;
    use tower::{ServiceExt as _, service_fn};

    use super::*;
    use crate::{
        domain::{
            caller::{Role, Roles, api_key_hash},
            ids::{CallerName, TenantId},
        },
        grpc::entrance::callers::{Credential, ShieldRate},
        system::SystemEntropy,
    };

    fn parts() -> EntranceParts {
        let credential = |name: &str, key: &str| Credential {
            caller: Caller {
                name: CallerName::parse(name).unwrap(),
                tenant: TenantId::parse("t").unwrap(),
                roles: Roles::new(vec![Role::Frontend]),
            },
            keys_sha256: vec![api_key_hash(key)],
        };
        let many = NonZeroU32::MAX;
        EntranceParts {
            callers: Callers::new(
                vec![credential("c", "key"), credential("d", "other")],
                ShieldRate {
                    calls_per_s: many,
                    burst: many,
                },
            ),
            development: false,
            calls_max: 3,
            calls_per_caller: 2,
            deadline_default: Duration::from_secs(5),
            deadline_max: Duration::from_secs(30),
            entropy: Arc::new(SystemEntropy::default()),
        }
    }

    fn request(timeout: Option<&str>) -> Request<Body> {
        let mut request = Request::new(Body::empty());
        *request.method_mut() = http::Method::POST;
        *request.version_mut() = http::Version::HTTP_2;
        request
            .headers_mut()
            .insert("content-type", HeaderValue::from_static("application/grpc"));
        *request.uri_mut() = "/countersign.v1.VerificationService/GetVerification"
            .parse()
            .unwrap();
        request
            .headers_mut()
            .insert("authorization", HeaderValue::from_static("Bearer key"));
        if let Some(timeout) = timeout {
            request
                .headers_mut()
                .insert("grpc-timeout", timeout.parse().unwrap());
        }
        request
    }

    fn code(response: &Response<Body>) -> Code {
        Code::from_bytes(response.headers()["grpc-status"].as_bytes())
    }

    #[tokio::test(start_paused = true)]
    async fn net_09_deadlines_are_kept_bounded_and_have_a_default() {
        let never = service_fn(|_| std::future::pending::<Result<Response<Body>, Infallible>>());
        let entrance = EntranceLayer::new(parts()).layer(never);
        for (timeout, seconds) in [
            (None, 5),
            (Some("0n"), 0),
            (Some("100m"), 0),
            (Some("2S"), 2),
            (Some("1H"), 30),
            (Some("x"), 5),
            (Some("+2S"), 5),
            (Some("000000002S"), 5),
        ] {
            let begun = tokio::time::Instant::now();
            let response = entrance.clone().oneshot(request(timeout)).await.unwrap();
            assert_eq!(code(&response), Code::DeadlineExceeded, "{timeout:?}");
            assert!(
                begun.elapsed().as_secs().abs_diff(seconds) <= 1,
                "{timeout:?} took {:?}",
                begun.elapsed()
            );
        }
    }

    /// The status of this many calls that never get an answer, begun one after the other: the code of each that was
    /// refused at once.
    async fn begun<S>(entrance: &S, key: &str, count: usize) -> Vec<Code>
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>
            + Clone
            + Send
            + 'static,
        S::Future: Send,
    {
        let mut refused = Vec::new();
        for _ in 0..count {
            let mut request = request(None);
            let value = format!("Bearer {key}").parse().unwrap();
            request.headers_mut().insert("authorization", value);
            let mut call = tokio::spawn(entrance.clone().oneshot(request));
            tokio::select! {
                biased;
                answered = &mut call => refused.push(code(&answered.unwrap().unwrap())),
                () = tokio::time::sleep(Duration::from_millis(1)) => {}
            }
        }
        refused
    }

    #[tokio::test(start_paused = true)]
    async fn net_02_calls_in_flight_above_the_limit_are_shed() {
        let never = service_fn(|_| std::future::pending::<Result<Response<Body>, Infallible>>());
        let entrance = EntranceLayer::new(parts()).layer(never);
        assert_eq!(begun(&entrance, "key", 2).await, []);
        assert_eq!(begun(&entrance, "other", 1).await, []);
        let full = begun(&entrance, "other", 1).await;
        assert_eq!(full, [Code::ResourceExhausted], "over all callers");
        tokio::time::sleep(Duration::from_secs(6)).await;
        assert_eq!(
            begun(&entrance, "other", 1).await,
            [],
            "there is room again"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn net_02_one_caller_leaves_calls_in_flight_for_the_others() {
        let never = service_fn(|_| std::future::pending::<Result<Response<Body>, Infallible>>());
        let entrance = EntranceLayer::new(parts()).layer(never);
        let refused = begun(&entrance, "key", 10).await;
        assert_eq!(refused, [Code::ResourceExhausted; 8], "its share is two");
        assert_eq!(begun(&entrance, "other", 1).await, []);
    }

    #[tokio::test]
    async fn net_02_a_call_is_in_progress_until_its_answer_is_taken() {
        let answers = service_fn(|_| async {
            let body = Body::new(axum::body::Body::from("an answer"));
            Ok::<_, Infallible>(Response::new(body))
        });
        let entrance = EntranceLayer::new(parts()).layer(answers);
        let of = |method: &str| {
            let mut request = request(None);
            let path = format!("/countersign.v1.VerificationService/{method}");
            *request.uri_mut() = path.parse().unwrap();
            entrance.clone().oneshot(request)
        };
        let mut answers = Vec::new();
        for _ in 0..2 {
            answers.push(of("GetVerification").await.unwrap());
        }
        let refused = of("GetVerification").await.unwrap();
        assert_eq!(code(&refused), Code::ResourceExhausted, "its share is two");
        answers.pop();
        // Watches have limits of their own, for as long as they last.
        for _ in 0..5 {
            answers.push(of("WatchVerification").await.unwrap());
            assert!(
                !answers
                    .last()
                    .unwrap()
                    .headers()
                    .contains_key("grpc-status")
            );
        }
        let answer = of("GetVerification").await.unwrap();
        let taken = axum::body::to_bytes(axum::body::Body::new(answer.into_body()), 100).await;
        assert_eq!(taken.unwrap(), "an answer");
        let again = of("GetVerification").await.unwrap();
        assert!(!again.headers().contains_key("grpc-status"));
    }

    #[tokio::test]
    async fn the_key_goes_no_further_and_the_caller_does() {
        let look = service_fn(|request: Request<Body>| async move {
            assert!(!request.headers().contains_key("authorization"));
            assert_eq!(
                request
                    .extensions()
                    .get::<Arc<Caller>>()
                    .unwrap()
                    .name
                    .as_str(),
                "c"
            );
            Ok::<_, Infallible>(Response::new(Body::empty()))
        });
        let response = EntranceLayer::new(parts())
            .layer(look)
            .oneshot(request(None))
            .await
            .unwrap();
        assert!(
            response.headers().contains_key("x-request-id")
                && !response.headers().contains_key("grpc-status")
        );
    }
}
