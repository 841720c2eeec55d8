//! Puts messages into the development outbox instead of sending them.

use std::sync::Arc;

use async_trait::async_trait;

use crate::{
    domain::recipient::Channel,
    ports::{
        sender::{
            Message, SendError, Sender, Sent,
            outbox::{Letter, Outbox},
        },
        system::Clock,
    },
    sender::settings::{SenderParts, SenderSettings, SettingError},
};

/// The settings of the outbox: none.
#[derive(Clone, Copy, Debug)]
pub struct OutboxSettings;

impl SenderSettings for OutboxSettings {
    fn carries(&self, _channel: Channel) -> bool {
        true
    }

    fn shows_codes(&self) -> bool {
        true
    }

    fn build(&self, parts: &SenderParts) -> Result<Arc<dyn Sender>, SettingError> {
        let outbox = parts.outbox.clone().ok_or_else(|| {
            SettingError::new(
                "kind",
                "is outbox, which exists in the development profile only",
            )
        })?;
        Ok(Arc::new(OutboxSender {
            outbox,
            clock: parts.clock.clone(),
        }))
    }
}

/// Accepts every message, for people and tests to read.
#[derive(Clone)]
struct OutboxSender {
    outbox: Arc<Outbox>,
    clock: Arc<dyn Clock>,
}

#[async_trait]
impl Sender for OutboxSender {
    async fn send(&self, message: &Message) -> Result<Sent, SendError> {
        self.outbox.put(Letter {
            message: message.clone(),
            sent_at: self.clock.now(),
        });
        Ok(Sent::default())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{domain::time::Timestamp, sender::doubles::samples};

    struct Fixed(Timestamp);

    #[async_trait]
    impl Clock for Fixed {
        fn now(&self) -> Timestamp {
            self.0
        }

        async fn sleep(&self, _: Duration) {}
    }

    #[tokio::test]
    async fn a_message_is_kept_with_its_time() {
        let sender = OutboxSender {
            outbox: Arc::default(),
            clock: Arc::new(Fixed(Timestamp::from_micros(7))),
        };
        sender.send(&samples::message()).await.unwrap();
        let letters = sender.outbox.list();
        assert_eq!(letters.len(), 1);
        assert_eq!(letters[0].sent_at, Timestamp::from_micros(7));
        assert_eq!(letters[0].message.delivery, samples::message().delivery);
    }
}
