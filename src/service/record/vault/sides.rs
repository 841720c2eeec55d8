//! Side records, and their stored form.

use prost::Message as _;

use super::Vault;
use crate::{
    domain::{
        crypto::{
            keyring::Mark,
            seal::{self, SealContext},
        },
        delivery::breaker::{Breaker, Refused, RefusedDelivery},
        ids::{DeliveryId, SubjectKey, VerificationId},
        limit::guesses::{GuessTally, HOURS_MAX, HourOfFailures},
        record::{
            key::{RecordKey, RecordKind},
            side::{Side, SideRecord},
        },
        time::Timestamp,
    },
    pb::store as pb,
    ports::{store::Blob, system::fresh},
    service::unreadable::VaultError,
};

const NO_MEANING: VaultError = VaultError::Content("side record");

impl Vault {
    /// Seals a side record under its version and a new nonce, which becomes its compare token.
    #[must_use]
    pub fn close_side(&self, key: &RecordKey, record: &SideRecord) -> Blob {
        let token = fresh(&*self.entropy);
        let plain = encode(record).encode_to_vec();
        let bytes = seal::seal(
            &self.keyring,
            SealContext::Side(&key.hash),
            record.version,
            token,
            plain,
        );
        Blob {
            token,
            bytes: bytes.into(),
        }
    }

    /// Opens a side record, which must be of the kind in its key.
    ///
    /// # Errors
    /// [`VaultError`]; also for a record of another kind.
    pub fn open_side(&self, key: &RecordKey, blob: &Blob) -> Result<SideRecord, VaultError> {
        let record = self.open_any_side(&key.hash, blob)?;
        if key.kind == RecordKind::Side(record.side.kind()) {
            Ok(record)
        } else {
            Err(NO_MEANING)
        }
    }

    /// Opens a side record of any kind, by the hash of its key.
    ///
    /// # Errors
    /// [`VaultError`] if it is not a side record of this key.
    pub fn open_any_side(&self, hash: &Mark, blob: &Blob) -> Result<SideRecord, VaultError> {
        let (version, plain) = seal::open(&self.keyring, SealContext::Side(hash), &blob.bytes)?;
        decode(
            version,
            pb::SideRecord::decode(plain.as_slice()).map_err(|_| NO_MEANING)?,
        )
    }
}

fn encode(record: &SideRecord) -> pb::SideRecord {
    use pb::side_record::Side as Stored;
    let side = match &record.side {
        Side::Breaker(breaker) => Stored::Breaker(pb::Breaker {
            state: Some(state(breaker)),
        }),
        Side::Delivery {
            verification,
            delivery,
        } => Stored::Delivery(pb::DeliveryPlace {
            subject: verification.subject.0.to_vec(),
            random: verification.random.to_vec(),
            delivery: delivery.0.to_vec(),
        }),
        Side::Tally(tally) => Stored::Tally(pb::GuessTally {
            hour: tally.hour,
            failures: tally.hours.iter().map(|hour| hour.failures).collect(),
            counted: tally.hours.iter().map(|hour| hour.counted).collect(),
            alarm_until: tally.alarm_until.as_micros(),
        }),
    };
    pb::SideRecord {
        until: record.until.as_micros(),
        side: Some(side),
    }
}

fn state(breaker: &Breaker) -> pb::breaker::State {
    use pb::breaker::State;
    match breaker {
        Breaker::Closed { failed, refused } => State::Closed(pb::BreakerClosed {
            failed: failed.iter().map(|delivery| delivery.0.to_vec()).collect(),
            refused: refusals(refused),
        }),
        Breaker::Open {
            until,
            times,
            by_refusals,
        } => State::Open(pb::BreakerOpen {
            until: until.as_micros(),
            times: *times,
            refused: Vec::new(),
            by_refusals: *by_refusals,
        }),
        Breaker::HalfOpen {
            until,
            times,
            by_refusals,
            refused,
        } => State::HalfOpen(pb::BreakerOpen {
            until: until.as_micros(),
            times: *times,
            refused: refusals(refused),
            by_refusals: *by_refusals,
        }),
    }
}

fn refusals(refused: &Refused) -> Vec<pb::BreakerRefusal> {
    let stored = |message: &RefusedDelivery| pb::BreakerRefusal {
        delivery: message.delivery.0.to_vec(),
        area: message.area.to_vec(),
    };
    refused.messages().iter().map(stored).collect()
}

fn decode(version: u64, stored: pb::SideRecord) -> Result<SideRecord, VaultError> {
    use pb::side_record::Side as Stored;
    let side = match stored.side.ok_or(NO_MEANING)? {
        Stored::Breaker(stored) => Side::Breaker(breaker(stored)?),
        Stored::Delivery(place) => Side::Delivery {
            verification: VerificationId {
                subject: SubjectKey(array(&place.subject)?),
                random: array(&place.random)?,
            },
            delivery: DeliveryId(array(&place.delivery)?),
        },
        Stored::Tally(stored) => Side::Tally(tally(&stored)?),
    };
    Ok(SideRecord {
        version,
        until: Timestamp::from_micros(stored.until),
        side,
    })
}

fn tally(stored: &pb::GuessTally) -> Result<GuessTally, VaultError> {
    if stored.failures.len() != stored.counted.len() || stored.failures.len() > HOURS_MAX {
        return Err(NO_MEANING);
    }
    let hours = stored.failures.iter().zip(&stored.counted);
    Ok(GuessTally {
        hour: stored.hour,
        hours: hours
            .map(|(failures, counted)| HourOfFailures {
                failures: *failures,
                counted: *counted,
            })
            .collect(),
        alarm_until: Timestamp::from_micros(stored.alarm_until),
    })
}

fn breaker(stored: pb::Breaker) -> Result<Breaker, VaultError> {
    use pb::breaker::State;
    Ok(match stored.state.ok_or(NO_MEANING)? {
        State::Closed(closed) => {
            let failed = closed
                .failed
                .iter()
                .map(|delivery| Ok(DeliveryId(array(delivery)?)));
            Breaker::Closed {
                failed: failed.collect::<Result<_, VaultError>>()?,
                refused: refused(&closed.refused)?,
            }
        }
        State::Open(open) => Breaker::Open {
            until: Timestamp::from_micros(open.until),
            times: open.times,
            by_refusals: open.by_refusals,
        },
        State::HalfOpen(open) => Breaker::HalfOpen {
            until: Timestamp::from_micros(open.until),
            times: open.times,
            by_refusals: open.by_refusals,
            refused: refused(&open.refused)?,
        },
    })
}

fn refused(stored: &[pb::BreakerRefusal]) -> Result<Refused, VaultError> {
    let message = |stored: &pb::BreakerRefusal| {
        Ok(RefusedDelivery {
            delivery: DeliveryId(array(&stored.delivery)?),
            area: array(&stored.area)?,
        })
    };
    let messages = stored.iter().map(message);
    Ok(Refused::from_stored(
        messages.collect::<Result<_, VaultError>>()?,
    ))
}

fn array(bytes: &[u8]) -> Result<[u8; 16], VaultError> {
    bytes.try_into().map_err(|_| NO_MEANING)
}
