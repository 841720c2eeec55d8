//! `countersign serve`: prints the addresses, serves, and stops on SIGTERM or Ctrl-C.

mod banner;

use anyhow::Context as _;
use tokio::{
    runtime::Runtime,
    signal::unix::{Signal, SignalKind, signal},
};
use tokio_util::sync::CancellationToken;

use self::banner::Banner;
use super::say;
use crate::{
    app::{App, Machine, Reach},
    config::{Mistake, Settings},
    telemetry,
};

/// A process that is about to serve. It ignores SIGHUP, which by default would end it, while the settings are read.
pub(super) struct Process {
    runtime: Runtime,
    hangup: Signal,
}

impl Process {
    pub(super) fn begin() -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .context("cannot start the runtime")?;
        let entered = runtime.enter();
        let hangup = signal(SignalKind::hangup()).context("cannot listen for SIGHUP")?;
        drop(entered);
        Ok(Self { runtime, hangup })
    }

    /// Runs the service until it is stopped.
    pub(super) fn run(self, settings: Settings, warnings: &[Mistake]) -> anyhow::Result<()> {
        telemetry::init(&settings.log)?;
        rustls::crypto::aws_lc_rs::default_provider()
            .install_default()
            .ok();
        for Mistake { key, what } in warnings {
            tracing::warn!(key, what, "questionable setting");
        }
        let Self { runtime, hangup } = self;
        if runtime.block_on(serve(settings, hangup))? {
            tracing::info!("service stopped");
        } else {
            tracing::warn!("second signal: stopped without draining, open calls dropped");
            runtime.shutdown_background();
        }
        Ok(())
    }
}

/// Serves until the first signal and drains. Returns `false` if a second signal ended that early.
async fn serve(settings: Settings, hangup: Signal) -> anyhow::Result<bool> {
    let banner = Banner::of(&settings);
    let app = App::build(settings, Machine::default()).await?;
    let reach = app.reach()?;
    let at_once = follow_signals(hangup, &reach)?;
    say(&banner.text(&reach));
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        profile = banner.profile,
        grpc = %reach.grpc,
        http = %reach.http,
        admin = %reach.admin,
        "service started"
    );
    tokio::select! {
        served = Box::pin(app.serve()) => served.map(|()| true),
        () = at_once.cancelled() => Ok(false),
    }
}

/// Shuts down on the first SIGTERM or Ctrl-C, and cancels the returned token on the second. On SIGHUP, reads the
/// certificates again.
fn follow_signals(mut hangup: Signal, reach: &Reach) -> anyhow::Result<CancellationToken> {
    let (shutdown, certificates) = (reach.shutdown.clone(), reach.certificates.clone());
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let at_once = CancellationToken::new();
    let told = at_once.clone();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = hangup.recv() => {
                    if !certificates.reload() {
                        tracing::warn!("SIGHUP ignored: changed settings need a restart");
                    }
                    continue;
                }
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if shutdown.is_cancelled() {
                told.cancel();
                return;
            }
            shutdown.cancel();
        }
    });
    Ok(at_once)
}
