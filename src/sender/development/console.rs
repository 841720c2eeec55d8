//! Prints messages on standard output instead of sending them, for the development profile.

use std::{io::Write as _, sync::Arc};

use async_trait::async_trait;

use crate::{
    domain::{delivery::reason::Reason, recipient::Channel},
    ports::sender::{Message, SendError, Sender, Sent},
    sender::settings::{SenderParts, SenderSettings, SettingError},
};

/// Prints each message on standard output, including the code. It has no settings.
#[derive(Clone, Copy, Debug, Default)]
pub struct Console;

impl SenderSettings for Console {
    fn carries(&self, _channel: Channel) -> bool {
        true
    }

    fn shows_codes(&self) -> bool {
        true
    }

    fn build(&self, _parts: &SenderParts) -> Result<Arc<dyn Sender>, SettingError> {
        Ok(Arc::new(*self))
    }
}

#[async_trait]
impl Sender for Console {
    async fn send(&self, message: &Message) -> Result<Sent, SendError> {
        let block = block(message);
        // Standard output may be a pipe that nobody reads, which must not block a worker thread.
        let printed = tokio::task::spawn_blocking(move || {
            std::io::stdout().lock().write_all(block.as_bytes())
        })
        .await;
        match printed {
            Ok(Ok(())) => Ok(Sent::default()),
            Ok(Err(_)) | Err(_) => Err(SendError::broken(Reason::StdoutClosed)),
        }
    }
}

/// The lines to print for one message.
fn block(message: &Message) -> String {
    let Message {
        recipient, content, ..
    } = message;
    let subject = if content.subject.is_empty() {
        String::new()
    } else {
        format!("Subject: {}\n", content.subject)
    };
    // A push message has two texts: one for the locked screen and one for the opened app.
    let opened = content
        .opened
        .as_ref()
        .map(|opened| format!("\n--\n{opened}"))
        .unwrap_or_default();
    let block = format!(
        "---- {} to {}\n{subject}{}{opened}",
        recipient.channel().as_str(),
        recipient.expose(),
        content.text
    );
    // Control characters are removed, because a terminal executes escape sequences.
    let mut block: String = block
        .chars()
        .filter(|c| *c == '\n' || !c.is_control())
        .collect();
    block.push_str("\n----\n");
    block
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::sender::doubles::samples;

    #[test]
    fn a_message_is_one_block_without_escape_sequences() {
        let mut message = samples::message();
        Arc::make_mut(&mut message.content).subject = "Hello\u{1b}[2J".to_owned();
        Arc::make_mut(&mut message.content).text = "one\ntwo\u{7}".to_owned();
        assert_eq!(
            block(&message),
            "---- email to anna@example.org\nSubject: Hello[2J\none\ntwo\n----\n"
        );
        Arc::make_mut(&mut message.content).opened = Some("123 456".to_owned());
        assert!(block(&message).ends_with("\none\ntwo\n--\n123 456\n----\n"));
    }
}
