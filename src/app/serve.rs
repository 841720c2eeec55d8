//! Serves the three listeners and the worker, and drains them.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tonic::{service::Routes, transport::ServerTlsConfig};
use tonic_health::ServingStatus;
use tower::Layer as _;

use super::App;
use crate::{
    config::Profile,
    grpc::{
        VerificationHandler,
        entrance::{GuardLayer, GuardParts, callers::Callers},
        transport::{
            bounds::{REQUEST_BYTES_MAX, RESPONSE_BYTES_MAX, bounded},
            listen::accept,
        },
    },
    http::{self, pages::link::LinkPage},
    pb::{self, v1::verification_service_server::VerificationServiceServer},
    service::Service,
};

/// The longest drain: what is then still open is dropped.
const DRAIN_MAX: Duration = Duration::from_secs(30);
/// How often the store is asked whether it answers.
const PROBE_EVERY: Duration = Duration::from_secs(1);
/// Connections of the HTTP and the admin listener together matter less than those of the callers.
const SIDE_CONNECTIONS_MAX: usize = 256;

impl App {
    /// Serves until the shutdown of its [`super::Reach`] is cancelled, then drains.
    ///
    /// # Errors
    /// A listener failed.
    pub async fn serve(self) -> anyhow::Result<()> {
        let shutdown = self.shutdown.clone();
        let (health, health_service) = tonic_health::server::health_reporter();
        health
            .set_serving::<VerificationServiceServer<VerificationHandler>>()
            .await;
        let grpc_routes = self.grpc_routes(&health_service)?;
        let admin_routes = self.admin_routes(health_service)?;
        let http_routes = Routes::from(
            http::router(self.outbox.clone(), self.link_page()).merge(self.callbacks()),
        );
        let grpc = &self.settings.grpc;
        let (streams, deadline) = (grpc.max_streams, grpc.deadline_max);
        let mut front = bounded(streams, deadline);
        if let Some(tls) = &grpc.tls {
            front = front.tls_config(server_tls(tls))?;
        }
        let front = front.add_routes(grpc_routes).serve_with_incoming_shutdown(
            accept(self.listeners.grpc, grpc.max_connections),
            shutdown.clone().cancelled_owned(),
        );
        let side = |routes, listener| {
            bounded(streams, deadline)
                .accept_http1(true)
                .add_routes(routes)
                .serve_with_incoming_shutdown(
                    accept(listener, SIDE_CONNECTIONS_MAX),
                    shutdown.clone().cancelled_owned(),
                )
        };
        let (pages, admin) = (
            side(http_routes, self.listeners.http),
            side(admin_routes, self.listeners.admin),
        );
        let probe = probe(self.service.clone(), health, shutdown.clone());
        let upkeep = upkeep(self.metrics.clone(), shutdown.clone());
        let worker = self.worker.run(shutdown.clone());
        let all = async {
            let (front, pages, admin, ()) = tokio::join!(front, pages, admin, async {
                tokio::join!(worker, probe, upkeep);
            });
            front.and(pages).and(admin)
        };
        tokio::pin!(all);
        tokio::select! {
            ended = &mut all => return ended.context("a listener ended"),
            () = shutdown.cancelled() => tracing::info!("Draining."),
        }
        match tokio::time::timeout(DRAIN_MAX, all).await {
            Ok(ended) => ended.context("a listener ended"),
            Err(_late) => {
                tracing::warn!("The drain took too long; open calls are dropped.");
                Ok(())
            }
        }
    }

    /// The callers' listener: the service behind its guard; in development also what helps to look around.
    fn grpc_routes<H>(
        &self,
        health: &tonic_health::pb::health_server::HealthServer<H>,
    ) -> anyhow::Result<Routes>
    where
        H: tonic_health::pb::health_server::Health,
    {
        let grpc = &self.settings.grpc;
        let names = self
            .credentials
            .iter()
            .map(|credential| credential.caller.name.as_str().to_owned());
        let watches = grpc.max_watches_per_caller;
        let handler =
            VerificationHandler::new(self.service.clone(), names, watches, self.shutdown.clone());
        let service = VerificationServiceServer::new(handler)
            .max_decoding_message_size(REQUEST_BYTES_MAX)
            .max_encoding_message_size(RESPONSE_BYTES_MAX);
        let guard = GuardLayer(Arc::new(GuardParts {
            callers: Callers::new(self.credentials.clone(), self.settings.shield),
            in_flight: Semaphore::new(grpc.max_in_flight),
            deadline_default: grpc.deadline_default,
            deadline_max: grpc.deadline_max,
            entropy: self.machine.entropy.clone(),
        }));
        let mut routes = Routes::builder();
        routes.add_service(guard.layer(service));
        if self.settings.profile == Profile::Development {
            add_reflection(&mut routes)?;
            routes.add_service(health.clone());
        }
        Ok(routes.routes())
    }

    /// The page of links, if any action has them.
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

    /// The operators' listener: health, reflection, metrics.
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
        let pages = http::admin::router(move || metrics.render(), service, shutdown);
        // The gRPC router answers UNIMPLEMENTED to what it does not know; the pages answer 404.
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

/// Both versions of the reflection protocol: some clients speak only the older one.
fn add_reflection(routes: &mut tonic::service::RoutesBuilder) -> anyhow::Result<()> {
    let builder = || {
        // The error details too, so that generic clients can show them.
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

fn server_tls(tls: &crate::config::TlsIdentity) -> ServerTlsConfig {
    let identity = tonic::transport::Identity::from_pem(&tls.chain, tls.key.expose());
    ServerTlsConfig::new()
        .identity(identity)
        .timeout(Duration::from_secs(5))
}

/// Tells the health service whether the store answers.
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

/// Histograms are kept small.
async fn upkeep(
    metrics: metrics_exporter_prometheus::PrometheusHandle,
    shutdown: CancellationToken,
) {
    loop {
        metrics.run_upkeep();
        tokio::select! {
            () = tokio::time::sleep(5 * PROBE_EVERY) => {}
            () = shutdown.cancelled() => return,
        }
    }
}
