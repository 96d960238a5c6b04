//! JSON Web Keys and key sets (RFC 7517), public keys only.

use serde::Serialize;
use serde_json::{Map, Value};
use x509_cert::der::Decode;

use crate::algorithm::Algorithm;
use crate::base64url;
use crate::json::{self, JsonError};
use crate::public_key::PublicKey;

/// Most keys accepted in one set. Recorded sets hold 6, those of large identity providers some 20; a
/// token without a key id is tried against all of them.
pub const MAX_KEYS: usize = 64;

/// Longest key set accepted, in bytes. The recorded ones, with certificates that embed a quote, are
/// 41 KB.
pub const MAX_JWKS_BYTES: usize = 1024 * 1024;

/// Most certificates accepted in one `x5c`.
pub const MAX_CHAIN: usize = 10;

/// Longest `kid` accepted, in bytes: it is looked up and shown, never fetched or opened.
pub const MAX_KEY_ID_BYTES: usize = 512;

/// Why one key of a set is not usable here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JwkError {
    /// `alg` names an algorithm that is not of this key's type, or not one that is accepted.
    #[error("`alg` `{found}` is not the algorithm of a key of this type")]
    Algorithm {
        /// What it names.
        found: String,
    },
    /// The key in `x5c[0]` is not the key that `n` and `e`, or `x` and `y`, give (RFC 7517 §4.7).
    #[error("the certificate in `x5c` holds another key than the other members")]
    CertificateKey,
    /// The first certificate cannot be read.
    #[error("`x5c[0]` is not a DER certificate with a usable key")]
    Certificate,
    /// The curve is not P-256.
    #[error("the curve `{found}` is not `P-256`")]
    Curve {
        /// What `crv` names.
        found: String,
    },
    /// The key bytes are not a valid key.
    #[error("the key is not a valid {kind} key")]
    InvalidKey {
        /// `RSA` or `EC`.
        kind: &'static str,
    },
    /// The key set entry is not an object.
    #[error("a key is not a JSON object")]
    NotObject,
    /// `use` or `key_ops` says that the key is for something other than signatures.
    #[error("`use` or `key_ops` says that the key is not for checking signatures")]
    NotForSignatures,
    /// The modulus is outside 2048 to 8192 bits.
    #[error("an RSA key of {bits} bits; 2048 to 8192 are accepted")]
    RsaSize {
        /// Its length in bits.
        bits: usize,
    },
    /// `kty` is neither `RSA` nor `EC`.
    #[error("the key type `{found}` is neither `RSA` nor `EC`")]
    Type {
        /// What `kty` names; empty if absent.
        found: String,
    },
    /// A member is absent or has a value of the wrong form.
    #[error("the member `{member}` is missing or malformed")]
    Member {
        /// Its name.
        member: &'static str,
    },
}

/// Why a text is not a key set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JwksError {
    /// It is not strict JSON.
    #[error("the key set is not acceptable JSON: {0}")]
    Json(JsonError),
    /// It has no array `keys`.
    #[error("the key set has no array `keys`")]
    NoKeys,
    /// It is too long.
    #[error("the key set is {bytes} bytes long, more than the {MAX_JWKS_BYTES} that are accepted")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// It has too many keys.
    #[error("the key set has {found} keys, more than the {MAX_KEYS} that are accepted")]
    TooManyKeys {
        /// How many.
        found: usize,
    },
}

/// A public key with what its holder says of it.
#[derive(Debug, Clone)]
pub struct Jwk {
    key_id: Option<String>,
    algorithm: Algorithm,
    chain: Vec<Vec<u8>>,
    key: PublicKey,
}

impl Jwk {
    /// Takes the key of a DER certificate, the first of `chain`.
    ///
    /// # Errors
    /// [`JwkError`].
    pub fn from_certificates(key_id: Option<String>, chain: Vec<Vec<u8>>) -> Result<Self, JwkError> {
        let key = certificate_key(chain.first().ok_or(JwkError::Member { member: "x5c" })?)?;
        Ok(Self { key_id, algorithm: key.algorithm(), chain, key })
    }

    /// Reads one key (RFC 7517 §4, RFC 7518 §6). The key comes from `x5c[0]`, from `n` and `e`, or
    /// from `crv`, `x` and `y`; where several are given they must agree. Private members are ignored.
    ///
    /// # Errors
    /// [`JwkError`].
    pub fn parse(value: &Value) -> Result<Self, JwkError> {
        let members = value.as_object().ok_or(JwkError::NotObject)?;
        let chain = parse_chain(members)?;
        let certified = chain.first().map(|leaf| certificate_key(leaf)).transpose()?;
        let kind = string(members, "kty")?.unwrap_or_default();
        let bare = match kind {
            "RSA" if certified.is_some() && !members.contains_key("n") => None,
            "EC" if certified.is_some() && !members.contains_key("x") => None,
            "RSA" => Some(PublicKey::from_rsa(&bytes(members, "n")?, &bytes(members, "e")?)?),
            "EC" => {
                let curve = string(members, "crv")?.ok_or(JwkError::Member { member: "crv" })?;
                if curve != "P-256" {
                    return Err(JwkError::Curve { found: shortened(curve) });
                }
                Some(PublicKey::from_coordinates(&bytes(members, "x")?, &bytes(members, "y")?)?)
            }
            _ => return Err(JwkError::Type { found: shortened(kind) }),
        };
        let key = match (certified, bare) {
            (Some(certified), Some(bare)) if certified != bare => return Err(JwkError::CertificateKey),
            (Some(key), _) | (None, Some(key)) => key,
            (None, None) => return Err(JwkError::Member { member: "x5c" }),
        };
        if key.kind() != kind {
            return Err(JwkError::CertificateKey);
        }
        if let Some(found) = string(members, "alg")?
            && Algorithm::from_name(found) != Some(key.algorithm())
        {
            return Err(JwkError::Algorithm { found: shortened(found) });
        }
        if !is_for_signatures(members)? {
            return Err(JwkError::NotForSignatures);
        }
        let key_id = string(members, "kid")?;
        if key_id.is_some_and(|id| id.len() > MAX_KEY_ID_BYTES) {
            return Err(JwkError::Member { member: "kid" });
        }
        Ok(Self { key_id: key_id.map(str::to_owned), algorithm: key.algorithm(), chain, key })
    }

    /// The same key under another id.
    #[must_use]
    pub fn renamed(self, key_id: String) -> Self {
        Self { key_id: Some(key_id), ..self }
    }

    /// The certificates of the key, DER, its own first.
    #[must_use]
    pub fn chain(&self) -> &[Vec<u8>] {
        &self.chain
    }

    /// The key's `kid`.
    #[must_use]
    pub fn key_id(&self) -> Option<&str> {
        self.key_id.as_deref()
    }

    /// The one algorithm this key checks signatures of: RS256 for RSA, ES256 for EC.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The DER certificates of `x5c`, leaf first; none if the key came without.
    #[must_use]
    pub fn certificates(&self) -> &[Vec<u8>] {
        &self.chain
    }

    /// Whether `signature` is this key's over `message` under `algorithm`; never for the algorithm
    /// of another key type.
    #[must_use]
    pub fn verify(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        algorithm == self.algorithm && self.key.verify(message, signature)
    }
}

/// The members of a published key, in the order of the recorded service (`x5c`, `kid`, `kty`), then
/// those that let any OpenID Connect consumer read the key without the certificate.
impl Serialize for Jwk {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Members<'a> {
            #[serde(skip_serializing_if = "Vec::is_empty")]
            x5c: Vec<String>,
            #[serde(skip_serializing_if = "Option::is_none")]
            kid: Option<&'a str>,
            kty: &'static str,
            #[serde(skip_serializing_if = "Option::is_none")]
            n: Option<String>,
            #[serde(skip_serializing_if = "Option::is_none")]
            e: Option<String>,
            #[serde(skip_serializing_if = "Option::is_none")]
            crv: Option<&'static str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            x: Option<String>,
            #[serde(skip_serializing_if = "Option::is_none")]
            y: Option<String>,
            alg: &'static str,
            r#use: &'static str,
        }
        let (modulus, exponent) = self.key.rsa_parts().unzip();
        let (x, y) = self.key.coordinates().unzip();
        Members {
            x5c: self.chain.iter().map(|der| base64url::encode_standard(der)).collect(),
            kid: self.key_id(),
            kty: self.key.kind(),
            n: modulus.map(base64url::encode),
            e: exponent.map(base64url::encode),
            crv: x.map(|_| "P-256"),
            x: x.map(base64url::encode),
            y: y.map(base64url::encode),
            alg: self.algorithm.as_str(),
            r#use: "sig",
        }
        .serialize(serializer)
    }
}

/// A key of a set that cannot be used, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IgnoredKey {
    /// Its `kid`, if it has one that is a string.
    pub key_id: Option<String>,
    /// What is wrong with it.
    pub reason: JwkError,
}

/// A set of keys: what `/certs` publishes, and what tokens are verified with.
#[derive(Debug, Clone, Default)]
pub struct Jwks {
    keys: Vec<Jwk>,
    ignored: Vec<IgnoredKey>,
}

impl Jwks {
    /// A set of our own keys, the current one first.
    #[must_use]
    pub fn from_keys(keys: Vec<Jwk>) -> Self {
        Self { keys, ignored: Vec::new() }
    }

    /// Reads a key set. A key that cannot be used does not spoil the others (RFC 7517 §5); it is
    /// kept in [`Self::ignored`] so that a token that names it can be told why.
    ///
    /// # Errors
    /// [`JwksError`].
    pub fn parse(text: &[u8]) -> Result<Self, JwksError> {
        if text.len() > MAX_JWKS_BYTES {
            return Err(JwksError::TooLong { bytes: text.len() });
        }
        let members = json::parse_object(text).map_err(JwksError::Json)?;
        let entries = members.get("keys").and_then(Value::as_array).ok_or(JwksError::NoKeys)?;
        if entries.len() > MAX_KEYS {
            return Err(JwksError::TooManyKeys { found: entries.len() });
        }
        let mut set = Self::default();
        for entry in entries {
            match Jwk::parse(entry) {
                Ok(key) => set.keys.push(key),
                Err(reason) => {
                    let key_id = entry.get("kid").and_then(Value::as_str).map(str::to_owned);
                    set.ignored.push(IgnoredKey { key_id, reason });
                }
            }
        }
        Ok(set)
    }

    /// The usable keys, in the order of the set.
    #[must_use]
    pub fn keys(&self) -> &[Jwk] {
        &self.keys
    }

    /// The keys that cannot be used.
    #[must_use]
    pub fn ignored(&self) -> &[IgnoredKey] {
        &self.ignored
    }

    /// The set as `{"keys":[...]}`, what `/certs` answers.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl Serialize for Jwks {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Members<'a> {
            keys: &'a [Jwk],
        }
        Members { keys: &self.keys }.serialize(serializer)
    }
}

/// The key of a DER certificate.
pub(crate) fn certificate_key(der: &[u8]) -> Result<PublicKey, JwkError> {
    let certificate = x509_cert::Certificate::from_der(der).map_err(|_| JwkError::Certificate)?;
    PublicKey::from_spki(certificate.tbs_certificate().subject_public_key_info())
}

/// The certificates of `x5c`; none if it is absent.
pub(crate) fn parse_chain(members: &Map<String, Value>) -> Result<Vec<Vec<u8>>, JwkError> {
    let malformed = JwkError::Member { member: "x5c" };
    let Some(entries) = members.get("x5c") else {
        return Ok(Vec::new());
    };
    let entries = entries.as_array().filter(|entries| (1..=MAX_CHAIN).contains(&entries.len()));
    entries
        .ok_or_else(|| malformed.clone())?
        .iter()
        .map(|entry| entry.as_str().and_then(base64url::decode_standard).ok_or_else(|| malformed.clone()))
        .collect()
}

fn is_for_signatures(members: &Map<String, Value>) -> Result<bool, JwkError> {
    if string(members, "use")?.is_some_and(|found| found != "sig") {
        return Ok(false);
    }
    match members.get("key_ops") {
        None => Ok(true),
        Some(Value::Array(operations)) => Ok(operations.iter().any(|found| found == "verify")),
        Some(_) => Err(JwkError::Member { member: "key_ops" }),
    }
}

fn string<'a>(members: &'a Map<String, Value>, member: &'static str) -> Result<Option<&'a str>, JwkError> {
    match members.get(member) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(JwkError::Member { member }),
    }
}

fn bytes(members: &Map<String, Value>, member: &'static str) -> Result<Vec<u8>, JwkError> {
    string(members, member)?.and_then(|text| base64url::decode(text).ok()).ok_or(JwkError::Member { member })
}

/// The first characters of something the sender chose, for an error message.
fn shortened(text: &str) -> String {
    text.chars().take(32).collect()
}
