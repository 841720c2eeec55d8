//! Serves the three listeners and runs the worker; stops in order: not ready, lame duck, drain.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic_health::{ServingStatus, server::HealthReporter};
use tower::Layer as _;

use super::{App, certificates::sections};
use crate::{
    config::Profile,
    domain::time::micros,
    grpc::{
        ADMIN_RESPONSE_BYTES_MAX, AdminHandler, REQUEST_BYTES_MAX, RESPONSE_BYTES_MAX,
        VerificationHandler, WatchLimits,
        entrance::{EntranceLayer, EntranceParts, callers::Callers},
        health,
    },
    http::{
        self,
        pages::{dev::DevPage, link::LinkPage},
    },
    listener::{Listener, ProvedBy, bodies::Bodies, requests::Requests},
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
/// The longest time for the last writes to the store, after the drain. One that does not answer is waited for again
/// with each of them.
const LAST_WRITES_MAX: Duration = Duration::from_secs(5);
/// The time between two checks whether the store answers.
const PROBE_EVERY: Duration = Duration::from_secs(1);
/// The largest number of concurrent HTTP/2 streams in one connection to the admin listener, whose answers are large.
const ADMIN_STREAMS_MAX: u32 = 16;

impl App {
    /// Serves until [`super::Reach::shutdown`] is canceled. Then readiness fails, but calls are still served for the
    /// lame-duck time, so that load balancers notice; after that it drains.
    ///
    /// # Errors
    /// A listener failed while it was serving.
    pub async fn serve(self) -> anyhow::Result<()> {
        let service = self.service.clone();
        let served = Box::pin(self.serve_and_drain()).await;
        // Guesses may be judged and calls refused until the last call has ended.
        let last_writes = async {
            service.flush_guesses().await;
            service.tell_all_refusals().await;
        };
        if tokio::time::timeout(LAST_WRITES_MAX, last_writes)
            .await
            .is_err()
        {
            tracing::warn!("counts of guesses and refusals not written in time; the rest is lost");
        }
        served
    }

    async fn serve_and_drain(self) -> anyhow::Result<()> {
        let (shutdown, drain) = (self.shutdown.clone(), CancellationToken::new());
        let lame_duck = self.settings.grpc.lame_duck;
        let all = self.all_parts(drain.clone()).await?;
        tokio::pin!(all);
        tokio::select! {
            () = &mut all => anyhow::bail!("a listener ended"),
            () = shutdown.cancelled() => {}
        }
        let lame_duck_ms = micros(lame_duck) / 1000;
        tracing::info!(lame_duck_ms, "shutting down; readiness now fails");
        tokio::select! {
            () = &mut all => anyhow::bail!("a listener ended"),
            () = tokio::time::sleep(lame_duck) => {}
        }
        tracing::info!(drain_max_s = DRAIN_MAX.as_secs(), "draining");
        drain.cancel();
        match tokio::time::timeout(DRAIN_MAX, all).await {
            Ok(()) => Ok(()),
            Err(_late) => {
                tracing::warn!("drain exceeded its limit; open calls dropped");
                Ok(())
            }
        }
    }

    /// The listeners and the worker as one future, which ends some time after `drain` is canceled.
    async fn all_parts(self, drain: CancellationToken) -> anyhow::Result<impl Future<Output = ()>> {
        telemetry::register(&self.settings);
        let (reporter, health) = (HealthReporter::new(), drain.clone());
        reporter
            .set_serving::<VerificationServiceServer<VerificationHandler>>()
            .await;
        let health = health::server(reporter.clone(), health);
        let calls = self.entrance().layer(self.grpc_routes(&health, &drain)?);
        let admin_routes = self.admin_routes(health)?;
        let http_routes =
            Routes::from(http::router(self.dev_page(), self.link_page()).merge(self.callbacks()));
        let [grpc, http, admin] = self.fronts();
        let grpc = grpc.serve(self.listeners.grpc, calls, drain.clone());
        let http = http.serve(self.listeners.http, http_routes, drain.clone());
        let admin = admin.serve(self.listeners.admin, admin_routes, drain.clone());
        let probe = probe(self.service, reporter, self.shutdown);
        let upkeep = upkeep(self.metrics, drain.clone());
        let worker = self.worker.run(drain);
        Ok(async {
            tokio::join!(grpc, http, admin, async {
                tokio::join!(worker, probe, upkeep);
            });
        })
    }

    /// The three listeners, in the order of [`sections`]. What strangers hold is bounded over all of them.
    fn fronts(&self) -> [Listener; 3] {
        let bodies = Arc::<Bodies>::default();
        let requests = Arc::<Requests>::default();
        let grpc = &self.settings.grpc;
        let (streams_max, deadline) = (grpc.max_streams, grpc.deadline_max);
        sections(&self.settings).map(|(name, settings)| {
            let front = Listener {
                name,
                settings: settings.clone(),
                tls: self.certificates.acceptor(name),
                proved_by: ProvedBy::CompleteRequest {
                    deadline,
                    refuse: http::refused,
                },
                streams_max,
                bodies: bodies.clone(),
                requests: requests.clone(),
            };
            match name {
                "grpc" => Listener {
                    proved_by: ProvedBy::AdmittedCall,
                    ..front
                },
                "admin" => Listener {
                    streams_max: streams_max.min(ADMIN_STREAMS_MAX),
                    ..front
                },
                _ => front,
            }
        })
    }

    /// The development outbox; `None` in production.
    fn dev_page(&self) -> Option<DevPage> {
        let http = &self.settings.http;
        let public_host = http.public_url.as_ref().and_then(|url| {
            let authority = url.split("://").nth(1)?.split('/').next()?;
            let authority: axum::http::uri::Authority = authority.parse().ok()?;
            Some(
                authority
                    .host()
                    .trim_matches(['[', ']'])
                    .to_ascii_lowercase(),
            )
        });
        let listen = http.listener.listen.ip().to_string();
        let hosts = [listen].into_iter().chain(public_host).collect();
        let outbox = self.outbox.clone()?;
        Some(DevPage { outbox, hosts })
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
            .max_encoding_message_size(ADMIN_RESPONSE_BYTES_MAX);
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
        let address = self.settings.link_page()?;
        Some(LinkPage {
            service: self.service.clone(),
            // The settings are refused if it has none.
            origin: http::pages::link::origin(&address).unwrap_or_default(),
            host_cookie_only: self.settings.http.host_cookie_only,
        })
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

/// Reports to the health service whether the store answers; after the shutdown begins, reports that this
/// process does not serve.
async fn probe(service: Arc<Service>, health: HealthReporter, shutdown: CancellationToken) {
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
