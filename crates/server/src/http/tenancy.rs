//! Which provider a request is for: by the first segment of its path, by its `Host`, or the default one.
//!
//! The `Host` header chooses among providers and does nothing else: what a provider says of itself comes
//! from its configuration.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};

use super::error::Failure;
use crate::app::App;
use crate::config::Config;
use crate::provider::Provider;

/// The place of a provider in the configuration: the default one, then the others in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ProviderIndex(pub(crate) usize);

/// How each provider is addressed.
#[derive(Debug)]
pub(crate) struct Addresses(Vec<Address>);

#[derive(Debug)]
struct Address {
    /// Lower case, without ports; none means any.
    hosts: Vec<String>,
    /// One path segment in lower case.
    prefix: Option<String>,
}

impl Addresses {
    pub(crate) fn of(config: &Config) -> Self {
        let address = |provider: &crate::config::ProviderConfig| Address {
            hosts: provider.host_names.iter().map(|host| host.to_ascii_lowercase()).collect(),
            prefix: provider.prefix(),
        };
        Self(config.all_providers().map(address).collect())
    }

    /// The provider for a path in lower case, and what follows its prefix. A provider found by path goes
    /// before one found by host, and that one before the one that has neither.
    pub(crate) fn find<'p>(&self, path: &'p str, headers: &HeaderMap) -> Option<(ProviderIndex, &'p str)> {
        let host = host(headers);
        let mut best: Option<(u8, ProviderIndex, &str)> = None;
        for (index, address) in self.0.iter().enumerate() {
            let Some((rank, rest)) = address.matches(path, host.as_deref()) else { continue };
            if best.is_none_or(|(best, ..)| rank > best) {
                best = Some((rank, ProviderIndex(index), rest));
            }
        }
        best.map(|(_, index, rest)| (index, rest))
    }
}

impl Address {
    fn matches<'p>(&self, path: &'p str, host: Option<&str>) -> Option<(u8, &'p str)> {
        let by_host = match self.hosts.as_slice() {
            [] => 0,
            hosts => hosts.iter().any(|known| Some(known.as_str()) == host).then_some(1)?,
        };
        let (by_prefix, rest) = match &self.prefix {
            None => (0, path),
            Some(prefix) => {
                let rest = path.strip_prefix('/')?.strip_prefix(prefix.as_str())?;
                (2, (rest.starts_with('/') || rest.is_empty()).then_some(rest)?)
            }
        };
        Some((by_host | by_prefix, rest))
    }
}

/// The host a request names, in lower case and without port.
fn host(headers: &HeaderMap) -> Option<String> {
    let host = headers.get(header::HOST)?.to_str().ok()?;
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    Some(name.to_ascii_lowercase())
}

/// The provider of a request.
pub(super) struct Tenant(pub(super) Arc<Provider>);

impl FromRequestParts<Arc<App>> for Tenant {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Failure> {
        let index = parts.extensions.get::<ProviderIndex>();
        let provider = index.and_then(|ProviderIndex(index)| app.providers.get(*index));
        provider.map(|provider| Self(Arc::clone(provider))).ok_or_else(Failure::not_found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(addresses: &Addresses, path: &'static str, host: &str) -> Option<(usize, &'static str)> {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().unwrap());
        addresses.find(path, &headers).map(|(ProviderIndex(index), rest)| (index, rest))
    }

    #[test]
    fn path_goes_before_host_and_that_before_the_default() {
        let address = |hosts: &[&str], prefix: Option<&str>| Address {
            hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
            prefix: prefix.map(str::to_owned),
        };
        let addresses = Addresses(vec![
            address(&[], None),
            address(&[], Some("team1")),
            address(&["two.example"], None),
            address(&["two.example"], Some("team1")),
        ]);
        assert_eq!(find(&addresses, "/certs", "anything:8443"), Some((0, "/certs")));
        assert_eq!(find(&addresses, "/team1/certs", "anything"), Some((1, "/certs")));
        assert_eq!(find(&addresses, "/team12/certs", "anything"), Some((0, "/team12/certs")));
        assert_eq!(find(&addresses, "/certs", "Two.Example:443"), Some((2, "/certs")));
        assert_eq!(find(&addresses, "/team1/certs", "two.example"), Some((3, "/certs")));
    }

    #[test]
    fn without_a_default_other_paths_are_nobodys() {
        let prefixed = Addresses(vec![Address { hosts: Vec::new(), prefix: Some("team1".to_owned()) }]);
        assert_eq!(find(&prefixed, "/certs", "anything"), None);
        assert_eq!(find(&prefixed, "/team1", "anything"), Some((0, "")));
    }
}
