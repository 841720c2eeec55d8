//! `countersign serve`: says where everything is, serves, and drains on SIGTERM or Ctrl-C.

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::say;
use crate::{
    app::{App, Machine, Reach},
    config::{Profile, Settings},
    telemetry,
};

/// Runs the service until it is told to stop.
pub(super) fn run(settings: Settings) -> anyhow::Result<()> {
    telemetry::init(&settings.log)?;
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .ok();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(async {
        let banner = Banner::of(&settings);
        let app = App::build(settings, Machine::default()).await?;
        let reach = app.reach()?;
        stop_on_signal(reach.shutdown.clone())?;
        say(&banner.text(&reach));
        Box::pin(app.serve()).await
    })
}

fn stop_on_signal(shutdown: CancellationToken) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        shutdown.cancel();
    });
    Ok(())
}

/// What is said at the start.
struct Banner {
    development: bool,
    data_dir: String,
}

impl Banner {
    fn of(settings: &Settings) -> Self {
        Self {
            development: settings.profile == Profile::Development,
            data_dir: settings.data_dir.display().to_string(),
        }
    }

    fn text(&self, reach: &Reach) -> String {
        let Reach {
            grpc, http, admin, ..
        } = reach;
        let version = env!("CARGO_PKG_VERSION");
        let profile = if self.development {
            "development"
        } else {
            "production"
        };
        let mut text = format!(
            "countersign {version}, profile {profile}, listening\n  gRPC   {grpc}\n  HTTP   http://{http}\n  admin  http://{admin} \
             (/metrics, /livez, /readyz)\n  data   {}",
            self.data_dir
        );
        if let Some(key) = &reach.development_key {
            text.push_str(&commands(key, &self.data_dir, reach));
        }
        text
    }
}

/// Three commands to copy: start, read the code, check it.
fn commands(key: &str, data_dir: &str, reach: &Reach) -> String {
    let Reach { grpc, http, .. } = reach;
    let call = format!("grpcurl -plaintext -H 'authorization: Bearer {key}'");
    format!(
        r#"
  key    {key}  (also in {data_dir}/development.key)
  outbox http://{http}/dev  (messages are shown there and sent to nobody)

Try it (grpcurl is one way; `countersign demo` needs nothing):
  {call} -d '{{"subject":"customer-1","action":"login","request_id":"r1","recipients":[{{"channel":"CHANNEL_EMAIL","address":"anna@example.org"}}]}}' {grpc} countersign.v1.VerificationService/StartVerification
  curl -s http://{http}/dev/outbox   # shows the verification_id and the code for the next call
  {call} -d '{{"verification_id":"VRF","code":"CODE","entry_mode":"ENTRY_MODE_PORTAL","attempt_id":"a1"}}' {grpc} countersign.v1.VerificationService/CheckCode
"#
    )
}
