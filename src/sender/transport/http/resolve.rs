//! Resolves names, and returns only addresses that may be called. The client connects to exactly
//! the addresses that were checked.

use std::{
    future::Future,
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::Arc,
};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::target::{Refused, Targets};

/// The name has no address, or the DNS did not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the name was not resolved")]
pub(super) struct Unresolved;

type Found = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>>;
type LookUp = dyn Fn(String) -> Found + Send + Sync;

/// Resolves names for the HTTP client.
#[derive(Clone)]
pub(super) struct Resolver {
    targets: Targets,
    look_up: Arc<LookUp>,
}

impl Resolver {
    /// A resolver that asks the operating system.
    pub(super) fn of_the_system(targets: Targets) -> Self {
        let look_up = |name: String| -> Found {
            Box::pin(async move {
                let found = tokio::net::lookup_host((name, 0)).await?;
                Ok(found.map(|address| address.ip()).collect())
            })
        };
        Self {
            targets,
            look_up: Arc::new(look_up),
        }
    }

    #[cfg(test)]
    pub(super) fn new(targets: Targets, look_up: Arc<LookUp>) -> Self {
        Self { targets, look_up }
    }

    /// All addresses of a name; a single forbidden address refuses the name.
    pub(super) async fn judged(
        self,
        name: String,
    ) -> Result<Vec<SocketAddr>, Box<dyn std::error::Error + Send + Sync>> {
        let found = (self.look_up)(name.clone()).await.map_err(|_| Unresolved)?;
        if found.is_empty() {
            return Err(Unresolved.into());
        }
        if !found
            .iter()
            .all(|address| self.targets.permits(&name, *address))
        {
            return Err(Refused("leads into an internal network").into());
        }
        // The client replaces port 0 by that of the URL.
        Ok(found
            .into_iter()
            .map(|address| SocketAddr::new(address, 0))
            .collect())
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (resolver, name) = (self.clone(), name.as_str().to_owned());
        Box::pin(async move { Ok(Box::new(resolver.judged(name).await?.into_iter()) as Addrs) })
    }
}
