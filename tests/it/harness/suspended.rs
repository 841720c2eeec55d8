//! The clock of a machine that was suspended a moment ago.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use countersign::{
    domain::time::Timestamp,
    ports::{store::Complaint, system::Clock},
};

/// Shows the time of another clock, and always reports a jump.
pub struct Suspended(pub Arc<dyn Clock>);

#[async_trait]
impl Clock for Suspended {
    fn now(&self) -> Timestamp {
        self.0.now()
    }

    async fn sleep(&self, span: Duration) {
        self.0.sleep(span).await;
    }

    fn complaints(&self) -> Vec<Complaint> {
        vec![Complaint {
            word: "clock_jumped",
            text: "the system clock was ahead".to_owned(),
        }]
    }
}
