//! `countersign serve`: prints the addresses, serves, and stops on SIGTERM or Ctrl-C.

mod banner;

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use self::banner::Banner;
use super::say;
use crate::{
    app::{App, Machine},
    config::Settings,
    telemetry,
};

/// Runs the service until it is stopped.
pub(super) fn run(settings: Settings) -> anyhow::Result<()> {
    telemetry::init(&settings.log)?;
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .ok();
    for warning in settings.warnings() {
        tracing::warn!(
            key = warning.key,
            what = warning.what,
            "questionable setting"
        );
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let drained = runtime.block_on(async {
        // Before anything else, because by default SIGHUP ends the process.
        let hangup = signal(SignalKind::hangup()).context("cannot listen for SIGHUP")?;
        let banner = Banner::of(&settings);
        let app = App::build(settings, Machine::default()).await?;
        let reach = app.reach()?;
        let at_once = follow_signals(hangup, reach.shutdown.clone())?;
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
            () = at_once.cancelled() => Ok::<_, anyhow::Error>(false),
        }
    })?;
    if drained {
        tracing::info!("service stopped");
    } else {
        tracing::warn!("second signal: stopped without draining, open calls dropped");
        runtime.shutdown_background();
    }
    Ok(())
}

/// Cancels `shutdown` on the first SIGTERM or Ctrl-C, and the returned token on the second. Only logs SIGHUP.
fn follow_signals(
    mut hangup: Signal,
    shutdown: CancellationToken,
) -> anyhow::Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let at_once = CancellationToken::new();
    let told = at_once.clone();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = hangup.recv() => {
                    tracing::warn!("SIGHUP ignored: changed settings need a restart");
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
