//! Serves the three listeners and runs the worker; stops in order: not ready, lame duck, drain.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic_health::ServingStatus;

use super::App;
use crate::{
    config::{Profile, TlsIdentity},
    domain::time::micros,
    grpc::{
        AdminHandler, VerificationHandler, WatchLimits,
        entrance::{EntranceLayer, EntranceParts, callers::Callers},
        transport::{
            bounds::{REQUEST_BYTES_MAX, RESPONSE_BYTES_MAX, bounded},
            listen::accept,
            tls::{self, TlsError},
        },
    },
    http::{self, pages::link::LinkPage},
    pb::{
        self,
        v1::{
            admin_service_server::AdminServiceServer,
            verification_service_server::VerificationServiceServer,
        },
    },
    service::Service,
    telemetry::{self, Metrics},
};

/// The longest drain; calls that are still open then are dropped.
const DRAIN_MAX: Duration = Duration::from_secs(30);
/// The time between two checks whether the store answers.
const PROBE_EVERY: Duration = Duration::from_secs(1);
/// The connection limit of the HTTP listener and of the admin listener; fewer are needed than for callers.
const SIDE_CONNECTIONS_MAX: usize = 256;

impl App {
    /// Serves until [`super::Reach::shutdown`] is canceled. Then readiness fails, but calls are still served for the
    /// lame-duck time, so that load balancers notice; after that it drains.
    ///
    /// # Errors
    /// A listener failed while it was serving.
    pub async fn serve(self) -> anyhow::Result<()> {
        let (shutdown, drain) = (self.shutdown.clone(), CancellationToken::new());
        let lame_duck = self.settings.grpc.lame_duck;
        let all = self.all_parts(drain.clone()).await?;
        tokio::pin!(all);
        tokio::select! {
            ended = &mut all => return ended.context("a listener ended"),
            () = shutdown.cancelled() => {}
        }
        let lame_duck_ms = micros(lame_duck) / 1000;
        tracing::info!(lame_duck_ms, "shutting down; readiness now fails");
        tokio::select! {
            ended = &mut all => return ended.context("a listener ended"),
            () = tokio::time::sleep(lame_duck) => {}
        }
        tracing::info!(drain_max_s = DRAIN_MAX.as_secs(), "draining");
        drain.cancel();
        match tokio::time::timeout(DRAIN_MAX, all).await {
            Ok(ended) => ended.context("a listener ended"),
            Err(_late) => {
                tracing::warn!("drain exceeded its limit; open calls dropped");
                Ok(())
            }
        }
    }

    /// The listeners and the worker as one future, which ends some time after `drain` is canceled.
    async fn all_parts(
        self,
        drain: CancellationToken,
    ) -> anyhow::Result<impl Future<Output = Result<(), tonic::transport::Error>>> {
        telemetry::register(&self.settings);
        let (health, health_service) = tonic_health::server::health_reporter();
        health
            .set_serving::<VerificationServiceServer<VerificationHandler>>()
            .await;
        let grpc_routes = self.grpc_routes(&health_service, &drain)?;
        let admin_routes = self.admin_routes(health_service)?;
        let http_routes = Routes::from(
            http::router(self.outbox.clone(), self.link_page()).merge(self.callbacks()),
        );
        let grpc = &self.settings.grpc;
        let (streams, deadline) = (grpc.max_streams, grpc.deadline_max);
        let tls = grpc.tls.as_ref().map(server_tls).transpose();
        let tls = tls.map_err(|error| anyhow::anyhow!("grpc.{}: {error}", error.setting()))?;
        let front = bounded(streams, deadline)
            .layer(self.entrance())
            .add_routes(grpc_routes)
            .serve_with_incoming_shutdown(
                accept(self.listeners.grpc, grpc.max_connections, tls),
                drain.clone().cancelled_owned(),
            );
        let side = |routes, listener| {
            bounded(streams, deadline)
                .accept_http1(true)
                .add_routes(routes)
                .serve_with_incoming_shutdown(
                    accept(listener, SIDE_CONNECTIONS_MAX, None),
                    drain.clone().cancelled_owned(),
                )
        };
        let (pages, admin) = (
            side(http_routes, self.listeners.http),
            side(admin_routes, self.listeners.admin),
        );
        let probe = probe(self.service, health, self.shutdown);
        let upkeep = upkeep(self.metrics, drain.clone());
        let worker = self.worker.run(drain);
        Ok(async {
            let (front, pages, admin, ()) = tokio::join!(front, pages, admin, async {
                tokio::join!(worker, probe, upkeep);
            });
            front.and(pages).and(admin)
        })
    }

    /// The layer that every call on the callers' listener passes first.
    fn entrance(&self) -> EntranceLayer {
        let grpc = &self.settings.grpc;
        EntranceLayer::new(EntranceParts {
            callers: Callers::new(self.credentials.clone(), self.settings.shield),
            development: self.settings.profile == Profile::Development,
            calls_max: grpc.max_in_flight,
            calls_per_caller: grpc.max_in_flight_per_caller,
            deadline_default: grpc.deadline_default,
            deadline_max: grpc.deadline_max,
            entropy: self.machine.entropy.clone(),
        })
    }

    /// The services on the callers' listener; in development also health and reflection.
    fn grpc_routes<H>(
        &self,
        health: &tonic_health::pb::health_server::HealthServer<H>,
        drain: &CancellationToken,
    ) -> anyhow::Result<Routes>
    where
        H: tonic_health::pb::health_server::Health,
    {
        let grpc = &self.settings.grpc;
        let names = self
            .credentials
            .iter()
            .map(|credential| credential.caller.name.as_str().to_owned());
        let watches = WatchLimits {
            total: grpc.max_watches,
            per_caller: grpc.max_watches_per_caller,
        };
        let handler = VerificationHandler::new(self.service.clone(), names, watches, drain.clone());
        let service = VerificationServiceServer::new(handler)
            .max_decoding_message_size(REQUEST_BYTES_MAX)
            .max_encoding_message_size(RESPONSE_BYTES_MAX);
        let admin = AdminServiceServer::new(AdminHandler::new(self.service.clone()))
            .max_decoding_message_size(REQUEST_BYTES_MAX)
            .max_encoding_message_size(RESPONSE_BYTES_MAX);
        let mut routes = Routes::builder();
        routes.add_service(service).add_service(admin);
        if self.settings.profile == Profile::Development {
            add_reflection(&mut routes)?;
            routes.add_service(health.clone());
        }
        Ok(routes.routes())
    }

    /// The page that links in e-mails open; `None` if no action has links.
    fn link_page(&self) -> Option<LinkPage> {
        let messages = &self.settings.messages;
        let (brand, default_language) = (messages.brand.clone(), messages.default_language.clone());
        let page = LinkPage {
            service: self.service.clone(),
            brand,
            default_language,
        };
        self.settings.link_page().map(|_address| page)
    }

    /// The routes of the operators' listener: health, metrics, and in development reflection.
    fn admin_routes<H>(
        &self,
        health: tonic_health::pb::health_server::HealthServer<H>,
    ) -> anyhow::Result<Routes>
    where
        H: tonic_health::pb::health_server::Health,
    {
        let mut routes = Routes::builder();
        routes.add_service(health);
        if self.settings.profile == Profile::Development {
            add_reflection(&mut routes)?;
        }
        let (metrics, service, shutdown) = (
            self.metrics.clone(),
            self.service.clone(),
            self.shutdown.clone(),
        );
        let render = {
            let service = service.clone();
            move || {
                service.measure();
                metrics.render()
            }
        };
        let pages = http::admin::router(render, service, shutdown);
        // The gRPC router answers UNIMPLEMENTED to unknown paths; after the reset they get 404.
        Ok(Routes::from(
            routes
                .routes()
                .prepare()
                .into_axum_router()
                .reset_fallback()
                .merge(pages),
        ))
    }
}

/// Adds both versions of the reflection protocol, because some clients know only the older one.
fn add_reflection(routes: &mut tonic::service::RoutesBuilder) -> anyhow::Result<()> {
    let builder = || {
        // Includes the error details, so that generic clients can show them.
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(pb::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    routes
        .add_service(builder().build_v1()?)
        .add_service(builder().build_v1alpha()?);
    Ok(())
}

/// The encryption of the callers' listener.
///
/// # Errors
/// If the files hold no certificate, no key, or two that do not belong together.
pub(super) fn server_tls(identity: &TlsIdentity) -> Result<TlsAcceptor, TlsError> {
    tls::acceptor(&identity.chain, identity.key.expose().as_bytes())
}

/// Reports to the health service whether the store answers; after the shutdown begins, reports that this
/// process does not serve.
async fn probe(
    service: Arc<Service>,
    health: tonic_health::server::HealthReporter,
    shutdown: CancellationToken,
) {
    const NAME: &str = "countersign.v1.VerificationService";
    loop {
        let well = service.serves().await.is_ok();
        let status = if well {
            ServingStatus::Serving
        } else {
            ServingStatus::NotServing
        };
        health.set_service_status(NAME, status).await;
        health.set_service_status("", status).await;
        tokio::select! {
            () = tokio::time::sleep(PROBE_EVERY) => {}
            () = shutdown.cancelled() => break,
        }
    }
    health
        .set_service_status(NAME, ServingStatus::NotServing)
        .await;
    health
        .set_service_status("", ServingStatus::NotServing)
        .await;
}

/// Runs the upkeep of the metrics regularly, so that histograms stay small.
async fn upkeep(metrics: Metrics, drain: CancellationToken) {
    loop {
        metrics.run_upkeep();
        tokio::select! {
            () = tokio::time::sleep(5 * PROBE_EVERY) => {}
            () = drain.cancelled() => return,
        }
    }
}
