//! What a request carries: evidence of the current boot and of one before, keys, claims of the client.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::error::TpmMessageError;
use super::key::{Jwk, Key, KeyInfo, RawKey, bytes};
use super::request::ProtocolVersion;

/// The payload of a request, decoded. Nothing of it is believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content<'a> {
    /// The challenge that is answered.
    pub challenge: Vec<u8>,
    /// What came with the challenge.
    pub service_context: Vec<u8>,
    /// Of the relying party, which says what it is: StringOrURI.
    pub rp_id: Option<String>,
    /// Of the relying party: base64url, echoed as it is.
    pub rp_data: Option<String>,
    /// Evidence of the current boot or resume.
    pub current: Option<Quoted<'a>>,
    /// Evidence of the cold boot before a hibernation.
    pub boot: Option<Quoted<'a>>,
    /// The key that signs the request.
    pub request_key: Key<'a>,
    /// Further keys.
    pub other_keys: Vec<Key<'a>>,
    /// What the client says.
    pub custom_claims: Vec<CustomClaim>,
    /// The report of an enclave, for the type `vbs`.
    pub enclave: Option<Enclave<'a>>,
}

/// A quote with what it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quoted<'a> {
    /// The attestation key's certificate, DER.
    pub aik_cert: Option<Vec<u8>>,
    /// The attestation key.
    pub aik_pub: Jwk<'a>,
    /// TCG logs, in the order of measurement.
    pub tcg_logs: Vec<Vec<u8>>,
    /// The IMA log.
    pub ima_log: Option<Vec<u8>>,
    /// The quote.
    pub quote: Quote,
}

/// A quote in one of the two forms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Quote {
    /// The platform claim that Windows makes (version 1).
    PlatformClaim(Vec<u8>),
    /// As the TPM gives it (version 2).
    Tpm {
        /// `TPMS_ATTEST`.
        quote: Vec<u8>,
        /// `TPMT_SIGNATURE`.
        signature: Vec<u8>,
        /// The values, bank by bank.
        pcrs: Vec<Bank>,
    },
}

/// Values of the PCRs of one bank.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bank {
    /// The bank's `TPM_ALG_ID`.
    pub algorithm: u16,
    /// Index and value.
    pub values: Vec<(u8, Vec<u8>)>,
}

/// A claim that the client makes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct CustomClaim {
    /// What it is called.
    pub name: String,
    /// Its value, as text.
    pub value: String,
    /// What type the value has.
    pub value_type: String,
}

/// The report of an enclave of virtualisation-based security.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enclave<'a> {
    /// What `EnclaveGetAttestationReport` gave.
    pub report: Vec<u8>,
    /// The text of `report_signed` with its braces, byte for byte: the report covers its hash.
    pub signed_text: &'a str,
}

pub(super) fn parse(payload: &[u8], version: ProtocolVersion) -> Result<Content<'_>, TpmMessageError> {
    let payload: RawPayload<'_> = json("payload of `request`", payload)?;
    let is_vbs = match payload.att_type.as_str() {
        "basic" => false,
        // The documentation calls it so once.
        "vbs" | "vsm" => true,
        other => {
            let found = format!("`{}`", other.chars().take(64).collect::<String>());
            return Err(TpmMessageError::Unknown { member: "att_type", found, send: "`basic` or `vbs`" });
        }
    };
    let (members, report) = if is_vbs {
        let vbs: RawVbs<'_> = json("att_data", payload.att_data.get().as_bytes())?;
        let report = match version {
            ProtocolVersion::V1 => json::<String>("vsm_report", vbs.vsm_report.get().as_bytes())?,
            ProtocolVersion::V2 => {
                json::<RawVsmReport>("vsm_report", vbs.vsm_report.get().as_bytes())?.enclave.report
            }
        };
        (vbs.report_signed, Some(bytes("vsm_report", &report)?))
    } else {
        (payload.att_data, None)
    };
    let text = members.get();
    let mut content = match version {
        ProtocolVersion::V1 => v1(json("att_data", text.as_bytes())?)?,
        ProtocolVersion::V2 => v2(json("att_data", text.as_bytes())?)?,
    };
    content.enclave = report.map(|report| Enclave { report, signed_text: text });
    Ok(content)
}

fn json<'a, T: Deserialize<'a>>(what: &'static str, text: &'a [u8]) -> Result<T, TpmMessageError> {
    serde_json::from_slice(text).map_err(|error| TpmMessageError::Json { what, reason: error.to_string() })
}

fn v1(raw: RawV1<'_>) -> Result<Content<'_>, TpmMessageError> {
    let request_key = Key { jwk: Jwk::parse(raw.attest_key, "attest_key")?, info: KeyInfo::Possession };
    let (mut current, mut boot) = (None, None);
    if let Some(tpm) = raw.tpm_att_data {
        let aik_pub = Jwk::parse(tpm.aik_pub, "aik_pub")?;
        let aik_cert = tpm.aik_cert.map(|text| bytes("aik_cert", &text)).transpose()?;
        let quoted = |claim: &str, member, logs| -> Result<_, TpmMessageError> {
            let quote = Quote::PlatformClaim(bytes(member, claim)?);
            let (aik_cert, aik_pub) = (aik_cert.clone(), aik_pub.clone());
            Ok(Quoted { aik_cert, aik_pub, tcg_logs: logs, ima_log: None, quote })
        };
        let logs = |texts: [(&'static str, Option<String>); 2]| {
            let sent = texts.into_iter().filter_map(|(member, text)| Some((member, text?)));
            sent.filter(|(_, text)| !text.is_empty()).map(|(member, text)| bytes(member, &text)).collect()
        };
        let boot_logs: Result<Vec<_>, _> =
            logs([("srtm_boot_log", tpm.srtm_boot_log), ("drtm_boot_log", tpm.drtm_boot_log)]);
        let resume_logs: Result<Vec<_>, _> =
            logs([("srtm_resume_log", tpm.srtm_resume_log), ("drtm_resume_log", tpm.drtm_resume_log)]);
        let (boot_logs, resume_logs) = (boot_logs?, resume_logs?);
        // A resume from hibernation starts the PCRs anew: its logs, if there are any, are those of the
        // current values.
        let current_logs = if resume_logs.is_empty() { boot_logs.clone() } else { resume_logs };
        current = Some(quoted(&tpm.current_claim, "current_claim", current_logs)?);
        if let Some(claim) = tpm.boot_claim {
            boot = Some(quoted(&claim, "boot_claim", boot_logs)?);
        }
    }
    common(raw.common, current, boot, request_key, Vec::new())
}

fn v2(raw: RawV2<'_>) -> Result<Content<'_>, TpmMessageError> {
    let request_key = Key::parse(raw.request_key, "request_key")?;
    let others = raw.other_keys.unwrap_or_default();
    if others.len() > MAX_OTHER_KEYS {
        let what = "`other_keys`";
        return Err(TpmMessageError::TooMany { what, found: others.len(), limit: MAX_OTHER_KEYS });
    }
    let others = others.into_iter().map(|key| Key::parse(key, "other_keys"));
    let others = others.collect::<Result<Vec<_>, _>>()?;
    let (current, boot) = match raw.tpm_att_data {
        None => (None, None),
        Some(tpm) => (Some(quoted(tpm.current_attestation)?), tpm.boot_attestation.map(quoted).transpose()?),
    };
    common(raw.common, current, boot, request_key, others)
}

fn common<'a>(
    raw: RawCommon,
    current: Option<Quoted<'a>>,
    boot: Option<Quoted<'a>>,
    request_key: Key<'a>,
    other_keys: Vec<Key<'a>>,
) -> Result<Content<'a>, TpmMessageError> {
    let custom_claims = raw.custom_claims.unwrap_or_default();
    if custom_claims.len() > MAX_CUSTOM_CLAIMS {
        let (what, found) = ("`custom_claims`", custom_claims.len());
        return Err(TpmMessageError::TooMany { what, found, limit: MAX_CUSTOM_CLAIMS });
    }
    let rp_data = raw.rp_data.filter(|text| !text.is_empty());
    if let Some(text) = &rp_data {
        if text.len() > MAX_RP_CHARS {
            return Err(TpmMessageError::TooLong { what: "`rp_data`", limit: MAX_RP_CHARS });
        }
        bytes("rp_data", text)?;
    }
    let rp_id = raw.rp_id.filter(|text| !text.is_empty());
    if rp_id.as_ref().is_some_and(|text| text.len() > MAX_RP_CHARS) {
        return Err(TpmMessageError::TooLong { what: "`rp_id`", limit: MAX_RP_CHARS });
    }
    Ok(Content {
        challenge: bytes("challenge", &raw.challenge)?,
        service_context: bytes("service_context", &raw.service_context)?,
        rp_id,
        rp_data,
        current,
        boot,
        request_key,
        other_keys,
        custom_claims,
        enclave: None,
    })
}

fn quoted(raw: RawQuoted<'_>) -> Result<Quoted<'_>, TpmMessageError> {
    if raw.logs.len() > MAX_LOGS {
        return Err(TpmMessageError::TooMany { what: "`logs`", found: raw.logs.len(), limit: MAX_LOGS });
    }
    let (mut tcg_logs, mut ima_log) = (Vec::new(), None);
    for log in raw.logs {
        match log.kind.as_str() {
            "TCG" => tcg_logs.push(bytes("log", &log.log)?),
            "IMA" if ima_log.is_none() => ima_log = Some(bytes("log", &log.log)?),
            "IMA" => return Err(TpmMessageError::TooMany { what: "logs of type `IMA`", found: 2, limit: 1 }),
            other => {
                let found = format!("`{}`", other.chars().take(64).collect::<String>());
                return Err(TpmMessageError::Unknown { member: "logs.type", found, send: "`TCG` or `IMA`" });
            }
        }
    }
    if raw.pcrs.len() > MAX_BANKS {
        return Err(TpmMessageError::TooMany { what: "`pcrs`", found: raw.pcrs.len(), limit: MAX_BANKS });
    }
    let mut pcrs = Vec::with_capacity(raw.pcrs.len());
    for bank in raw.pcrs {
        if bank.values.len() > MAX_PCRS {
            let (what, found) = ("values of `pcrs`", bank.values.len());
            return Err(TpmMessageError::TooMany { what, found, limit: MAX_PCRS });
        }
        let values = bank.values.into_iter().map(|value| Ok((value.index, bytes("digest", &value.digest)?)));
        let values = values.collect::<Result<_, TpmMessageError>>()?;
        pcrs.push(Bank { algorithm: bank.algorithm, values });
    }
    Ok(Quoted {
        aik_cert: raw
            .aik_cert
            .map(|text| bytes("aik_cert", &text))
            .transpose()?
            .filter(|der| !der.is_empty()),
        aik_pub: Jwk::parse(raw.aik_pub, "aik_pub")?,
        tcg_logs,
        ima_log,
        quote: Quote::Tpm {
            quote: bytes("quote", &raw.quote)?,
            signature: bytes("signature", &raw.signature)?,
            pcrs,
        },
    })
}

#[derive(Deserialize)]
struct RawPayload<'a> {
    att_type: String,
    #[serde(borrow)]
    att_data: &'a RawValue,
}

#[derive(Deserialize)]
struct RawVbs<'a> {
    #[serde(borrow)]
    report_signed: &'a RawValue,
    #[serde(borrow)]
    vsm_report: &'a RawValue,
}

#[derive(Deserialize)]
struct RawVsmReport {
    enclave: RawEnclave,
}

#[derive(Deserialize)]
struct RawEnclave {
    report: String,
}

#[derive(Deserialize)]
struct RawCommon {
    challenge: String,
    service_context: String,
    rp_id: Option<String>,
    rp_data: Option<String>,
    custom_claims: Option<Vec<CustomClaim>>,
}

#[derive(Deserialize)]
struct RawV1<'a> {
    #[serde(flatten)]
    common: RawCommon,
    #[serde(borrow)]
    tpm_att_data: Option<RawTpmV1<'a>>,
    #[serde(borrow)]
    attest_key: &'a RawValue,
}

#[derive(Deserialize)]
struct RawTpmV1<'a> {
    srtm_boot_log: Option<String>,
    srtm_resume_log: Option<String>,
    drtm_boot_log: Option<String>,
    drtm_resume_log: Option<String>,
    aik_cert: Option<String>,
    #[serde(borrow)]
    aik_pub: &'a RawValue,
    current_claim: String,
    boot_claim: Option<String>,
}

#[derive(Deserialize)]
struct RawV2<'a> {
    #[serde(flatten)]
    common: RawCommon,
    #[serde(borrow)]
    tpm_att_data: Option<RawTpmV2<'a>>,
    #[serde(borrow)]
    request_key: RawKey<'a>,
    #[serde(borrow)]
    other_keys: Option<Vec<RawKey<'a>>>,
}

#[derive(Deserialize)]
struct RawTpmV2<'a> {
    #[serde(borrow)]
    current_attestation: RawQuoted<'a>,
    #[serde(borrow)]
    boot_attestation: Option<RawQuoted<'a>>,
}

#[derive(Deserialize)]
struct RawQuoted<'a> {
    #[serde(default)]
    logs: Vec<RawLog>,
    aik_cert: Option<String>,
    #[serde(borrow)]
    aik_pub: &'a RawValue,
    pcrs: Vec<RawBank>,
    quote: String,
    signature: String,
}

#[derive(Deserialize)]
struct RawLog {
    #[serde(rename = "type")]
    kind: String,
    log: String,
}

#[derive(Deserialize)]
struct RawBank {
    algorithm: u16,
    values: Vec<RawPcr>,
}

#[derive(Deserialize)]
struct RawPcr {
    index: u8,
    digest: String,
}

/// The protocol's own limit.
const MAX_OTHER_KEYS: usize = 2;
/// Boot, resume and DRTM logs, and one of IMA, with room.
const MAX_LOGS: usize = 8;
/// More than any TPM allocates.
const MAX_BANKS: usize = 8;
/// A TPM of a PC has 24.
const MAX_PCRS: usize = 32;
/// What a policy reads of a client is a handful.
const MAX_CUSTOM_CLAIMS: usize = 64;
/// They are echoed in the token.
const MAX_RP_CHARS: usize = 4096;
