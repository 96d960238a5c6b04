//! The certificate of the attestation key: kept from an earlier run, or asked of the service's attestation authority,
//! which makes a credential that only the TPM with the endorsement certificate can open, and only with this key loaded.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use evidence::tpm::{AkCertificate, PublicArea};
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};

use super::Tpm as Arguments;
use super::state::State;
use crate::commands::connection::{Body, Connection};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::input;
use crate::output;
use crate::tpm::Tpm;
use crate::tpm::attestation_key::{AttestationKey, activate};
use crate::tpm::endorsement::Endorsement;

/// A certified attestation key.
pub(super) struct Enrolment {
    /// DER.
    pub(super) certificate: Vec<u8>,
    /// Its issuers, DER.
    pub(super) chain: Vec<Vec<u8>>,
    /// DER, if it is known.
    pub(super) ek_certificate: Option<Vec<u8>>,
    origin: Origin,
}

enum Origin {
    Enrolled,
    File(PathBuf),
    Kept,
}

impl Enrolment {
    pub(super) fn obtain(
        arguments: &Arguments,
        state: &State,
        tpm: &mut Tpm,
        key: &AttestationKey,
    ) -> Result<Self, Failure> {
        if let Some(path) = &arguments.ak_certificate {
            return Self::of_file(path, key);
        }
        let (endpoint, algorithm) = (&arguments.connection.endpoint, arguments.key_algorithm);
        let kept = if arguments.enroll { None } else { state.certificate(endpoint, algorithm)? };
        if let Some(kept) = kept.and_then(|kept| Kept::usable(&kept, key, OffsetDateTime::now_utc())) {
            return Ok(kept);
        }
        let endorsement = match &arguments.ek_certificate {
            Some(path) => Endorsement::of_file(path)?,
            None => Endorsement::of_tpm(tpm)?,
        };
        let kept = enrol(&arguments.connection, tpm, key, &endorsement)?;
        let enrolment = kept.open(key, Origin::Enrolled).map_err(|why| {
            Failure::failed(format!("the certificate that the service issued cannot be used: {why}"))
        })?;
        let content = serde_json::to_vec_pretty(&kept)
            .map_err(|error| Failure::failed(format!("the enrolment cannot be written as JSON: {error}")))?;
        state.keep_certificate(endpoint, algorithm, &content)?;
        output::note(&format!(
            "note: enrolled as machine {}; the certificate is valid until {}",
            output::printable(&kept.machine),
            output::printable(&kept.not_after)
        ));
        Ok(enrolment)
    }

    fn of_file(path: &Path, key: &AttestationKey) -> Result<Self, Failure> {
        let unusable = |why: String| Failure::usage(format!("`{}` {why}", path.display()));
        let bytes = input::read_file(path)?;
        let certificate = AkCertificate::parse(&bytes)
            .map_err(|error| unusable(format!("holds no certificate that can be used: {error}")))?;
        if !certifies(&certificate, key) {
            return Err(unusable("does not certify the attestation key of this state directory".to_owned()));
        }
        let (certificate, origin) = (certificate.der().to_vec(), Origin::File(path.to_owned()));
        Ok(Self { certificate, chain: Vec::new(), ek_certificate: None, origin })
    }

    /// Adds what may help if the service refused evidence under this certificate.
    pub(super) fn explain(&self, failure: Failure) -> Failure {
        match &self.origin {
            Origin::Kept if failure.exit == Exit::Denied => failure.hint_if_none(
                "if the service does not know this machine's certificate any more, add `--enroll`",
            ),
            Origin::File(path) if failure.exit == Exit::Denied => {
                failure.hint_if_none(&format!("does the service trust the issuer of `{}`?", path.display()))
            }
            _ => failure,
        }
    }
}

/// The protocol of enrolment (`docs/tpm.md`): two requests, a credential opened in between.
fn enrol(
    connection: &Connection,
    tpm: &mut Tpm,
    key: &AttestationKey,
    endorsement: &Endorsement,
) -> Result<Kept, Failure> {
    let ek = endorsement.load(tpm)?;
    let certificates: Vec<String> = endorsement.certificates.iter().map(|der| encode(der)).collect();
    let offer = json!({
        "ekCertificates": certificates,
        "ekPublic": encode(&ek.public),
        "aikPublic": encode(&key.public),
    });
    let answer = connection.json(Method::POST, "tpm/enrollments", Body::Json(offer)).map_err(refused)?;
    let secret =
        activate(tpm, key, &ek, &bytes(&answer, "credentialBlob")?, &bytes(&answer, "encryptedSecret")?)?;
    tpm.flush(ek.handle)?;
    let proof =
        json!({ "enrollmentContext": text(&answer, "enrollmentContext")?, "secret": encode(&secret) });
    let answer =
        connection.json(Method::POST, "tpm/enrollments:activate", Body::Json(proof)).map_err(refused)?;
    let kept = Kept {
        endpoint: connection.endpoint.clone(),
        machine: text(&answer, "machine")?.to_owned(),
        not_after: text(&answer, "notAfter")?.to_owned(),
        aik_certificate: text(&answer, "aikCertificate")?.to_owned(),
        aik_certificate_chain: answer
            .get("aikCertificateChain")
            .and_then(Value::as_array)
            .map(|chain| chain.iter().filter_map(Value::as_str).map(str::to_owned).collect())
            .unwrap_or_default(),
        ek_certificate: certificates.into_iter().next(),
    };
    Ok(kept)
}

fn refused(failure: Failure) -> Failure {
    let message = format!("enrolment of this machine's TPM: {}", failure.message);
    match failure.exit {
        Exit::Denied => Failure { message, ..failure }.hint_if_none(
            "whose TPMs a service enrols is up to its operator (`vouchsafe serve --tpm-roots DIR`)",
        ),
        _ => Failure { message, ..failure }.hint_if_none(
            "a service without an attestation authority needs the key certified by another one: `--ak-certificate FILE`",
        ),
    }
}

/// What is kept of an enrolment, in the words of its protocol.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Kept {
    endpoint: String,
    machine: String,
    not_after: String,
    aik_certificate: String,
    aik_certificate_chain: Vec<String>,
    ek_certificate: Option<String>,
}

impl Kept {
    /// The enrolment in a kept file; nothing if it is damaged, of another key, or about to end.
    fn usable(content: &[u8], key: &AttestationKey, now: OffsetDateTime) -> Option<Enrolment> {
        let kept: Self = serde_json::from_slice(content).ok()?;
        let enrolment = kept.open(key, Origin::Kept).ok()?;
        let validity = AkCertificate::parse(&enrolment.certificate).ok()?.validity();
        (now.saturating_add(RENEWAL) < validity.not_after).then_some(enrolment)
    }

    /// Takes the certificates out; the first must be one of this key.
    fn open(&self, key: &AttestationKey, origin: Origin) -> Result<Enrolment, String> {
        let decode = |text: &String| {
            URL_SAFE_NO_PAD.decode(text).map_err(|_| "it is not base64url without padding".to_owned())
        };
        let certificate = decode(&self.aik_certificate)?;
        let parsed = AkCertificate::parse(&certificate).map_err(|error| error.to_string())?;
        if !certifies(&parsed, key) {
            return Err("it certifies another key than the one that was sent".to_owned());
        }
        let chain = self.aik_certificate_chain.iter().map(decode).collect::<Result<Vec<_>, _>>()?;
        let ek_certificate = self.ek_certificate.as_ref().map(decode).transpose()?;
        Ok(Enrolment { certificate, chain, ek_certificate, origin })
    }
}

fn certifies(certificate: &AkCertificate, key: &AttestationKey) -> bool {
    let key = PublicArea::parse(&key.public).ok().and_then(|area| area.public_key().ok());
    key.as_ref() == Some(certificate.public_key())
}

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn text<'a>(answer: &'a Value, name: &str) -> Result<&'a str, Failure> {
    answer
        .get(name)
        .and_then(Value::as_str)
        .ok_or_else(|| Failure::failed(format!("the service's answer to the enrolment has no `{name}`")))
}

fn bytes(answer: &Value, name: &str) -> Result<Vec<u8>, Failure> {
    URL_SAFE_NO_PAD.decode(text(answer, name)?).map_err(|_| {
        Failure::failed(format!("`{name}` in the service's answer to the enrolment is not base64url"))
    })
}

/// A certificate that ends this soon is renewed now, not in the middle of an attestation.
const RENEWAL: Duration = Duration::minutes(10);
