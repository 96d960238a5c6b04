//! Who signs policies and changes of the signers: a key and its certificates, from PEM files.

use std::path::{Path, PathBuf};

use clap::Args;
use crypto::{SigningAlgorithm, SigningKey};
use serde_json::json;
use time::OffsetDateTime;
use token::base64url;
use token::policy_jws::{self, PolicyJws, PolicySigner, Trust};

use crate::failure::Failure;
use crate::input;
use crate::output;

/// Key and certificate to sign with
#[derive(Debug, Args)]
#[group(skip)]
pub(crate) struct SignerArgs {
    /// Private key to sign with: PKCS #8 in PEM form, RSA or EC P-256
    #[arg(long, value_name = "PEM", requires = "signer_cert")]
    signer_key: Option<PathBuf>,

    /// Certificate of the key, followed by those that lead to a root, if any
    #[arg(long, value_name = "PEM", requires = "signer_key")]
    signer_cert: Option<PathBuf>,
}

impl SignerArgs {
    /// The signer, if one is given.
    pub(crate) fn signer(&self) -> Result<Option<Signer>, Failure> {
        match (&self.signer_key, &self.signer_cert) {
            (Some(key), Some(certificate)) => Signer::read(key, certificate).map(Some),
            _ => Ok(None),
        }
    }

    /// The JWS of a payload: signed if there is a signer, unsigned otherwise.
    pub(crate) fn wrap(&self, payload: &[u8]) -> Result<String, Failure> {
        match self.signer()? {
            Some(signer) => signer.sign(payload),
            None => Ok(policy_jws::unsigned(payload)),
        }
    }
}

/// A key with its certificates.
pub(crate) struct Signer {
    key: SigningKey,
    chain: Vec<Vec<u8>>,
}

impl Signer {
    pub(crate) fn read(key: &Path, certificate: &Path) -> Result<Self, Failure> {
        let shown = key.display();
        let pem = input::read_text(key)?;
        let (label, der) = pem_rfc7468::decode_vec(pem.trim_start().as_bytes())
            .map_err(|_| Failure::usage(format!("`{shown}` holds no private key in PEM form")))?;
        let unusable = || {
            Failure::usage(format!("`{shown}` holds no private key that can be used, but a `{label}`")).hint(
                "RSA and EC P-256 keys in PKCS #8 form can; `openssl pkcs8 -topk8 -nocrypt` makes that form",
            )
        };
        if label != "PRIVATE KEY" {
            return Err(unusable());
        }
        let key = SigningKey::from_pkcs8(SigningAlgorithm::Rs256, &der)
            .or_else(|_| SigningKey::from_pkcs8(SigningAlgorithm::Es256, &der))
            .map_err(|_| unusable())?;
        Ok(Self { key, chain: certificates(certificate)? })
    }

    /// A compact JWS (RFC 7515 §7.1) with the certificates in the header's `x5c`. It is checked as a service checks
    /// it before it is handed out.
    pub(crate) fn sign(&self, payload: &[u8]) -> Result<String, Failure> {
        let algorithm = match self.key.algorithm() {
            SigningAlgorithm::Es256 => "ES256",
            SigningAlgorithm::Rs256 => "RS256",
        };
        let x5c: Vec<_> = self.chain.iter().map(|der| base64url::encode_standard(der)).collect();
        let header = json!({ "alg": algorithm, "x5c": x5c }).to_string();
        let input = format!("{}.{}", base64url::encode(header.as_bytes()), base64url::encode(payload));
        let signature =
            self.key.sign(input.as_bytes()).map_err(|error| Failure::failed(error.to_string()))?;
        let jws = format!("{input}.{}", base64url::encode(&signature));
        self.check(&jws)?;
        Ok(jws)
    }

    fn check(&self, jws: &str) -> Result<(), Failure> {
        let parsed = PolicyJws::parse(jws).map_err(|error| Failure::usage(error.to_string()))?;
        match parsed.verify(&Trust::anyone(), OffsetDateTime::now_utc()) {
            Ok(_) => Ok(()),
            Err(policy_jws::PolicyJwsError::Chain(error)) => {
                output::note(&output::printable(&format!(
                    "note: a service that does not know this certificate will refuse it: {error}"
                )));
                Ok(())
            }
            Err(error) => Err(Failure::usage(format!("the certificate is not that of the key: {error}"))),
        }
    }
}

/// All certificates of a PEM file, as DER.
pub(crate) fn certificates(path: &Path) -> Result<Vec<Vec<u8>>, Failure> {
    const END: &str = "-----END CERTIFICATE-----";
    let wrong = || Failure::usage(format!("`{}` holds no certificate in PEM form", path.display()));
    let text = input::read_text(path)?;
    let mut certificates = Vec::new();
    // Tools write lines of their own before each.
    for (start, _) in text.match_indices("-----BEGIN CERTIFICATE-----") {
        let from = text.get(start..).unwrap_or_default();
        let end = from.find(END).ok_or_else(wrong)? + END.len();
        let pem = from.get(..end).unwrap_or_default();
        let (_, der) = pem_rfc7468::decode_vec(pem.as_bytes()).map_err(|_| wrong())?;
        certificates.push(der);
    }
    if certificates.is_empty() { Err(wrong()) } else { Ok(certificates) }
}

/// A certificate chain as a policy signer.
pub(crate) fn policy_signer(path: &Path) -> Result<PolicySigner, Failure> {
    PolicySigner::stored(certificates(path)?)
        .map_err(|error| Failure::usage(format!("the certificate in `{}`: {error}", path.display())))
}
