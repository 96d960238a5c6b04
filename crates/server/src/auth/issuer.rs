//! One issuer of access tokens: what its tokens must say, and which roles they give.

use std::time::Instant;

use serde_json::Value;
use time::OffsetDateTime;
use token::{Algorithm, Expectations, TokenError, UnverifiedToken, VerifiedToken};

use super::keys::Keys;
use super::local::{self, LocalIssuer};
use super::{AuthError, Caller, Role};
use crate::config::{AccessTokenIssuer, ConfigError, IssuerPreset};

/// How far the issuer's clock and ours may differ.
const LEEWAY_SECS: u32 = 60;

/// The audience that the published clients ask Entra for, unless the operator names others.
const ENTRA_AUDIENCE: &str = "https://attest.azure.net";

/// Longest name of a caller in histories and the audit log.
const MAX_NAME_CHARS: usize = 256;

/// Claims with a name for people. A caller may be able to choose it.
const NAME_CLAIMS: [&str; 3] = ["preferred_username", "upn", "name"];

/// Claims that name the caller, the steadiest first: object id, subject, application.
const SUBJECT_CLAIMS: [&str; 4] = ["oid", "sub", "appid", "azp"];

/// Claims that hold several values as words of one text: RFC 9068's, and Entra's.
const SCOPE_CLAIMS: [&str; 2] = ["scope", "scp"];

/// An issuer that the operator trusts about callers.
#[derive(Debug)]
pub(super) struct TrustedIssuer {
    audiences: Vec<String>,
    /// Where callers get their tokens; the local issuer has no such place.
    authorization_uri: Option<String>,
    /// The forms of `iss`; Microsoft Entra ID has one for each version of its tokens.
    issuers: Vec<String>,
    keys: Keys,
    roles: Vec<Grant>,
}

/// A claim value that gives a role.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Grant {
    claim: String,
    role: Role,
    value: String,
}

impl TrustedIssuer {
    pub(super) fn configured(config: &AccessTokenIssuer) -> Result<Self, ConfigError> {
        let mut roles = grants(Role::Reader, "readers", &config.readers)?;
        roles.extend(grants(Role::Contributor, "contributors", &config.contributors)?);
        let mut audiences = config.audience.clone();
        let (issuers, discovery_url) = match (&config.preset, &config.issuer, &config.tenant) {
            (Some(IssuerPreset::Entra), None, Some(tenant)) => {
                if roles.is_empty() {
                    roles = entra_roles();
                }
                if audiences.is_empty() {
                    audiences.push(ENTRA_AUDIENCE.to_owned());
                }
                (
                    vec![
                        format!("https://login.microsoftonline.com/{tenant}/v2.0"),
                        format!("https://sts.windows.net/{tenant}/"),
                    ],
                    config.discovery_url.clone().or_else(|| config.jwks_file.is_none().then(|| {
                        format!("https://login.microsoftonline.com/{tenant}/v2.0/.well-known/openid-configuration")
                    })),
                )
            }
            (None, Some(issuer), None) => (vec![issuer.clone()], config.discovery_url.clone()),
            (preset, ..) => {
                let fix = "give `issuer`, or `preset = \"entra\"` with `tenant`, and not both";
                let found = if preset.is_some() { "entra" } else { "not set" };
                return Err(invalid("preset", found, fix));
            }
        };
        if audiences.is_empty() {
            return Err(invalid(
                "audience",
                "empty",
                "name the audience that tokens for this provider carry",
            ));
        }
        let keys = match (&config.jwks_file, discovery_url) {
            (Some(file), None) => Keys::read(file, &issuers)?,
            (None, Some(url)) => Keys::discovered(&url, &issuers, config.ca_file.as_deref())?,
            (Some(_), Some(url)) => {
                return Err(invalid("discovery_url", &url, "give it or `jwks_file`, and not both"));
            }
            (None, None) => {
                return Err(invalid(
                    "discovery_url",
                    "not set",
                    "give it, or `jwks_file` where there is no network",
                ));
            }
        };
        let authorization_uri = match &config.tenant {
            Some(tenant) => Some(format!("https://login.microsoftonline.com/{tenant}")),
            None => issuers.first().cloned(),
        };
        Ok(Self { audiences, authorization_uri, issuers, keys, roles })
    }

    /// The issuer of the data directory, for one provider.
    pub(super) fn local(local: &LocalIssuer, provider: &str) -> Self {
        let grant = |role: Role| Grant { claim: "roles".to_owned(), role, value: role.as_str().to_owned() };
        Self {
            audiences: vec![local::audience(provider)],
            authorization_uri: None,
            issuers: vec![local::ISSUER.to_owned()],
            keys: Keys::fixed(local.keys()),
            roles: vec![grant(Role::Reader), grant(Role::Contributor)],
        }
    }

    /// The parameters of a challenge that says how to get a token.
    pub(super) fn challenge(&self) -> String {
        let quoted = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
        let resource = quoted(self.audiences.first().map_or("", String::as_str));
        match &self.authorization_uri {
            Some(uri) => format!("authorization_uri=\"{}\", resource=\"{resource}\"", quoted(uri)),
            None => format!("resource=\"{resource}\""),
        }
    }

    pub(super) fn issues_as(&self, issuer: &str) -> bool {
        self.issuers.iter().any(|known| known == issuer)
    }

    /// Verifies a token whose `iss` is one of this issuer's forms.
    pub(super) async fn verify(
        &self,
        token: &UnverifiedToken<'_>,
        issuer: &str,
        now: OffsetDateTime,
    ) -> Result<Caller, AuthError> {
        let key_id = token.jws().unverified_key_id();
        let keys = self.keys.for_key_id(key_id, Instant::now()).await?;
        let mut refused = None;
        for audience in &self.audiences {
            let expectations = Expectations {
                issuer,
                audience: Some(audience),
                algorithms: &[Algorithm::Es256, Algorithm::Rs256],
                leeway_secs: LEEWAY_SECS,
            };
            match token.clone().verify(&keys, &expectations, now) {
                Ok(verified) => return Ok(self.caller(issuer, &verified)),
                Err(error @ TokenError::Audience { .. }) => refused = Some(error),
                Err(error) => return Err(error.into()),
            }
        }
        Err(refused.map_or(AuthError::UnknownIssuer, AuthError::Refused))
    }

    fn caller(&self, issuer: &str, token: &VerifiedToken) -> Caller {
        let text = |claim: &&str| token.claim(claim).and_then(Value::as_str).filter(|text| !text.is_empty());
        let short = |text: &str| text.chars().take(MAX_NAME_CHARS).collect();
        let name = NAME_CLAIMS.iter().find_map(text).map(short);
        let subject = SUBJECT_CLAIMS.iter().find_map(text).unwrap_or("unnamed");
        let mut roles: Vec<Role> = Vec::new();
        for grant in &self.roles {
            if claim_at(token, &grant.claim).is_some_and(|claim| holds(&grant.claim, claim, &grant.value)) {
                roles.push(grant.role);
            }
        }
        Caller { issuer: issuer.to_owned(), name, subject: short(subject), roles }
    }
}

/// A claim by its name or, if there is none of that name, by a path: `realm_access.roles` is the member `roles`
/// of the claim `realm_access`.
fn claim_at<'t>(token: &'t VerifiedToken, path: &str) -> Option<&'t Value> {
    token.claim(path).or_else(|| {
        let mut parts = path.split('.');
        let first = token.claim(parts.next()?)?;
        parts.try_fold(first, |value, part| value.as_object()?.get(part))
    })
}

/// Whether a claim holds a value: it is that text, or an array that has it. Only scopes are words in one
/// text (RFC 6749 §3.3): in any other claim, such as a name, a caller may have chosen the words.
fn holds(name: &str, claim: &Value, value: &str) -> bool {
    match claim {
        Value::Array(values) => values.iter().any(|element| element.as_str() == Some(value)),
        Value::String(words) if SCOPE_CLAIMS.contains(&name) => words.split(' ').any(|word| word == value),
        Value::String(text) => text == value,
        _ => false,
    }
}

/// The app roles that Entra's documentation of Azure Attestation names.
fn entra_roles() -> Vec<Grant> {
    [("Attestation Reader", Role::Reader), ("Attestation Contributor", Role::Contributor)]
        .map(|(value, role)| Grant { claim: "roles".to_owned(), role, value: value.to_owned() })
        .to_vec()
}

/// Reads `claim=value` entries.
fn grants(role: Role, key: &str, entries: &[String]) -> Result<Vec<Grant>, ConfigError> {
    let grant = |entry: &String| match entry.split_once('=') {
        Some((claim, value)) if !claim.is_empty() && !value.is_empty() => {
            Ok(Grant { claim: claim.to_owned(), role, value: value.to_owned() })
        }
        _ => Err(invalid(
            key,
            entry,
            "write `claim=value`, such as `roles=Attestation Reader` or `scp=attest`",
        )),
    };
    entries.iter().map(grant).collect()
}

pub(super) fn invalid(key: &str, found: &str, fix: &str) -> ConfigError {
    ConfigError::invalid(&format!("provider.access_token_issuers.{key}"), found, fix)
}
