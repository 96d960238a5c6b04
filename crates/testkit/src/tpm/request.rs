//! The request that answers a challenge (Azure Attestation documentation, TPM attestation protocol).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use super::machine::Machine;
use super::structures::{self, UNRESTRICTED_SIGNING};
use super::vbs;
use crate::key::Key;

/// The two forms of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// `attReq`, with platform claims.
    V1,
    /// `attReqV2`.
    V2,
}

/// How a key is bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binding {
    /// `tpm_certify`.
    Certify,
    /// No `info`.
    None,
    /// `tpm_quote`.
    Quote,
}

/// A request that is genuine until a field is spoiled.
#[derive(Debug, Clone)]
pub struct Request {
    /// The form.
    pub version: Version,
    /// The machine as it is now.
    pub machine: Machine,
    /// The machine as it was before hibernation.
    pub history: Option<Machine>,
    /// The challenge that is answered.
    pub challenge: Vec<u8>,
    /// What came with it.
    pub service_context: Vec<u8>,
    /// The PCRs quoted, in the second form.
    pub pcrs: Vec<u8>,
    /// Signs the request.
    pub request_key: Key,
    /// How it is bound.
    pub binding: Binding,
    /// Further keys.
    pub other_keys: Vec<(Key, Binding)>,
    /// Attributes of certified keys.
    pub certified_attributes: u32,
    /// Signs certifications, if not the machine's key.
    pub certifier: Option<Key>,
    /// What the quote is over, if not what the binding asks.
    pub nonce: Option<Vec<u8>>,
    /// Members of `att_data` beside those of the protocol, or instead of them.
    pub members: Map<String, Value>,
    /// The identity key of the machine's enclaves, if the request is one's.
    pub enclave: Option<Key>,
    /// What the enclave says, if not the digest of the request.
    pub enclave_data: Option<[u8; 64]>,
    /// Signs the request, if not the request key.
    pub signer: Option<Key>,
}

impl Request {
    /// A request of the second version whose key the quote binds.
    #[must_use]
    pub fn new(machine: Machine, challenge: &[u8], service_context: &[u8]) -> Self {
        Self {
            version: Version::V2,
            machine,
            history: None,
            challenge: challenge.to_vec(),
            service_context: service_context.to_vec(),
            pcrs: (0..24).collect(),
            request_key: Key::generate_rsa(),
            binding: Binding::Quote,
            other_keys: Vec::new(),
            certified_attributes: UNRESTRICTED_SIGNING,
            certifier: None,
            nonce: None,
            members: Map::new(),
            enclave: None,
            enclave_data: None,
            signer: None,
        }
    }

    /// The compact JWS.
    #[must_use]
    pub fn jws(&self) -> String {
        let mut members = match self.version {
            Version::V1 => self.first(),
            Version::V2 => self.second(),
        };
        members.insert("challenge".to_owned(), b64(&self.challenge).into());
        members.insert("service_context".to_owned(), b64(&self.service_context).into());
        members.extend(self.members.clone());
        let members = Value::Object(members);
        let payload = match &self.enclave {
            None => json!({ "att_type": "basic", "att_data": members }),
            Some(key) => {
                let data =
                    self.enclave_data.unwrap_or_else(|| crypto::sha512(members.to_string().as_bytes()));
                let report = b64(&vbs::report(key, &data));
                let report = match self.version {
                    Version::V1 => json!(report),
                    Version::V2 => json!({ "enclave": { "report": report } }),
                };
                json!({ "att_type": "vbs", "att_data": { "report_signed": members, "vsm_report": report } })
            }
        };
        let kind = match self.version {
            Version::V1 => "attReq",
            Version::V2 => "attReqV2",
        };
        let header = json!({ "alg": "PS256", "typ": kind }).to_string();
        let signed = format!("{}.{}", b64(header.as_bytes()), b64(payload.to_string().as_bytes()));
        let signature = self.signer.as_ref().unwrap_or(&self.request_key).sign_pss(signed.as_bytes());
        format!("{signed}.{}", b64(&signature))
    }

    fn first(&self) -> Map<String, Value> {
        let nonce = self.nonce.clone().unwrap_or_else(|| self.challenge.clone());
        let mut tpm = json!({
            "aik_pub": jwk(&self.machine.key),
            "current_claim": b64(&self.machine.platform_claim(&nonce)),
            "srtm_boot_log": b64(&self.history.as_ref().unwrap_or(&self.machine).log.bytes()),
        });
        if let Some(certificate) = &self.machine.certificate {
            tpm["aik_cert"] = b64(certificate).into();
        }
        if let Some(history) = &self.history {
            tpm["srtm_resume_log"] = b64(&self.machine.log.bytes()).into();
            tpm["boot_claim"] = b64(&history.platform_claim(b"")).into();
        }
        object(json!({ "tpm_att_data": tpm, "attest_key": jwk(&self.request_key) }))
    }

    fn second(&self) -> Map<String, Value> {
        let jwk = jwk(&self.request_key);
        let nonce = self.nonce.clone().unwrap_or_else(|| match self.binding {
            Binding::Quote => {
                crypto::sha256_of_parts(&[jwk.to_string().as_bytes(), &[0], &self.challenge]).to_vec()
            }
            Binding::Certify | Binding::None => self.challenge.clone(),
        });
        let mut tpm = json!({ "current_attestation": self.quoted(&self.machine, &nonce) });
        if let Some(history) = &self.history {
            tpm["boot_attestation"] = self.quoted(history, b"a nonce of that time");
        }
        let others = self.other_keys.iter().map(|(key, binding)| self.key(key, *binding));
        object(json!({
            "tpm_att_data": tpm,
            "request_key": self.key(&self.request_key, self.binding),
            "other_keys": others.collect::<Vec<_>>(),
        }))
    }

    fn quoted(&self, machine: &Machine, nonce: &[u8]) -> Value {
        let (quote, signature) = machine.quote(nonce, &self.pcrs);
        let values = self
            .pcrs
            .iter()
            .map(|pcr| json!({ "index": pcr, "digest": b64(&machine.pcrs[usize::from(*pcr)]) }));
        let mut quoted = json!({
            "logs": [{ "type": "TCG", "log": b64(&machine.log.bytes()) }],
            "aik_pub": jwk(&machine.key),
            "pcrs": [{ "algorithm": 11, "values": values.collect::<Vec<_>>() }],
            "quote": b64(&quote),
            "signature": b64(&signature),
        });
        if let Some(certificate) = &machine.certificate {
            quoted["aik_cert"] = b64(certificate).into();
        }
        quoted
    }

    fn key(&self, key: &Key, binding: Binding) -> Value {
        match binding {
            Binding::None => json!({ "jwk": jwk(key) }),
            Binding::Quote => json!({ "jwk": jwk(key), "info": { "tpm_quote": { "hash_alg": "sha-256" } } }),
            Binding::Certify => {
                let public = structures::rsa_public(key, self.certified_attributes);
                let statement = structures::certify(&self.challenge, &public, self.machine.counters);
                let signature =
                    structures::rsassa(self.certifier.as_ref().unwrap_or(&self.machine.key), &statement);
                json!({ "jwk": jwk(key), "info": { "tpm_certify": {
                    "public": b64(&public), "certification": b64(&statement), "signature": b64(&signature),
                } } })
            }
        }
    }
}

fn jwk(key: &Key) -> Value {
    json!({ "kty": "RSA", "n": b64(&structures::modulus(key)), "e": "AQAB" })
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        other => panic!("no object: {other}"),
    }
}

fn b64(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
