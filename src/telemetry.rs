//! Logging, with every event on one line, and metrics.

mod catalogue;
mod labels;
mod metrics;
mod process;

use std::io::{self, Write};

use anyhow::Context as _;
use tracing_subscriber::{EnvFilter, fmt::MakeWriter};

use crate::config::{LogFormat, LogSettings};

pub use self::metrics::{Metrics, metrics, register};

/// Starts logging to standard error, in the format of the settings. A JSON line has the call that it belongs
/// to in `span`, once.
///
/// # Errors
/// The level is not a directive, or logging was already started.
pub fn init(settings: &LogSettings) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&settings.level).context("log.level")?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(OneLine(io::stderr))
        .with_ansi(false);
    let installed = match (settings.format, settings.timestamps) {
        (LogFormat::Text, true) => builder.try_init(),
        (LogFormat::Text, false) => builder.without_time().try_init(),
        (LogFormat::Json, true) => builder.json().with_span_list(false).try_init(),
        (LogFormat::Json, false) => builder
            .json()
            .with_span_list(false)
            .without_time()
            .try_init(),
    };
    installed.map_err(|error| anyhow::anyhow!("cannot start the log: {error}"))
}

/// Makes writers that keep each event on one line: control characters in it are escaped.
#[derive(Clone)]
struct OneLine<M>(M);

impl<'a, M: MakeWriter<'a>> MakeWriter<'a> for OneLine<M> {
    type Writer = OneLineWriter<M::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        OneLineWriter(self.0.make_writer())
    }
}

/// Writes events on one line each. The subscriber writes an event with a single call, ending in a line break.
struct OneLineWriter<W>(W);

impl<W: Write> Write for OneLineWriter<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let body = text.strip_suffix('\n').unwrap_or(&text);
        // Nearly always there is no control character, and nothing is copied.
        if body.contains(char::is_control) {
            let line: String = body.chars().map(escaped).chain(["\n".to_owned()]).collect();
            self.0.write_all(line.as_bytes())?;
        } else {
            self.0.write_all(event)?;
        }
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Escapes a control character as JSON does, so that a line of JSON stays valid.
fn escaped(c: char) -> String {
    if c.is_control() {
        format!("\\u{:04x}", u32::from(c))
    } else {
        c.to_string()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<Vec<u8>>>);

    impl Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(json: bool, value: &str) -> String {
        let memory = Memory::default();
        let sink = memory.clone();
        let builder = tracing_subscriber::fmt()
            .with_writer(OneLine(move || sink.clone()))
            .with_ansi(false);
        let log = || tracing::info!(display = %value, debug = ?value, plain = value, "The value is {value}.");
        if json {
            tracing::subscriber::with_default(builder.json().with_span_list(false).finish(), log);
        } else {
            tracing::subscriber::with_default(builder.finish(), log);
        }
        String::from_utf8(memory.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn log_02_no_value_breaks_a_line() {
        for value in [
            "a\nINFO forged",
            "a\r\nb",
            "\u{1b}[31mred\u{1b}[0m",
            "\u{7f}\u{0}",
            "quote \" and \\",
            "\u{9b}31m",
        ] {
            for json in [false, true] {
                let line = logged(json, value);
                assert_eq!(line.matches('\n').count(), 1, "{line:?}");
                assert!(
                    line.ends_with('\n') && !line.trim_end_matches('\n').contains(char::is_control),
                    "{line:?}"
                );
            }
            let parsed: serde_json::Value = serde_json::from_str(&logged(true, value)).unwrap();
            assert_eq!(parsed["fields"]["plain"], value, "JSON keeps the value");
        }
    }
}
