//! The issuer that every data directory has of its own, so that a laptop needs no identity provider.
//!
//! Its key is made when the service first starts. Whoever can read the key file can make tokens with it, as
//! `vouchsafe admin token` does; the service verifies them as it verifies those of any other issuer.

use std::path::Path;

use crypto::{SigningAlgorithm, SigningKey, random_bytes};
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use token::{Jwk, Jwks, base64url};
use x509_cert::der::pem::{LineEnding, decode_vec, encode_string};

use super::Role;
use crate::data_dir::{DataDir, DataDirError, read_private_file};
use crate::store::{self, StoreError};

/// The claim `iss` of its tokens.
pub const ISSUER: &str = "urn:vouchsafe:local";

const KEY_FILE: &str = "admin-key.pem";
const KEY_LABEL: &str = "PRIVATE KEY";

/// Longest validity of a token: they are for a person at work, not for machines.
pub const MAX_LIFETIME_MINUTES: u32 = 24 * 60;

/// Why the local issuer cannot be used. The operator must act.
#[derive(Debug, thiserror::Error)]
pub enum LocalIssuerError {
    /// The key file cannot be read or written.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The key file holds something else.
    #[error(
        "`admin-key.pem` in the data directory is not a P-256 private key in PEM; remove it to have a new one made"
    )]
    InvalidKey,
    /// A key could not be made or used.
    #[error(transparent)]
    Key(#[from] crypto::sign::SignError),
    /// The lifetime is none.
    #[error("a token can be valid for 1 to {MAX_LIFETIME_MINUTES} minutes, not for {found}")]
    Lifetime {
        /// The minutes asked for.
        found: u32,
    },
    /// There is no key yet.
    #[error("the data directory has no `admin-key.pem`; `vouchsafe serve` makes it when it first starts")]
    NoKey,
    /// The system gave no random bytes.
    #[error(transparent)]
    NoRandomness(#[from] crypto::random::NoRandomness),
    /// The database that knows the providers cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No provider has this name, so the token would be nobody's.
    #[error("the service of this data directory has no provider `{name}`; it has {}", list(known))]
    UnknownProvider {
        /// The name asked for.
        name: String,
        /// Those there are.
        known: Vec<String>,
    },
}

fn list(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// The key of a data directory's own issuer.
#[derive(Debug)]
pub(crate) struct LocalIssuer {
    key: SigningKey,
    public: Jwk,
}

/// What a token of the local issuer says.
#[derive(Debug, Clone)]
pub struct LocalToken<'a> {
    /// Minutes from now until it expires, at most [`MAX_LIFETIME_MINUTES`].
    pub lifetime_minutes: u32,
    /// Name of the provider it is for.
    pub provider: &'a str,
    /// The role it gives.
    pub role: Role,
    /// The claim `scp`, if any.
    pub scope: Option<&'a str>,
}

/// Makes a token of the issuer of the data directory at `data_dir`. The service need not run.
///
/// # Errors
/// [`LocalIssuerError`].
pub fn token(
    data_dir: &Path,
    wanted: &LocalToken<'_>,
    now: OffsetDateTime,
) -> Result<String, LocalIssuerError> {
    if wanted.lifetime_minutes == 0 || wanted.lifetime_minutes > MAX_LIFETIME_MINUTES {
        return Err(LocalIssuerError::Lifetime { found: wanted.lifetime_minutes });
    }
    let pem = read_private_file(&data_dir.join(KEY_FILE))?.ok_or(LocalIssuerError::NoKey)?;
    let database = data_dir.join(store::FILE);
    // Without a database there are no providers yet to compare with.
    let known = if database.exists() { store::provider_names(&database)? } else { Vec::new() };
    if !known.is_empty() && !known.iter().any(|name| name == wanted.provider) {
        return Err(LocalIssuerError::UnknownProvider { name: wanted.provider.to_owned(), known });
    }
    LocalIssuer::read(&pem)?.issue(wanted, now)
}

/// The claim `aud` of tokens for a provider: one provider's token is nothing to another.
#[must_use]
pub fn audience(provider: &str) -> String {
    format!("urn:vouchsafe:provider:{provider}")
}

impl LocalIssuer {
    /// The issuer of the data directory, whose key is made if there is none.
    pub(crate) fn open(dir: &DataDir) -> Result<Self, LocalIssuerError> {
        match dir.read_private(KEY_FILE)? {
            Some(pem) => Self::read(&pem),
            None => {
                let key = SigningKey::generate(SigningAlgorithm::Es256)?;
                let pem = encode_string(KEY_LABEL, LineEnding::LF, &key.to_pkcs8()?)
                    .map_err(|_| LocalIssuerError::InvalidKey)?;
                dir.write_private(KEY_FILE, pem.as_bytes())?;
                Self::of(key)
            }
        }
    }

    fn read(pem: &[u8]) -> Result<Self, LocalIssuerError> {
        let (label, der) = decode_vec(pem).map_err(|_| LocalIssuerError::InvalidKey)?;
        if label != KEY_LABEL {
            return Err(LocalIssuerError::InvalidKey);
        }
        let key = SigningKey::from_pkcs8(SigningAlgorithm::Es256, &der);
        Self::of(key.map_err(|_| LocalIssuerError::InvalidKey)?)
    }

    fn of(key: SigningKey) -> Result<Self, LocalIssuerError> {
        // A P-256 SubjectPublicKeyInfo ends with the coordinates (RFC 5480 §2.2).
        let spki = key.public_key_der()?;
        let coordinates = spki.len().checked_sub(64).and_then(|start| spki.get(start..));
        let (x, y) =
            coordinates.and_then(|xy| xy.split_at_checked(32)).ok_or(LocalIssuerError::InvalidKey)?;
        let public = json!({
            "kty": "EC", "crv": "P-256", "x": base64url::encode(x), "y": base64url::encode(y),
            "alg": "ES256", "use": "sig", "kid": token::signer::key_id(&spki),
        });
        let public = Jwk::parse(&public).map_err(|_| LocalIssuerError::InvalidKey)?;
        Ok(Self { key, public })
    }

    pub(crate) fn keys(&self) -> Jwks {
        Jwks::from_keys(vec![self.public.clone()])
    }

    fn issue(&self, wanted: &LocalToken<'_>, now: OffsetDateTime) -> Result<String, LocalIssuerError> {
        let header = json!({ "alg": "ES256", "kid": self.public.key_id(), "typ": "at+jwt" });
        let issued_at = now.unix_timestamp();
        let mut claims = Map::new();
        let mut claim = |name: &str, value: Value| claims.insert(name.to_owned(), value);
        claim("iss", ISSUER.into());
        claim("aud", audience(wanted.provider).into());
        claim("sub", "admin".into());
        claim("iat", issued_at.into());
        claim("nbf", issued_at.into());
        claim("exp", issued_at.saturating_add(i64::from(wanted.lifetime_minutes) * 60).into());
        claim("jti", hex::encode(random_bytes::<16>()?).into());
        claim("roles", json!([wanted.role.as_str()]));
        if let Some(scope) = wanted.scope {
            claim("scp", scope.into());
        }
        let part = |value: &Value| base64url::encode(value.to_string().as_bytes());
        let input = format!("{}.{}", part(&header), part(&Value::Object(claims)));
        let signature = self.key.sign(input.as_bytes())?;
        Ok(format!("{input}.{}", base64url::encode(&signature)))
    }
}
