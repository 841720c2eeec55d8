//! The layer before every handler of the callers' listener: limits, authentication, permission, deadline, panics,
//! log, metrics.

pub mod callers;
mod line;
mod measure;

use std::{
    collections::HashMap,
    convert::Infallible,
    net::SocketAddr,
    panic::AssertUnwindSafe,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use futures_util::{FutureExt, future::BoxFuture};
use http::{Extensions, HeaderValue, Request, Response};
use tokio::sync::Semaphore;
use tonic::{body::Body, transport::server::TcpConnectInfo};
use tower::{Layer, Service};
use tracing::Instrument;

use super::{entrance::callers::Callers, status::status, throttle::Throttle};
use crate::{
    domain::{
        caller::{
            Caller,
            permission::{self, Access, METHODS, Method},
        },
        ids::CallerName,
    },
    ports::system::{Entropy, fresh},
    service::failure::{Busy, Denied, Failure},
};

pub(super) use line::stream_ended;
use measure::Durations;

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
            in_flight: Semaphore::new(parts.calls_max),
            of_callers: parts
                .callers
                .names()
                .map(|name| (name.clone(), Semaphore::new(parts.calls_per_caller)))
                .collect(),
            durations: Durations::new(),
            throttle: Throttle::new(),
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
    in_flight: Semaphore,
    /// The calls that each caller may still have in progress.
    of_callers: HashMap<CallerName, Semaphore>,
    durations: Durations,
    throttle: Throttle,
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

impl<S> Service<Request<Body>> for Entrance<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        // Only this instance was polled until it was ready, so it handles the call and the clone replaces it.
        let clone = self.inner.clone();
        let inner = std::mem::replace(&mut self.inner, clone);
        let shared = self.shared.clone();
        Box::pin(async move {
            let call = Arrival {
                place: permission::place(request.uri().path()),
                peer: peer(request.extensions()),
                begun: Instant::now(),
            };
            let request_id = RequestId::new(&*shared.parts.entropy);
            let span = tracing::info_span!(
                "call",
                x_request_id = request_id.as_str(),
                method = call.name()
            );
            async {
                let (mut response, caller) = shared.answer(inner, request, &call).await;
                let caller = caller.as_deref();
                shared.record(&call, caller, &response);
                if let Ok(value) = HeaderValue::from_str(request_id.as_str()) {
                    response.headers_mut().insert("x-request-id", value);
                }
                Ok(response)
            }
            .instrument(span)
            .await
        })
    }
}

impl Shared {
    /// Passes the call on, or answers it; also returns the caller, if known.
    async fn answer<S>(
        &self,
        mut inner: S,
        mut request: Request<Body>,
        call: &Arrival,
    ) -> (Response<Body>, Option<Arc<Caller>>)
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    {
        let Ok(_permit) = self.in_flight.try_acquire() else {
            let busy = Busy::Calls(self.parts.calls_max);
            return (refuse(Failure::Overloaded(busy)), None);
        };
        let caller = match self.admit(&request, call) {
            Ok(caller) => caller,
            Err((failure, caller)) => return (refuse(failure), caller),
        };
        let share = caller
            .as_ref()
            .and_then(|caller| self.of_callers.get(&caller.name));
        let Ok(_own_permit) = share.map(Semaphore::try_acquire).transpose() else {
            let busy = Busy::CallsOfCaller(self.parts.calls_per_caller);
            return (refuse(Failure::Overloaded(busy)), caller);
        };
        // The handlers never see the API key.
        request.headers_mut().remove(http::header::AUTHORIZATION);
        if let Some(caller) = &caller {
            request.extensions_mut().insert(caller.clone());
        }
        let brought = request
            .headers()
            .get("grpc-timeout")
            .and_then(|value| deadline(value.to_str().ok()?));
        let limit = brought
            .unwrap_or(self.parts.deadline_default)
            .min(self.parts.deadline_max);
        // The transport enforces the same deadline, but reports it as CANCELLED; so this timeout ends just before it.
        let just_before = limit.saturating_sub(Duration::from_millis(1));
        let work = AssertUnwindSafe(inner.call(request)).catch_unwind();
        let response = match tokio::time::timeout(just_before, work).await {
            Ok(Ok(Ok(response))) => response,
            Ok(Err(_panic)) => {
                metrics::counter!("countersign_panics_total").increment(1);
                tracing::error!("call panicked");
                refuse(Failure::Internal)
            }
            Err(_late) => refuse(Failure::DeadlineExceeded { limit }),
        };
        (response, caller)
    }

    /// Authenticates the caller and checks its permission. `None` as caller: the method is open in development.
    fn admit(
        &self,
        request: &Request<Body>,
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
        let allowed = method.map_or(&[][..], Method::roles);
        if caller.roles.has_any(allowed) {
            Ok(Some(caller.clone()))
        } else {
            let denied = Failure::RoleMissing(Denied::Method(allowed));
            Err((denied, Some(caller.clone())))
        }
    }
}

/// The address of the other end of the connection.
fn peer(extensions: &Extensions) -> Option<SocketAddr> {
    extensions.get::<TcpConnectInfo>()?.remote_addr
}

/// The id of a request: 16 random hexadecimal digits.
struct RequestId([u8; 16]);

impl RequestId {
    fn new(entropy: &dyn Entropy) -> Self {
        let mut digits = [b'0'; 16];
        // Cannot fail: the lengths match.
        let _ = hex::encode_to_slice(fresh::<8>(entropy), &mut digits);
        Self(digits)
    }

    fn as_str(&self) -> &str {
        str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// Parses a deadline in gRPC's format: at most eight digits and a unit.
fn deadline(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let number: u64 = Some(digits)
        .filter(|digits| digits.len() <= 8)?
        .parse()
        .ok()?;
    Some(match unit {
        "H" => Duration::from_secs(number * 3600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
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
            key_sha256: api_key_hash(key),
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
