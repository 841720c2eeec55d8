//! The null sender: accepts each message at once and passes its code to the client that waits for it.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use countersign::ports::sender::{Message, SendError, Sender, Sent};
use tokio::sync::oneshot;

/// The clients that wait, by address.
#[derive(Default)]
pub struct Post(Mutex<HashMap<String, oneshot::Sender<String>>>);

impl Post {
    fn waiting(&self) -> MutexGuard<'_, HashMap<String, oneshot::Sender<String>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the code of the next message to this address.
    pub fn expect(&self, address: String) -> oneshot::Receiver<String> {
        let (tell, told) = oneshot::channel();
        self.waiting().insert(address, tell);
        told
    }
}

#[async_trait]
impl Sender for Post {
    async fn send(&self, message: &Message) -> Result<Sent, SendError> {
        let waiting = self.waiting().remove(message.recipient.expose());
        if let Some(waiting) = waiting {
            let _ = waiting.send(message.code.expose().to_owned());
        }
        Ok(Sent::default())
    }
}
