//! The layer in front of every handler: limits, caller, role, deadline, panic, log line, metrics.

pub mod callers;

use std::{
    convert::Infallible,
    panic::AssertUnwindSafe,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use futures_util::{FutureExt, future::BoxFuture};
use http::{HeaderValue, Request, Response};
use tokio::sync::Semaphore;
use tonic::{Code, body::Body, server::NamedService};
use tower::{Layer, Service};
use tracing::Instrument;

use super::{calls::Call, entrance::callers::Callers, status::status};
use crate::{
    domain::caller::Caller,
    ports::system::{Entropy, fresh},
    service::failure::Failure,
};

/// What the guard needs.
pub struct GuardParts {
    /// The callers.
    pub callers: Callers,
    /// Calls in flight on this process, over all connections.
    pub in_flight: Semaphore,
    /// The deadline of a call that brings none.
    pub deadline_default: Duration,
    /// The longest that a call may bring.
    pub deadline_max: Duration,
    /// For request ids.
    pub entropy: Arc<dyn Entropy>,
}

/// Puts the guard in front of a service.
#[derive(Clone)]
pub struct GuardLayer(pub Arc<GuardParts>);

impl<S> Layer<S> for GuardLayer {
    type Service = Guard<S>;

    fn layer(&self, inner: S) -> Guard<S> {
        Guard {
            inner,
            parts: self.0.clone(),
        }
    }
}

/// A guarded service.
#[derive(Clone)]
pub struct Guard<S> {
    inner: S,
    parts: Arc<GuardParts>,
}

impl<S: NamedService> NamedService for Guard<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<Request<Body>> for Guard<S>
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
        // The clone takes the place of the instance that said it is ready.
        let clone = self.inner.clone();
        let inner = std::mem::replace(&mut self.inner, clone);
        let parts = self.parts.clone();
        Box::pin(async move {
            let begun = Instant::now();
            let request_id = hex::encode(fresh::<8>(&*parts.entropy));
            let call = Call::of(request.uri().path()).map_or("unknown", Call::as_str);
            let span =
                tracing::info_span!("call", request_id, call, caller = tracing::field::Empty);
            async {
                let (response, caller) = parts.answer(inner, request).await;
                record(call, caller.as_deref(), &response, begun.elapsed());
                Ok(with_request_id(response, &request_id))
            }
            .instrument(span)
            .await
        })
    }
}

impl GuardParts {
    /// Lets the call through, or answers in its place.
    async fn answer<S>(
        &self,
        mut inner: S,
        mut request: Request<Body>,
    ) -> (Response<Body>, Option<Arc<Caller>>)
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    {
        let Ok(_permit) = self.in_flight.try_acquire() else {
            return (refuse(&Failure::Overloaded), None);
        };
        let caller = match self.admit(&mut request) {
            Ok(caller) => caller,
            Err(failure) => return (refuse(&failure), None),
        };
        let brought = request
            .headers()
            .get("grpc-timeout")
            .and_then(|value| deadline(value.to_str().ok()?));
        // The transport keeps the same deadline but calls its end CANCELLED: this one comes just before.
        let limit = brought
            .unwrap_or(self.deadline_default)
            .min(self.deadline_max)
            .saturating_sub(Duration::from_millis(1));
        let work = AssertUnwindSafe(inner.call(request)).catch_unwind();
        let response = match tokio::time::timeout(limit, work).await {
            Ok(Ok(Ok(response))) => response,
            Ok(Err(_panic)) => {
                metrics::counter!("countersign_panics_total").increment(1);
                tracing::error!("A call panicked.");
                refuse(&Failure::Internal)
            }
            Err(_late) => refuse(&Failure::DeadlineExceeded),
        };
        (response, Some(caller))
    }

    /// Who calls, and may they? The key goes no further than here.
    fn admit(&self, request: &mut Request<Body>) -> Result<Arc<Caller>, Failure> {
        let caller = self.callers.admit(request.headers())?;
        tracing::Span::current().record("caller", caller.name.as_str());
        if let Some(call) = Call::of(request.uri().path())
            && !caller.roles.has_any(call.roles())
        {
            return Err(Failure::RoleMissing);
        }
        request.headers_mut().remove(http::header::AUTHORIZATION);
        request.extensions_mut().insert(caller.clone());
        Ok(caller)
    }
}

/// A deadline as gRPC writes it: at most eight digits and a unit.
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

fn refuse(failure: &Failure) -> Response<Body> {
    status(failure).into_http()
}

fn with_request_id(mut response: Response<Body>, request_id: &str) -> Response<Body> {
    if let Ok(value) = HeaderValue::from_str(request_id) {
        response.headers_mut().insert("x-request-id", value);
    }
    response
}

/// One line and two series for each call; the caller's name is of the settings, so the series are bounded.
fn record(call: &'static str, caller: Option<&Caller>, response: &Response<Body>, took: Duration) {
    // The code stands in the headers of a refusal, and in trailers (then OK) after an answer.
    let code = response
        .headers()
        .get("grpc-status")
        .map_or(Code::Ok, |value| Code::from_bytes(value.as_bytes()));
    let caller = caller.map_or_else(
        || "unknown".to_owned(),
        |caller| caller.name.as_str().to_owned(),
    );
    let code_name = format!("{code:?}");
    metrics::counter!("countersign_calls_total", "call" => call, "caller" => caller, "code" => code_name.clone()).increment(1);
    metrics::histogram!("countersign_call_duration_seconds", "call" => call)
        .record(took.as_secs_f64());
    let duration_us = crate::domain::time::micros(took);
    // What went well is counted above; a line for each would only cost.
    if code == Code::Ok {
        tracing::debug!(code = code_name, duration_us, "The call was answered.");
    } else {
        tracing::info!(code = code_name, duration_us, "The call was refused.");
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

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

    fn guard_parts() -> GuardParts {
        let caller = Caller {
            name: CallerName::parse("c").unwrap(),
            tenant: TenantId::parse("t").unwrap(),
            roles: Roles::new(vec![Role::Frontend]),
        };
        let credential = Credential {
            caller,
            key_sha256: api_key_hash("key"),
        };
        let many = NonZeroU32::MAX;
        GuardParts {
            callers: Callers::new(
                vec![credential],
                ShieldRate {
                    calls_per_s: many,
                    burst: many,
                },
            ),
            in_flight: Semaphore::new(1),
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
        let guard = GuardLayer(Arc::new(guard_parts())).layer(never);
        for (timeout, seconds) in [
            (None, 5),
            (Some("0n"), 0),
            (Some("100m"), 0),
            (Some("2S"), 2),
            (Some("1H"), 30),
            (Some("x"), 5),
        ] {
            let begun = tokio::time::Instant::now();
            let response = guard.clone().oneshot(request(timeout)).await.unwrap();
            assert_eq!(code(&response), Code::DeadlineExceeded, "{timeout:?}");
            assert!(
                begun.elapsed().as_secs().abs_diff(seconds) <= 1,
                "{timeout:?} took {:?}",
                begun.elapsed()
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn net_02_calls_in_flight_above_the_limit_are_shed() {
        let never = service_fn(|_| std::future::pending::<Result<Response<Body>, Infallible>>());
        let guard = GuardLayer(Arc::new(guard_parts())).layer(never);
        let first = tokio::spawn(guard.clone().oneshot(request(None)));
        tokio::task::yield_now().await;
        let second = guard.clone().oneshot(request(None)).await.unwrap();
        assert_eq!(code(&second), Code::ResourceExhausted);
        assert_eq!(code(&first.await.unwrap().unwrap()), Code::DeadlineExceeded);
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
        let response = GuardLayer(Arc::new(guard_parts()))
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
