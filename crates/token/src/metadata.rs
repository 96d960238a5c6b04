//! The OpenID provider configuration (OpenID Connect Discovery 1.0 §3) that `/.well-known/openid-configuration`
//! publishes.
//!
//! Members and order are those recorded from Azure Attestation, and only what exists is advertised:
//!
//! - no `revocation_endpoint`: Azure names `<uri>/revoke`, and neither it nor this service has one;
//! - `id_token_signing_alg_values_supported` lists the algorithms of the keys in use, so `ES256` alone
//!   for a service that signs with it, although the standard wants `RS256` in every list: a consumer
//!   that believed the list would wait for tokens that never come;
//! - `response_types_supported` stays `token`, `none` as recorded: clients hand it on unread;
//! - no `authorization_endpoint`, although the standard requires one: nobody logs in here. Consumers
//!   that verify tokens do not ask for it;
//! - `subject_types_supported` is not recorded but required by the standard, and general-purpose
//!   OpenID libraries refuse a document without it. `public` promises that a subject has one name
//!   for all readers, which holds: there is no `sub` claim. It stands last, after the recorded members.

use serde::Serialize;

use crate::algorithm::Algorithm;

/// The configuration document of one issuer; serialises in the recorded member order.
#[derive(Debug, Clone, Serialize)]
pub struct Metadata<'a> {
    response_types_supported: [&'static str; 2],
    id_token_signing_alg_values_supported: Vec<&'static str>,
    issuer: &'a str,
    jwks_uri: String,
    claims_supported: &'a [&'a str],
    subject_types_supported: [&'static str; 1],
}

impl<'a> Metadata<'a> {
    /// The document of the issuer at `issuer_uri` (no trailing slash), whose published keys sign
    /// with `algorithms` and whose tokens may hold `claims_supported`.
    #[must_use]
    pub fn new(issuer_uri: &'a str, algorithms: &[Algorithm], claims_supported: &'a [&'a str]) -> Self {
        let mut names: Vec<&'static str> = Vec::new();
        for algorithm in algorithms {
            if !names.contains(&algorithm.as_str()) {
                names.push(algorithm.as_str());
            }
        }
        Self {
            response_types_supported: ["token", "none"],
            id_token_signing_alg_values_supported: names,
            issuer: issuer_uri,
            jwks_uri: jwks_uri(issuer_uri),
            claims_supported,
            subject_types_supported: ["public"],
        }
    }

    /// The document as compact JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// Where the issuer at `issuer_uri` (no trailing slash) publishes its keys.
#[must_use]
pub fn jwks_uri(issuer_uri: &str) -> String {
    format!("{issuer_uri}/certs")
}

/// Where the issuer at `issuer_uri` (no trailing slash) publishes its configuration.
#[must_use]
pub fn configuration_uri(issuer_uri: &str) -> String {
    format!("{issuer_uri}/.well-known/openid-configuration")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_stand_in_the_recorded_order() {
        let uri = "https://localhost:8443";
        let document = Metadata::new(uri, &[Algorithm::Rs256, Algorithm::Rs256], &["cnf", "nonce"]);
        assert_eq!(
            document.to_json(),
            r#"{"response_types_supported":["token","none"],"id_token_signing_alg_values_supported":["RS256"],"issuer":"https://localhost:8443","jwks_uri":"https://localhost:8443/certs","claims_supported":["cnf","nonce"],"subject_types_supported":["public"]}"#
        );
    }

    #[test]
    fn only_what_exists_is_advertised() {
        let document = Metadata::new("https://a", &[Algorithm::Es256], &[]).to_json();
        assert!(document.contains(r#""id_token_signing_alg_values_supported":["ES256"]"#));
        assert!(!document.contains("revocation_endpoint") && !document.contains("authorization_endpoint"));
    }
}
