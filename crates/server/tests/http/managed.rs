//! A service with callers that have a role, and signers of policies.

use crypto::{SigningAlgorithm, SigningKey};
use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, KeyPair};
use reqwest::Method;
use serde_json::{Value, json};
use server::Config;
use server::auth::Role;
use server::auth::local::{self, LocalToken};
use time::OffsetDateTime;
use token::base64url;
use token::policy_jws::unsigned;

use crate::support::{Answer, Service, part, send};

pub(crate) const VERSION: &str = "api-version=2020-10-01";
pub(crate) const PERMIT: &str = "version=1.0; authorizationrules{=> permit();}; issuancerules{};";
pub(crate) const DENY: &str = "version=1.0; authorizationrules{=> deny();};";
pub(crate) const RESET: &str = "eyJhbGciOiJub25lIn0..";

/// A running service and an access token for each role of its default provider.
pub(crate) struct Managed {
    pub(crate) service: Service,
    pub(crate) contributor: String,
    pub(crate) reader: String,
}

impl Managed {
    pub(crate) async fn start(config: Config) -> Self {
        let data_dir = config.data_dir.clone();
        let service = Service::start(config).await;
        let token = |role| access_token(&data_dir, "default", role);
        Self { contributor: token(Role::Contributor), reader: token(Role::Reader), service }
    }

    /// A request of a Contributor.
    pub(crate) async fn send(&self, method: Method, path: &str, body: impl Into<String>) -> Answer {
        self.send_as(&self.contributor, method, path, body).await
    }

    pub(crate) async fn send_as(
        &self,
        token: &str,
        method: Method,
        path: &str,
        body: impl Into<String>,
    ) -> Answer {
        let separator = if path.contains('?') { '&' } else { '?' };
        let url = self.service.url(&format!("{path}{separator}{VERSION}"));
        send(self.service.client.request(method, url).bearer_auth(token).body(body.into())).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, "").await
    }

    pub(crate) async fn put(&self, path: &str, body: impl Into<String>) -> Answer {
        self.send(Method::PUT, path, body).await
    }

    pub(crate) async fn post(&self, path: &str, body: impl Into<String>) -> Answer {
        self.send(Method::POST, path, body).await
    }

    /// The claims of a good answer, which must be a token of this provider as management answers are: signed,
    /// valid for an hour, and without an id.
    pub(crate) fn answer(&self, answer: &Answer) -> Value {
        let mut claims = answer.claims();
        assert_eq!(answer.headers["content-type"], "application/json; charset=utf-8");
        let body = answer.json();
        let token = body["token"].as_str().unwrap();
        let header = part(token, 0);
        let uri = self.service.server.uri();
        assert_eq!((&header["alg"], &header["typ"]), (&json!("RS256"), &json!("JWT")));
        assert_eq!(header["jku"], format!("{uri}/certs"));
        assert_eq!(header.as_object().unwrap().len(), 4);
        let times = ["exp", "iat", "nbf"].map(|name| claims[name].as_i64().unwrap());
        assert_eq!((times[0] - times[1], times[1]), (3600, times[2]));
        assert_eq!(claims["iss"], uri);
        let claims = claims.as_object_mut().unwrap();
        for name in ["exp", "iat", "nbf", "iss"] {
            claims.remove(name);
        }
        Value::Object(claims.clone())
    }
}

pub(crate) fn access_token(data_dir: &std::path::Path, provider: &str, role: Role) -> String {
    let wanted = LocalToken { lifetime_minutes: 60, provider, role, scope: None };
    local::token(data_dir, &wanted, OffsetDateTime::now_utc()).unwrap()
}

/// The JWS of a policy, unsigned.
pub(crate) fn plain(text: &str) -> String {
    unsigned(&payload(text))
}

pub(crate) fn payload(text: &str) -> Vec<u8> {
    json!({ "AttestationPolicy": base64url::encode(text.as_bytes()) }).to_string().into_bytes()
}

/// A self-signed certificate authority that signs policies with RS256.
pub(crate) struct Signer {
    key: SigningKey,
    pub(crate) der: Vec<u8>,
    pub(crate) pem: String,
}

impl Signer {
    pub(crate) fn new(name: &str) -> Self {
        Self::with(name, IsCa::Ca(BasicConstraints::Unconstrained))
    }

    /// One that lacks basic constraints CA:TRUE.
    pub(crate) fn without_authority(name: &str) -> Self {
        Self::with(name, IsCa::ExplicitNoCa)
    }

    fn with(name: &str, is_ca: IsCa) -> Self {
        let key = SigningKey::generate(SigningAlgorithm::Rs256).unwrap();
        let pair = KeyPair::try_from(key.to_pkcs8().unwrap().as_slice()).unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = is_ca;
        let certificate = params.self_signed(&pair).unwrap();
        Self { key, der: certificate.der().to_vec(), pem: certificate.pem() }
    }

    pub(crate) fn jwk(&self) -> Value {
        json!({ "alg": "RS256", "kty": "RSA", "use": "sig", "x5c": [base64url::encode_standard(&self.der)] })
    }

    pub(crate) fn thumbprint(&self) -> String {
        hex::encode_upper(crypto::sha1(&self.der))
    }

    /// As the Python client writes it.
    pub(crate) fn sign(&self, payload: &[u8]) -> String {
        let header = json!({ "alg": "RSA256", "jwk": { "x5c": self.jwk()["x5c"] } }).to_string();
        let input = format!("{}.{}", base64url::encode(header.as_bytes()), base64url::encode(payload));
        format!("{input}.{}", base64url::encode(&self.key.sign(input.as_bytes()).unwrap()))
    }

    pub(crate) fn sign_policy(&self, text: &str) -> String {
        self.sign(&payload(text))
    }

    /// The request that vouches for another certificate under the claim of that name.
    pub(crate) fn vouch_for(&self, other: &Self, claim: &str) -> String {
        let key = json!({ "kty": "RSA", "x5c": other.jwk()["x5c"] });
        self.sign(json!({ claim: key }).to_string().as_bytes())
    }
}

/// Makes the default provider isolated, with these signers.
pub(crate) fn isolate(config: &mut Config, signers: &[&Signer]) {
    config.provider.trust_model = server::config::TrustModel::Isolated;
    for (index, signer) in signers.iter().enumerate() {
        let file = config.data_dir.with_file_name(format!("signer{index}.pem"));
        std::fs::write(&file, &signer.pem).unwrap();
        config.provider.policy_signer_certificates.push(file);
    }
}
