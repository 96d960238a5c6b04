//! Keys and tokens for the tests, right and wrong.
#![allow(dead_code, reason = "each test binary uses some of it")]
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use crypto::{SigningAlgorithm, SigningKey};
use time::OffsetDateTime;
use token::{Algorithm, Expectations, Jwks, Signer, base64url};

pub(crate) const ISSUER: &str = "https://attest.example.org";
pub(crate) const NOW: i64 = 1_800_000_000;

pub(crate) fn now() -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(NOW).unwrap()
}

pub(crate) fn expectations() -> Expectations<'static> {
    Expectations { issuer: ISSUER, audience: None, algorithms: &Algorithm::ALL, leeway_secs: 0 }
}

/// A key with a self-signed certificate.
pub(crate) struct Identity {
    pub(crate) pkcs8: Vec<u8>,
    pub(crate) certificate: Vec<u8>,
    pub(crate) algorithm: SigningAlgorithm,
}

impl Identity {
    pub(crate) fn new(algorithm: SigningAlgorithm) -> Self {
        let pkcs8 = SigningKey::generate(algorithm).unwrap().to_pkcs8().unwrap().to_vec();
        let pair = rcgen::KeyPair::try_from(pkcs8.as_slice()).unwrap();
        let parameters = rcgen::CertificateParams::new(vec!["attest.example.org".to_owned()]).unwrap();
        let certificate = parameters.self_signed(&pair).unwrap().der().to_vec();
        Self { pkcs8, certificate, algorithm }
    }

    pub(crate) fn rs256() -> Self {
        Self::new(SigningAlgorithm::Rs256)
    }

    pub(crate) fn es256() -> Self {
        Self::new(SigningAlgorithm::Es256)
    }

    pub(crate) fn key(&self) -> SigningKey {
        SigningKey::from_pkcs8(self.algorithm, &self.pkcs8).unwrap()
    }

    pub(crate) fn signer(&self) -> Signer {
        Signer::new(self.key(), vec![self.certificate.clone()]).unwrap()
    }

    pub(crate) fn jwks(&self) -> Jwks {
        Jwks::parse(Jwks::from_keys(vec![self.signer().jwk().clone()]).to_json().as_bytes()).unwrap()
    }

    /// A token with any header and payload, under this key's true signature.
    pub(crate) fn forge(&self, header: &str, payload: &str) -> String {
        let input =
            format!("{}.{}", base64url::encode(header.as_bytes()), base64url::encode(payload.as_bytes()));
        let signature = self.key().sign(input.as_bytes()).unwrap();
        format!("{input}.{}", base64url::encode(&signature))
    }
}

/// Claims that pass, and any more.
pub(crate) fn payload(more: &str) -> String {
    format!(r#"{{"iss":"{ISSUER}","exp":{},"nbf":{NOW},"iat":{NOW}{more}}}"#, NOW + 60)
}
