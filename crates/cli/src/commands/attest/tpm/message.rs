//! The messages of the protocol (version 2, `basic`): a challenge is asked for, and answered with a request that is
//! signed by a fresh key, to which the quote is bound.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use crypto::{Curve, PublicKey, SigningKey};
use evidence::tpm::{PublicArea, hash_id};
use reqwest::Method;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::Tpm as Arguments;
use crate::commands::connection::{Body, Connection};
use crate::failure::Failure;
use crate::tpm::quote::Quoted;

/// What the service wants answered.
pub(super) struct Challenge {
    text: String,
    octets: Vec<u8>,
    /// Opaque; sent back as it came.
    service_context: String,
}

impl Challenge {
    /// The first round.
    pub(super) fn ask(connection: &Connection) -> Result<Self, Failure> {
        let answer = exchange(connection, &json!({ "type": "aikcert" }))?;
        let text = member(&answer, "challenge")?;
        let octets = URL_SAFE_NO_PAD
            .decode(text.trim_end_matches('='))
            .map_err(|_| Failure::failed("the service's challenge is not base64url"))?;
        let service_context = member(&answer, "service_context")?.to_owned();
        Ok(Self { text: text.to_owned(), octets, service_context })
    }
}

/// The second round: the request's token. What the service says of a refusal is passed on whole.
pub(super) fn report(connection: &Connection, request: &str) -> Result<String, Failure> {
    let answer = exchange(connection, &json!({ "request": request }))?;
    member(&answer, "report").map(str::to_owned)
}

/// What the TPM and the logs say.
pub(super) struct Evidence<'a> {
    /// The attestation key's `TPMT_PUBLIC`.
    pub(super) key: &'a [u8],
    /// DER.
    pub(super) certificate: &'a [u8],
    pub(super) quoted: &'a Quoted,
    pub(super) event_log: Option<&'a [u8]>,
    pub(super) ima_log: Option<&'a [u8]>,
}

/// A request before the TPM has quoted for it.
pub(super) struct Request<'a> {
    key: &'a SigningKey,
    challenge: &'a Challenge,
    /// The text that is hashed and sent, byte for byte.
    jwk: String,
}

impl<'a> Request<'a> {
    pub(super) fn new(key: &'a SigningKey, challenge: &'a Challenge) -> Result<Self, Failure> {
        let public = key.public_key().ok().and_then(|public| jwk(&public)).ok_or_else(unusable_key)?;
        Ok(Self { key, challenge, jwk: public.to_string() })
    }

    /// The qualifying data of the quote: SHA-256 of the text of the key, a zero byte and the challenge.
    pub(super) fn nonce(&self) -> [u8; 32] {
        crypto::sha256_of_parts(&[self.jwk.as_bytes(), &[0], &self.challenge.octets])
    }

    /// The request as a compact JWS, PS256 under the request key.
    pub(super) fn sign(
        &self,
        arguments: &Arguments,
        rp_data: Option<&[u8]>,
        evidence: &Evidence<'_>,
    ) -> Result<String, Failure> {
        let unserialisable = |error| Failure::failed(format!("the request cannot be written: {error}"));
        let request_key = RequestKey {
            jwk: RawValue::from_string(self.jwk.clone()).map_err(unserialisable)?,
            info: json!({ "tpm_quote": { "hash_alg": "sha-256" } }),
        };
        let claims = arguments.claims.iter();
        let payload = Payload {
            att_type: "basic",
            att_data: AttData {
                rp_id: arguments.rp_id.as_deref(),
                rp_data: rp_data.map(encode),
                challenge: &self.challenge.text,
                tpm_att_data: json!({ "current_attestation": attestation(evidence)? }),
                request_key,
                custom_claims: claims
                    .map(|(name, value)| json!({ "name": name, "value": value, "value_type": "string" }))
                    .collect(),
                service_context: &self.challenge.service_context,
            },
        };
        let header = json!({ "alg": "PS256", "typ": "attReqV2" }).to_string();
        let payload = serde_json::to_vec(&payload).map_err(unserialisable)?;
        let input = format!("{}.{}", encode(header.as_bytes()), encode(&payload));
        let signature = self
            .key
            .sign_ps256(input.as_bytes())
            .map_err(|error| Failure::failed(format!("the request: {error}")))?;
        Ok(format!("{input}.{}", encode(&signature)))
    }
}

#[derive(Serialize)]
struct Payload<'a> {
    att_type: &'a str,
    att_data: AttData<'a>,
}

#[derive(Serialize)]
struct AttData<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    rp_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rp_data: Option<String>,
    challenge: &'a str,
    tpm_att_data: Value,
    request_key: RequestKey,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    custom_claims: Vec<Value>,
    service_context: &'a str,
}

#[derive(Serialize)]
struct RequestKey {
    jwk: Box<RawValue>,
    info: Value,
}

/// `current_attestation`: the logs in the order in which they were measured, and the quote.
fn attestation(evidence: &Evidence<'_>) -> Result<Value, Failure> {
    let log = |kind: &str, log: &[u8]| json!({ "type": kind, "log": encode(log) });
    let logs: Vec<Value> = evidence
        .event_log
        .map(|bytes| log("TCG", bytes))
        .into_iter()
        .chain(evidence.ima_log.map(|bytes| log("IMA", bytes)))
        .collect();
    let aik = PublicArea::parse(evidence.key).ok().and_then(|area| area.public_key().ok());
    let aik = aik.as_ref().and_then(jwk).ok_or_else(unusable_key)?;
    let quoted = evidence.quoted;
    let values = quoted.pcrs.iter();
    let values: Vec<Value> =
        values.map(|(index, value)| json!({ "index": index, "digest": encode(value) })).collect();
    Ok(json!({
        "logs": logs,
        "aik_cert": encode(evidence.certificate),
        "aik_pub": aik,
        "pcrs": [{ "algorithm": hash_id(quoted.bank), "values": values }],
        "quote": encode(&quoted.attest),
        "signature": encode(&quoted.signature),
    }))
}

/// A public key as a JSON Web Key (RFC 7518 §6).
fn jwk(key: &PublicKey) -> Option<Value> {
    if let Some((modulus, exponent)) = key.rsa_numbers() {
        return Some(json!({ "kty": "RSA", "n": encode(modulus), "e": encode(exponent) }));
    }
    let curve = key.curve()?;
    let (x, y) = key.point()?.get(1..)?.split_at_checked(curve.field_bytes())?;
    let curve = match curve {
        Curve::P256 => "P-256",
        Curve::P384 => "P-384",
        Curve::P521 => "P-521",
    };
    Some(json!({ "kty": "EC", "crv": curve, "x": encode(x), "y": encode(y) }))
}

/// One round: `data` holds JSON, whose only member is `payload`, as the published clients send it. Services that
/// answer without that wrapping are understood as well.
fn exchange(connection: &Connection, payload: &Value) -> Result<Map<String, Value>, Failure> {
    let message = json!({ "payload": payload }).to_string();
    let body = Body::Json(json!({ "data": encode(message.as_bytes()) }));
    let answer = connection.json(Method::POST, "attest/Tpm", body)?;
    let decoded = answer
        .get("data")
        .and_then(Value::as_str)
        .and_then(|data| URL_SAFE_NO_PAD.decode(data.trim_end_matches('=')).ok())
        .and_then(|data| serde_json::from_slice::<Map<String, Value>>(&data).ok());
    let mut decoded = decoded.ok_or_else(|| {
        Failure::failed("the service's answer is not a message of the TPM protocol")
            .hint("is TPM attestation served at this endpoint?")
    })?;
    match decoded.remove("payload") {
        Some(Value::Object(payload)) => Ok(payload),
        _ => Ok(decoded),
    }
}

fn member<'a>(answer: &'a Map<String, Value>, name: &str) -> Result<&'a str, Failure> {
    answer
        .get(name)
        .and_then(Value::as_str)
        .ok_or_else(|| Failure::failed(format!("the service's answer has no `{name}`")))
}

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn unusable_key() -> Failure {
    Failure::failed("a public key cannot be written as a JSON Web Key")
}

#[cfg(test)]
mod tests {
    use crypto::SigningAlgorithm;

    use super::*;

    #[test]
    fn keys_are_written_as_json_web_keys() {
        let rsa = PublicKey::rsa(&[0xff; 256], &[1, 0, 1]).unwrap();
        assert_eq!(jwk(&rsa).unwrap(), json!({ "kty": "RSA", "n": encode(&[0xff; 256]), "e": "AQAB" }));
        let key = SigningKey::generate(SigningAlgorithm::Es256).unwrap().public_key().unwrap();
        let point = key.point().unwrap();
        let written = jwk(&key).unwrap();
        assert_eq!((&written["kty"], &written["crv"]), (&json!("EC"), &json!("P-256")));
        assert_eq!(
            (&written["x"], &written["y"]),
            (&json!(encode(&point[1..33])), &json!(encode(&point[33..])))
        );
    }

    #[test]
    fn the_quote_is_bound_to_the_text_of_the_key_that_is_sent() {
        let key = SigningKey::generate(SigningAlgorithm::Rs256).unwrap();
        let challenge =
            Challenge { text: "AQI".to_owned(), octets: vec![1, 2], service_context: "opaque".to_owned() };
        let request = Request::new(&key, &challenge).unwrap();
        let sent = RequestKey { jwk: RawValue::from_string(request.jwk.clone()).unwrap(), info: Value::Null };
        let sent = serde_json::to_string(&sent).unwrap();
        let text = sent.strip_prefix("{\"jwk\":").unwrap().strip_suffix(",\"info\":null}").unwrap();
        assert_eq!(request.nonce(), crypto::sha256(&[text.as_bytes(), &[0, 1, 2]].concat()));
    }
}
