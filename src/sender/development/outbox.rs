//! Puts messages into the development outbox instead of sending them.

use std::sync::Arc;

use async_trait::async_trait;

use crate::ports::{
    sender::{
        Message, SendError, Sender, Sent,
        outbox::{Letter, Outbox},
    },
    system::Clock,
};

/// Takes every message, for people and tests to read.
#[derive(Clone)]
pub struct OutboxSender {
    /// Where they are kept.
    pub outbox: Arc<Outbox>,
    /// Tells when each came in.
    pub clock: Arc<dyn Clock>,
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
