//! Scans the heads of all records, server by server, with `SCAN`.

use std::sync::Arc;

use redis::{Value, cmd, from_redis_value};

use super::{
    Core,
    connection::{
        fault::store_error,
        node::{Lane, Links},
    },
};
use crate::{
    domain::record::key::RecordKey,
    ports::store::{HEAD_BYTES, ScanCursor, ScanPage, ScannedRecord, StoreError},
};

/// The length of the compare token, which precedes the sealed bytes.
const TOKEN_BYTES: usize = 12;

/// The position of a scan: index and number of servers, generation of the current server, and its `SCAN` cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    server: u16,
    servers: u16,
    generation: [u8; 16],
    cursor: u64,
}

impl Place {
    fn write(self) -> ScanCursor {
        let mut bytes = Vec::with_capacity(28);
        bytes.extend_from_slice(&self.server.to_be_bytes());
        bytes.extend_from_slice(&self.servers.to_be_bytes());
        bytes.extend_from_slice(&self.generation);
        bytes.extend_from_slice(&self.cursor.to_be_bytes());
        ScanCursor(bytes)
    }

    fn read(cursor: &ScanCursor) -> Option<Self> {
        let (server, rest) = cursor.0.split_first_chunk()?;
        let (servers, rest) = rest.split_first_chunk()?;
        let (generation, rest) = rest.split_first_chunk()?;
        Some(Self {
            server: u16::from_be_bytes(*server),
            servers: u16::from_be_bytes(*servers),
            generation: *generation,
            cursor: u64::from_be_bytes(rest.try_into().ok()?),
        })
    }
}

impl Core {
    /// One page of a scan. A `SCAN` cursor is valid on its own server only, so a failover ends the
    /// scan with an error.
    pub(super) async fn scan_page(
        &self,
        from: &ScanCursor,
        limit: usize,
    ) -> Result<ScanPage, StoreError> {
        let servers = self.servers()?;
        let count = u16::try_from(servers.len()).unwrap_or(u16::MAX);
        let begin = |server: u16| {
            let links = servers.get(usize::from(server))?;
            Some(Place {
                server,
                servers: count,
                generation: links.pick(Lane::Plain).generation().0,
                cursor: 0,
            })
        };
        let Some(place) = Place::read(from).or_else(|| begin(0)) else {
            return Ok(ScanPage::default());
        };
        let link = servers
            .get(usize::from(place.server))
            .map(|links| links.pick(Lane::Plain))
            .filter(|link| link.generation().0 == place.generation && place.servers == count)
            .ok_or_else(|| {
                StoreError::Unavailable("a server changed during the scan".to_owned())
            })?;
        let mut scan = cmd("SCAN");
        scan.arg(place.cursor)
            .arg("MATCH")
            .arg(self.keys.record_pattern())
            .arg("COUNT")
            .arg(limit.max(1))
            .arg("TYPE")
            .arg("string");
        let mut answers = link
            .send(&[scan])
            .await
            .map_err(|error| store_error(&error))?;
        let (cursor, names): (u64, Vec<Vec<u8>>) =
            from_redis_value(answers.pop().unwrap_or_default())
                .map_err(|error| store_error(&error.into()))?;
        let keys: Vec<RecordKey> = names
            .iter()
            .filter_map(|name| self.keys.read_record(name))
            .collect();
        let records = if keys.is_empty() {
            Vec::new()
        } else {
            let heads = link.send(&self.head_calls(&keys)).await;
            read_heads(keys, heads.map_err(|error| store_error(&error))?)?
        };
        let next = if cursor == 0 {
            begin(place.server + 1)
        } else {
            Some(Place { cursor, ..place })
        };
        Ok(ScanPage {
            records,
            next: next.map(Place::write),
        })
    }

    /// The connections to all servers, always in the same order.
    fn servers(&self) -> Result<Vec<Arc<Links>>, StoreError> {
        let down = || StoreError::Unavailable(self.topology.down().unwrap_or_default());
        let nodes = self.topology.nodes();
        let links: Option<Vec<_>> = nodes.iter().map(|node| node.links()).collect();
        links.filter(|links| !links.is_empty()).ok_or_else(down)
    }

    fn head_calls(&self, keys: &[RecordKey]) -> Vec<redis::Cmd> {
        let head = |key: &RecordKey| {
            let mut range = cmd("GETRANGE");
            range
                .arg(self.keys.record(key))
                .arg(TOKEN_BYTES)
                .arg(TOKEN_BYTES + HEAD_BYTES - 1);
            range
        };
        keys.iter().map(head).collect()
    }
}

fn read_heads(keys: Vec<RecordKey>, heads: Vec<Value>) -> Result<Vec<ScannedRecord>, StoreError> {
    keys.into_iter()
        .zip(heads)
        .map(|(key, head)| {
            let head = from_redis_value(head).map_err(|error| store_error(&error.into()))?;
            Ok(ScannedRecord { key, head })
        })
        .collect()
}
