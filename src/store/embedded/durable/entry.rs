//! The stored form of an entry: the events of one commit in one row.
//!
//! Version 0.1 wrote one event per row, as the vault sealed it: its first byte is the format of the seal, and never 0.
//! One event is still written like that. Several are a 0, and then each event after its length in four bytes,
//! big-endian.

use crate::ports::store::SealedEvent;

const SEVERAL: u8 = 0;

/// Packs the events of one commit.
pub(super) fn pack(events: &[SealedEvent]) -> Vec<u8> {
    if let [event] = events
        && event.first() != Some(&SEVERAL)
    {
        return event.clone();
    }
    let mut row = vec![SEVERAL];
    for event in events {
        // An event is at most 16 KiB (`EVENT_BYTES_MAX`).
        let length = u32::try_from(event.len()).unwrap_or(u32::MAX);
        row.extend(length.to_be_bytes());
        row.extend(event);
    }
    row
}

/// The events in a row. What follows a length that is wrong is one more event, which the vault cannot open.
pub(super) fn unpack(row: &[u8]) -> Vec<SealedEvent> {
    let Some((&SEVERAL, mut rest)) = row.split_first() else {
        return vec![row.to_vec()];
    };
    let mut events = Vec::new();
    while !rest.is_empty() {
        let Some((event, after)) = first(rest) else {
            events.push(rest.to_vec());
            break;
        };
        events.push(event.to_vec());
        rest = after;
    }
    events
}

/// The first event, and what follows it.
fn first(packed: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = packed.split_first_chunk::<4>()?;
    rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_unpacked_as_they_were_packed() {
        let one = |event: &[u8]| vec![event.to_vec()];
        for events in [
            one(b"\x01sealed"),
            one(b""),
            one(b"\0"),
            one(b"\0\0\0\0\x01a"),
            vec![b"\x01a".to_vec(), b"".to_vec(), b"\0b".to_vec()],
            vec![vec![1; 300]; 128],
        ] {
            assert_eq!(unpack(&pack(&events)), events);
        }
        assert_eq!(
            pack(&one(b"\x01sealed")),
            b"\x01sealed",
            "as in version 0.1"
        );
    }

    #[test]
    fn a_damaged_row_loses_no_event_before_the_damage() {
        let row = pack(&[b"\x01a".to_vec(), b"\x01b".to_vec()]);
        for cut in 8..row.len() {
            let events = unpack(&row[..cut]);
            assert_eq!((events.len(), &events[0][..]), (2, &b"\x01a"[..]), "{cut}");
        }
    }
}
