//! SGX evidence of the captures with its endorsements, taken through the production path.

use evidence::dcap::formats::Collection;
use evidence::dcap::{Endorsements, EndorsementsId, RawEndorsements, VerifiedPck};
use evidence::sgx::{Quote, VerifiedReport};
use evidence::{TrustAnchors, open_enclave};
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::Captures;
use crate::intel::{Ca, Forge, IdentityLevel, TcbLevel};
use crate::names;

/// How evidence is wrapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrapping {
    /// An Open Enclave report.
    OpenEnclave,
    /// A quote.
    Quote,
}

/// Evidence of the captures.
#[derive(Debug, Clone)]
pub struct Evidence {
    /// Its path, or its name in the SDKs' list.
    pub name: String,
    /// How it is wrapped.
    pub wrapping: Wrapping,
    /// The bytes.
    pub bytes: Vec<u8>,
}

impl Evidence {
    /// Parses it.
    ///
    /// # Errors
    /// The name of the broken rule.
    pub fn parse(&self) -> Result<Quote<'_>, String> {
        parse(self.wrapping, &self.bytes)
    }
}

/// Parses evidence of either wrapping.
///
/// # Errors
/// The name of the broken rule.
pub fn parse(wrapping: Wrapping, bytes: &[u8]) -> Result<Quote<'_>, String> {
    let quote = match wrapping {
        Wrapping::OpenEnclave => open_enclave::Report::parse(bytes).map(open_enclave::Report::into_quote),
        Wrapping::Quote => Quote::parse(bytes),
    };
    quote.map_err(|error| names::parse(&error))
}

/// Verifies the chain of `quote`.
///
/// # Errors
/// The name of the broken rule.
pub fn verify_chain(quote: &Quote<'_>, anchors: &TrustAnchors) -> Result<VerifiedPck, String> {
    let chain = quote.pck_chain().map_err(|rejection| names::verify(&rejection.error))?;
    chain.verify(anchors).map_err(|rejection| names::verify(&rejection.error))
}

/// Verifies `quote` with `raw` from start to end.
///
/// # Errors
/// The name of the broken rule.
pub fn verify(
    quote: &Quote<'_>,
    raw: &RawEndorsements,
    anchors: &TrustAnchors,
    now: OffsetDateTime,
) -> Result<VerifiedReport, String> {
    let pck = verify_chain(quote, anchors)?;
    let endorsements =
        Endorsements::verify(raw, anchors, now).map_err(|rejection| names::endorsement(&rejection.error))?;
    quote.verify(&pck, &endorsements, now).map_err(|rejection| names::verify(&rejection.error))
}

impl Captures {
    /// The endorsements in `files` for the platform of `quote`.
    ///
    /// # Errors
    /// What a file is not, or what is missing in all of them.
    ///
    /// # Panics
    /// If a file is not there.
    pub fn endorsements(
        &self,
        files: &[String],
        quote: &Quote<'_>,
        now: OffsetDateTime,
    ) -> Result<RawEndorsements, String> {
        let chain = quote.pck_chain().map_err(|rejection| names::verify(&rejection.error))?;
        self.endorsements_for(files, &chain.endorsements_id(), Some(&chain.issuer_chain_pem()), now)
    }

    /// The endorsements in `files` for platform `id`.
    ///
    /// # Errors
    /// As [`Self::endorsements`].
    ///
    /// # Panics
    /// If a file is not there.
    pub fn endorsements_for(
        &self,
        files: &[String],
        id: &EndorsementsId,
        pck_issuer_chain: Option<&[u8]>,
        now: OffsetDateTime,
    ) -> Result<RawEndorsements, String> {
        let mut collection = Collection::new();
        for file in files {
            collection.add(&self.read(file)).map_err(|error| format!("{file}: {error}"))?;
        }
        collection.select(id, pck_issuer_chain, now).map_err(|missing| missing.to_string())
    }

    /// The evidence in the SDKs' list, with its own entry.
    ///
    /// # Panics
    /// If the list is not what it was.
    #[must_use]
    pub fn sdk_evidence(&self) -> Vec<(Evidence, Value)> {
        let list: Vec<Value> =
            serde_json::from_slice(&self.read_sdk("evidence.json")).expect("a list of evidence");
        let decode = |entry: &Value| {
            let text = entry["evidence"].as_str().expect("base64url");
            token::base64url::decode(text.trim_end_matches('=')).expect("base64url")
        };
        list.into_iter()
            .map(|entry| {
                let wrapping = match entry["kind"].as_str() {
                    Some("OpenEnclave") => Wrapping::OpenEnclave,
                    Some("SgxEnclave") => Wrapping::Quote,
                    kind => panic!("evidence of kind {kind:?}"),
                };
                let name = entry["name"].as_str().expect("a name").to_owned();
                (Evidence { name, wrapping, bytes: decode(&entry) }, entry)
            })
            .collect()
    }
}

/// The certificates of any PEM text, whatever stands between them, in strict form.
fn blocks(text: &[u8]) -> Vec<String> {
    const END: &str = "-----END CERTIFICATE-----";
    let text = String::from_utf8_lossy(text).replace('\r', "");
    let blocks = text.split("-----BEGIN CERTIFICATE-----").skip(1);
    blocks
        .map(|block| {
            let (body, _) = block.split_once(END).expect("a block ends");
            let der = base64(&body.replace('\n', ""));
            crate::x509::pem("CERTIFICATE", &der)
        })
        .collect()
}

/// A PEM text in strict form.
#[must_use]
pub fn strict_pem(text: &[u8]) -> Vec<u8> {
    blocks(text).concat().into_bytes()
}

/// The middle of two times.
#[must_use]
pub fn middle(from: OffsetDateTime, to: OffsetDateTime) -> OffsetDateTime {
    (from + (to - from) / 2_i32).replace_nanosecond(0).expect("zero is in range")
}

/// Standard base64.
///
/// # Panics
/// If it is none.
#[must_use]
pub fn base64(text: &str) -> Vec<u8> {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.decode(text.trim()).expect("base64")
}

/// A quote of version 3 with the same signed parts and certification data of type 5.
///
/// # Panics
/// If the quote is shorter than its fixed part.
#[must_use]
pub fn with_pck_chain(quote: &[u8], chain: &[u8]) -> Vec<u8> {
    let u32_of = |length: usize| u32::try_from(length).expect("short").to_le_bytes();
    let at = 432 + 4 + 64 + 64 + 384 + 64;
    let data = usize::from(u16::from_le_bytes([quote[at], quote[at + 1]]));
    let fixed = &quote[436..at + 2 + data];
    let certification = [&5_u16.to_le_bytes()[..], &u32_of(chain.len()), chain].concat();
    [&quote[..432], &u32_of(fixed.len() + certification.len()), fixed, &certification].concat()
}

/// RFC 3339 in whole seconds and UTC, as the manifest writes time.
///
/// # Panics
/// If the year has not four digits.
#[must_use]
pub fn rfc3339(at: OffsetDateTime) -> String {
    at.format(&Rfc3339).expect("a year of four digits")
}

/// An operator's own baseline for a platform that the captures have no TCB info of: TCB info and QE identity
/// signed under a root of the operator's, and the revocation lists of `genuine`. Levels are the lowest
/// possible and up to date, so that everything but the TCB status is judged as it would be with Intel's.
///
/// # Panics
/// If the forged root is not of the right shape.
#[must_use]
pub fn own_baseline(
    genuine: &RawEndorsements,
    fmspc: [u8; 6],
    now: OffsetDateTime,
) -> (RawEndorsements, TrustAnchors) {
    let mut forge = Forge::new(Ca::Processor, now);
    forge.tcb_info.fmspc = fmspc;
    forge.tcb_info.levels = vec![TcbLevel::new([0; 16], 0, "UpToDate", now, 0)];
    forge.qe_identity.levels = vec![IdentityLevel::new(0, "UpToDate", now, 0)];
    let minted = forge.mint();
    let raw = RawEndorsements {
        tcb_info: minted.tcb_info,
        tcb_info_issuer_chain: minted.tcb_info_issuer_chain,
        qe_identity: minted.qe_identity,
        qe_identity_issuer_chain: minted.qe_identity_issuer_chain,
        ..genuine.clone()
    };
    let anchors = TrustAnchors::with_roots(&[], &[&minted.root]).expect("a root certificate");
    (raw, anchors)
}

/// A time of the manifest.
///
/// # Panics
/// If it is none.
#[must_use]
pub fn time(value: &Value) -> Option<OffsetDateTime> {
    value.as_str().map(|text| OffsetDateTime::parse(text, &Rfc3339).expect("a time"))
}

/// A list of texts of the manifest.
#[must_use]
pub fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(|item| Some(item.as_str()?.to_owned())).collect()
}
