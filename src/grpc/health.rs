//! The health protocol of gRPC, with the answer that it prescribes for watching an unknown service.

use std::pin::Pin;

use futures_util::{Stream, StreamExt as _, stream};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request, Response, Status};
use tonic_health::{
    pb::{
        HealthCheckRequest, HealthCheckResponse,
        health_check_response::ServingStatus,
        health_server::{Health, HealthServer},
    },
    server::{HealthReporter, HealthService},
};

/// The library's health service. It refuses to watch a service that it does not know, but the protocol says that such
/// a stream begins with `SERVICE_UNKNOWN` and stays open.
pub struct Watched {
    inner: HealthService,
    shutdown: CancellationToken,
}

/// The health server for these statuses. Streams about unknown services end when `shutdown` is canceled.
#[must_use]
pub fn server(reporter: HealthReporter, shutdown: CancellationToken) -> HealthServer<Watched> {
    let inner = HealthService::from_health_reporter(reporter);
    HealthServer::new(Watched { inner, shutdown })
}

#[tonic::async_trait]
impl Health for Watched {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        self.inner.check(request).await
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        match self.inner.watch(request).await {
            Ok(response) => Ok(response.map(|statuses| statuses.boxed())),
            Err(status) if status.code() == Code::NotFound => {
                // The services are known from the start, so this one will never be.
                let unknown = HealthCheckResponse {
                    status: ServingStatus::ServiceUnknown.into(),
                };
                let end = self.shutdown.clone().cancelled_owned();
                let silence = stream::once(end).filter_map(|()| async { None });
                let statuses = stream::iter([Ok(unknown)]).chain(silence);
                Ok(Response::new(statuses.boxed()))
            }
            Err(status) => Err(status),
        }
    }
}
