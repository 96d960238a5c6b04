//! Signs tokens with the service's key.

use crypto::SigningKey;
use crypto::random::NoRandomness;
use crypto::sign::SignError as KeyError;
use serde_json::{Value, json};
use x509_cert::der::{Decode, Encode};

use crate::Claims;
use crate::algorithm::Algorithm;
use crate::base64url;
use crate::jwk::{Jwk, JwkError};

/// Why a token could not be signed, or a signer not be made. All of it is ours, none the sender's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// The first certificate is for another key.
    #[error("the first certificate of the chain is not for the signing key")]
    CertificateKey,
    /// The first certificate is missing or unusable.
    #[error("the certificate of the signing key is not usable: {0}")]
    Certificate(JwkError),
    /// The system gave no random bytes.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    /// The key could not be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The claims could not be written as JSON.
    #[error("the claims could not be written as JSON")]
    Serialization,
}

/// A signing key with its certificate chain, kept ready for use.
#[derive(Debug)]
pub struct Signer {
    key: SigningKey,
    public: Jwk,
    key_id: String,
    /// The header from the key id on, which is the same in every token.
    header_tail: String,
}

impl Signer {
    /// Pairs a key with the DER certificates that are published with it, leaf first.
    ///
    /// # Errors
    /// [`SignError::Certificate`], [`SignError::CertificateKey`] if the leaf is not for this key, or
    /// [`SignError::Key`].
    pub fn new(key: SigningKey, certificates: Vec<Vec<u8>>) -> Result<Self, SignError> {
        let spki = key.public_key_der()?;
        let key_id = key_id(&spki);
        let leaf = certificates.first().map(Vec::as_slice).unwrap_or_default();
        let leaf = x509_cert::Certificate::from_der(leaf)
            .map_err(|_| SignError::Certificate(JwkError::Certificate))?;
        let certified = leaf.tbs_certificate().subject_public_key_info().to_der();
        if certified.map_err(|_| SignError::Certificate(JwkError::Certificate))? != spki {
            return Err(SignError::CertificateKey);
        }
        let public =
            Jwk::from_certificates(Some(key_id.clone()), certificates).map_err(SignError::Certificate)?;
        let header_tail = format!("/certs\",\"kid\":\"{key_id}\",\"typ\":\"JWT\"}}");
        Ok(Self { key, public, key_id, header_tail })
    }

    /// The key's id, as [`key_id`] gives it.
    #[must_use]
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// What the key signs with.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.public.algorithm()
    }

    /// The public half, as `/certs` publishes it.
    #[must_use]
    pub fn jwk(&self) -> &Jwk {
        &self.public
    }

    /// Signs `claims` into a compact token whose header is exactly `alg`, `jku`, `kid`, `typ`.
    /// `issuer_uri`, without trailing slash, gives the `jku`; the claim `iss` is the caller's.
    ///
    /// # Errors
    /// [`SignError::Serialization`] or [`SignError::Key`].
    pub fn sign(&self, issuer_uri: &str, claims: &Claims) -> Result<String, SignError> {
        self.finish(self.signing_input(self.algorithm().as_str(), issuer_uri, claims)?)
    }

    /// Signs `claims` into a compact token whose header has the certificates, as tokens of TPMs have it: `alg`,
    /// `kid` ([`Self::thumbprint`]), `typ` and `x5c`.
    ///
    /// # Errors
    /// As [`Self::sign`].
    pub fn sign_with_chain(&self, claims: &Claims) -> Result<String, SignError> {
        let chain = self.public.chain().iter().map(|der| base64url::encode_standard(der));
        self.sign_with_header(&json!({ "x5c": chain.collect::<Vec<_>>() }), claims)
    }

    /// As [`Self::sign_with_chain`], with `x5t` in place of `x5c`.
    ///
    /// # Errors
    /// As [`Self::sign`].
    pub fn sign_with_thumbprint(&self, claims: &Claims) -> Result<String, SignError> {
        self.sign_with_header(&json!({ "x5t": self.thumbprint() }), claims)
    }

    /// The certificate's SHA-1 thumbprint (RFC 7515 §4.1.7), the key id in tokens of TPMs: base64url, unpadded. It
    /// only names the key.
    #[must_use]
    pub fn thumbprint(&self) -> String {
        let leaf = self.public.chain().first().map(Vec::as_slice).unwrap_or_default();
        base64url::encode(&crypto::sha1(leaf))
    }

    fn sign_with_header(&self, member: &Value, claims: &Claims) -> Result<String, SignError> {
        let mut header = json!({ "alg": self.algorithm().as_str(), "kid": self.thumbprint(), "typ": "JWT" });
        if let (Value::Object(header), Value::Object(member)) = (&mut header, member) {
            header.extend(member.clone());
        }
        let claims = serde_json::to_vec(claims).map_err(|_| SignError::Serialization)?;
        let mut token = base64url::encode(header.to_string().as_bytes());
        token.push('.');
        base64url::encode_onto(&claims, &mut token);
        self.finish(token)
    }

    fn finish(&self, mut token: String) -> Result<String, SignError> {
        let signature = self.key.sign(token.as_bytes())?;
        token.push('.');
        base64url::encode_onto(&signature, &mut token);
        Ok(token)
    }

    /// The same token without a signature (`alg` `none`, RFC 7519 §6.1), the answer to a draft
    /// policy. It proves nothing, and [`crate::UnverifiedToken::verify`] never accepts it.
    ///
    /// # Errors
    /// [`SignError::Serialization`].
    pub fn unsigned(&self, issuer_uri: &str, claims: &Claims) -> Result<String, SignError> {
        let mut token = self.signing_input("none", issuer_uri, claims)?;
        token.push('.');
        Ok(token)
    }

    /// `base64url(header) "." base64url(claims)`, with room for the signature.
    fn signing_input(&self, algorithm: &str, issuer_uri: &str, claims: &Claims) -> Result<String, SignError> {
        let mut json = Vec::with_capacity(TYPICAL_TOKEN_BYTES);
        json.extend_from_slice(b"{\"alg\":\"");
        json.extend_from_slice(algorithm.as_bytes());
        json.extend_from_slice(b"\",\"jku\":");
        serde_json::to_writer(&mut json, issuer_uri).map_err(|_| SignError::Serialization)?;
        json.pop(); // the closing quote: the tail goes on inside the string
        json.extend_from_slice(self.header_tail.as_bytes());
        let mut token = String::with_capacity(TYPICAL_TOKEN_BYTES);
        base64url::encode_onto(&json, &mut token);
        token.push('.');
        json.clear();
        serde_json::to_writer(&mut json, claims).map_err(|_| SignError::Serialization)?;
        base64url::encode_onto(&json, &mut token);
        Ok(token)
    }
}

/// The id of a key: standard base64 with padding of SHA-256 over the PEM text of its DER
/// `SubjectPublicKeyInfo` (64 columns, LF line ends, final LF) and one NUL byte. Azure Attestation
/// names its keys so, and puts the same hash into the report data of the evidence for the key.
#[must_use]
pub fn key_id(spki_der: &[u8]) -> String {
    let text = base64url::encode_standard(spki_der);
    let mut pem = String::from("-----BEGIN PUBLIC KEY-----\n");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at_checked(64).unwrap_or((rest, ""));
        pem.push_str(line);
        pem.push('\n');
        rest = after;
    }
    pem.push_str("-----END PUBLIC KEY-----\n\0");
    base64url::encode_standard(&crypto::sha256(pem.as_bytes()))
}

/// A fresh token id, the value of `jti`: 32 random bytes as 64 lower-case hex digits.
///
/// # Errors
/// [`NoRandomness`].
pub fn token_id() -> Result<String, NoRandomness> {
    Ok(hex_digits(&crypto::random_bytes::<32>()?))
}

/// A fresh id for the token of a TPM: 20 random bytes as 40 lower-case hex digits.
///
/// # Errors
/// [`NoRandomness`].
pub fn short_token_id() -> Result<String, NoRandomness> {
    Ok(hex_digits(&crypto::random_bytes::<20>()?))
}

fn hex_digits(bytes: &[u8]) -> String {
    let mut id = String::with_capacity(bytes.len().saturating_mul(2));
    for byte in bytes {
        for nibble in [byte >> 4, byte & 15] {
            id.extend(char::from_digit(nibble.into(), 16));
        }
    }
    id
}

/// Room that spares a typical SGX token (4.7 KB) any reallocation.
const TYPICAL_TOKEN_BYTES: usize = 6 * 1024;
