//! Finds the addresses of a name, and leaves out those that requests may not go to: what is
//! connected to is what was checked.

use std::{error::Error, net::SocketAddr, sync::Arc};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::networks::{Networks, Private};

/// A name of which no address may be asked.
#[derive(Debug, thiserror::Error)]
#[error("its address is {0}")]
pub(super) struct Refused(pub(super) Private);

/// A name that has no address.
#[derive(Debug, thiserror::Error)]
#[error("its name cannot be resolved: {0}")]
pub(super) struct Unknown(std::io::Error);

/// Resolves names within the networks that are allowed.
#[derive(Debug)]
pub(super) struct Resolver(pub(super) Arc<Networks>);

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let networks = Arc::clone(&self.0);
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await.map_err(Unknown)?;
            let (mut allowed, mut refused) = (Vec::<SocketAddr>::new(), None);
            for address in found {
                match networks.check(address.ip()) {
                    Ok(()) => allowed.push(address),
                    Err(private) => refused = Some(private),
                }
            }
            match refused {
                Some(private) if allowed.is_empty() => {
                    Err(Box::new(Refused(private)) as Box<dyn Error + Send + Sync>)
                }
                _ => Ok(Box::new(allowed.into_iter()) as Addrs),
            }
        })
    }
}
