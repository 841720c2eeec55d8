//! The command line: parses arguments, runs one command, and converts its result to an exit code.

mod audit;
mod client;
mod demo;
mod serve;
mod subject;
mod usage;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Parser, Subcommand};

use crate::{
    app,
    config::{self, Mistake, Settings},
    keys,
};

use audit::AuditCommand;
use client::{Client, ClientArguments};
use subject::SubjectCommand;

/// The exit code for settings or arguments that cannot be used: a restart would not help.
const EXIT_SETTINGS: u8 = 2;
/// The exit code for every other failure.
const EXIT_FAILURE: u8 = 1;

/// Self-hosted step-up authentication: one-time codes from start to approval.
#[derive(Parser)]
#[command(name = "countersign", version, arg_required_else_help = false)]
struct Arguments {
    /// The settings file (TOML). Without one, the documented defaults apply.
    #[arg(long, env = "COUNTERSIGN_CONFIG", global = true)]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Serve until SIGTERM or Ctrl-C (the default).
    Serve,
    /// Check the settings: report all mistakes at once, and print the effective settings with secrets masked.
    CheckConfig {
        /// Also connect to the store, and report problems of its servers.
        #[arg(long)]
        store: bool,
    },
    /// Manage the store of verifications and failure counts.
    Store {
        #[command(subcommand)]
        command: StoreCommand,
    },
    /// Run a complete verification against a service in this process, and explain each step.
    Demo,
    /// Generate keys, and see which of them are in use.
    Keys {
        #[command(subcommand)]
        command: KeysCommand,
    },
    /// Show a customer's failures, or unlock a customer who is locked out. A client of a running service; the caller
    /// needs the role admin.
    Subject {
        #[command(subcommand)]
        command: SubjectCommand,
    },
    /// Read the audit trail. A client of a running service; the caller needs the role auditor or admin.
    Audit {
        #[command(subcommand)]
        command: AuditCommand,
    },
    /// Print the version of this program.
    Version,
}

#[derive(Subcommand)]
enum StoreCommand {
    /// Set up an empty store on Redis, once. In production the service does not start on an empty store, because it may have lost its data.
    Init {
        /// The store is empty because it lost its data: for a day, failure counts start at half the limit.
        #[arg(long)]
        after_loss: bool,
    },
}

#[derive(Subcommand)]
enum KeysCommand {
    /// Generate a master secret, and a names secret unless there is one, each in its own file. Existing files are never
    /// overwritten.
    Generate {
        /// The directory for the files.
        #[arg(long)]
        out: PathBuf,
        /// The id of the master secret: 1 to 16 of a-z, 0-9 and `-`.
        #[arg(long)]
        kid: String,
    },
    /// Generate an API key for a caller, and print it with the hash for the settings.
    ApiKey,
    /// Count the stored records and events by the key that they are sealed with, before a key leaves `keys.ring`. An
    /// embedded store must not be in use meanwhile; Redis may be.
    Usage {
        /// Print JSON instead of a table.
        #[arg(long)]
        json: bool,
    },
}

/// Parses the arguments and runs the command in them.
#[must_use]
pub fn run() -> ExitCode {
    let arguments = Arguments::parse();
    let file = arguments.config.as_deref();
    let done = match arguments.command.unwrap_or(Command::Serve) {
        Command::Serve => serve::Process::begin()
            .map_err(|error| failed(&error))
            .and_then(|process| {
                let (settings, warnings) = load(file)?;
                process
                    .run(settings, &warnings)
                    .map_err(|error| failed(&error))
            }),
        Command::CheckConfig { store } => {
            load(file).and_then(|(settings, warnings)| check_config(&settings, &warnings, store))
        }
        Command::Store {
            command: StoreCommand::Init { after_loss },
        } => load_only(file)
            .and_then(|settings| store_init(&settings, after_loss).map_err(|error| failed(&error))),
        Command::Demo => demo::run().map_err(|error| failed(&error)),
        Command::Keys {
            command: KeysCommand::Usage { json },
        } => load_only(file).and_then(|settings| {
            on_runtime(usage::run(&settings, json)).map_err(|error| failed(&error))
        }),
        Command::Keys {
            command: KeysCommand::Generate { out, kid },
        } => make_keys(&out, &kid).map_err(|error| failed(&error)),
        Command::Keys {
            command: KeysCommand::ApiKey,
        } => {
            make_api_key();
            Ok(())
        }
        Command::Subject { command } => {
            on_service(command.client(), async |client| command.run(client).await)
        }
        Command::Audit { command } => {
            on_service(command.client(), async |client| command.run(client).await)
        }
        Command::Version => {
            say(concat!("countersign ", env!("CARGO_PKG_VERSION")));
            Ok(())
        }
    };
    done.map_or_else(ExitCode::from, |()| ExitCode::SUCCESS)
}

/// Prints a line. A closed standard output, as with `head`, is no failure.
fn say(text: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stdout(), "{text}");
}

fn complain(text: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "{text}");
}

fn failed(error: &anyhow::Error) -> u8 {
    complain(&format!("countersign: {error:#}"));
    EXIT_FAILURE
}

/// Reads the settings and the files that they name, and reports all mistakes together. Returns warnings with them.
fn load(file: Option<&Path>) -> Result<(Settings, Vec<Mistake>), u8> {
    let (settings, mut mistakes) = config::read(file, environment());
    let mut warnings = Vec::new();
    if let Some(settings) = &settings {
        let found = app::findings(settings, &mistakes);
        mistakes.add(found.mistakes);
        warnings = found.warnings;
    }
    match settings {
        Some(settings) if mistakes.0.is_empty() => Ok((settings, warnings)),
        Some(_) | None => {
            complain(&mistakes.to_string());
            Err(EXIT_SETTINGS)
        }
    }
}

/// The environment. Variables that are no text are no settings; a value that is none is read as well as it can be.
fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(name, value)| {
        let name = name.into_string().ok()?;
        Some((name, value.to_string_lossy().into_owned()))
    })
}

/// Reads the settings for a command that does not serve.
fn load_only(file: Option<&Path>) -> Result<Settings, u8> {
    load(file).map(|(settings, _)| settings)
}

/// Prints the settings and warnings about them, with `store` also about the store's servers, and at last that all is
/// well.
fn check_config(settings: &Settings, warnings: &[Mistake], store: bool) -> Result<(), u8> {
    say(settings.effective());
    for Mistake { key, what } in warnings {
        complain(&format!("warning: {key}: {what}"));
    }
    let (mut checked, mut count) = ("the settings", warnings.len());
    if store {
        let told = on_runtime(app::check_store(settings)).map_err(|error| failed(&error))?;
        for complaint in &told {
            complain(&format!(
                "warning: store: {}: {}",
                complaint.word, complaint.text
            ));
        }
        count += told.len();
        checked = "the settings and the store";
    }
    let warnings = match count {
        0 => "no warnings".to_owned(),
        1 => "1 warning".to_owned(),
        count => format!("{count} warnings"),
    };
    complain(&format!("{checked} can be used, with {warnings}"));
    Ok(())
}

fn store_init(settings: &Settings, after_loss: bool) -> anyhow::Result<()> {
    let was_empty = on_runtime(app::init_store(settings, after_loss))?;
    say(if was_empty {
        "the store is set up"
    } else {
        "the store was already set up; nothing was changed"
    });
    Ok(())
}

/// Runs a command that is a client of a running service.
fn on_service(
    arguments: &ClientArguments,
    command: impl AsyncFnOnce(&Client) -> anyhow::Result<()>,
) -> Result<(), u8> {
    let (endpoint, authorization) = arguments.endpoint().map_err(|error| {
        failed(&error);
        EXIT_SETTINGS
    })?;
    on_runtime(async {
        let client = arguments.connect(&endpoint, authorization).await?;
        command(&client).await
    })
    .map_err(|error| failed(&error))
}

/// Runs a command that needs connections.
fn on_runtime<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .ok();
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(work)
}

fn make_keys(out: &Path, kid: &str) -> anyhow::Result<()> {
    let kid = crate::domain::crypto::keyring::Kid::parse(kid)
        .map_err(|invalid| anyhow::anyhow!("--kid {invalid}"))?;
    for file in keys::generate(out, &kid)? {
        say(&format!("made {}", file.display()));
    }
    Ok(())
}

fn make_api_key() {
    let (key, hash) = keys::api_key();
    say(&format!(
        "key (for the caller, shown once):    {key}\napi_key_sha256 (for the settings):   {hash}"
    ));
}
