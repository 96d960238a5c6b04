//! The kinds of evidence files that the commands read, named as in the vectors' manifest.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use clap::ValueEnum;
use clap::builder::PossibleValue;
use serde_json::Value;

use crate::input;

/// What an evidence file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// An Intel SGX ECDSA quote, version 3
    SgxQuoteV3,
    /// An Open Enclave report or evidence around such a quote
    OeReport,
    /// JSON with the quote or report in hex or base64 (`QuoteHex`, `quote`)
    SgxQuoteJson,
    /// JSON with `evidence` and `endorsements` in base64
    SgxAttestationJson,
}

/// What evidence of a measured boot is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum BootKind {
    /// A directory with a TPM's quote, its key, and the logs of the boot
    TpmEvidence,
    /// A TCG event log alone, as Linux has it in `binary_bios_measurements`
    TcgEventlog,
    /// The event log of a confidential VM alone (ACPI table CCEL)
    CcEventlog,
}

impl BootKind {
    /// Recognises a crypto-agile or SHA-1 log by its header, and a directory by its quote.
    pub(crate) fn recognise_file(file: &[u8]) -> Option<Self> {
        // TCG PC Client Platform Firmware Profile, 10.4.5.1: the data of the first record, behind its 32 bytes.
        file.get(32..).filter(|data| data.starts_with(b"Spec ID Event0")).map(|_| Self::TcgEventlog)
    }
}

/// Every kind of evidence that `evidence` commands read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AnyKind {
    Boot(BootKind),
    Quote(Kind),
}

impl ValueEnum for AnyKind {
    fn value_variants<'a>() -> &'a [Self] {
        &[
            Self::Quote(Kind::SgxQuoteV3),
            Self::Quote(Kind::OeReport),
            Self::Quote(Kind::SgxQuoteJson),
            Self::Quote(Kind::SgxAttestationJson),
            Self::Boot(BootKind::TpmEvidence),
            Self::Boot(BootKind::TcgEventlog),
            Self::Boot(BootKind::CcEventlog),
        ]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        match self {
            Self::Boot(kind) => kind.to_possible_value(),
            Self::Quote(kind) => kind.to_possible_value(),
        }
    }
}

/// The vendor's bytes taken out of a file, and the endorsements that came along.
pub(crate) struct Envelope {
    pub(crate) evidence: Vec<u8>,
    pub(crate) endorsements: Option<Vec<u8>>,
}

impl Kind {
    /// Recognises a file by its content; `None` if it looks like none of them.
    pub(crate) fn recognise(file: &[u8]) -> Option<Self> {
        let bytes = input::without_comment_lines(file);
        if bytes.starts_with(&[3, 0]) && !bytes.starts_with(&[3, 0, 0, 0]) {
            Some(Self::SgxQuoteV3)
        } else if bytes.starts_with(&[1, 0, 0, 0])
            || bytes.starts_with(&[2, 0, 0, 0])
            || bytes.starts_with(&[3, 0, 0, 0])
        {
            Some(Self::OeReport)
        } else {
            let object: Value = serde_json::from_slice(bytes).ok()?;
            let is_attestation = object.get("evidence").is_some() && object.get("endorsements").is_some();
            let is_quote = QUOTE_MEMBERS.iter().any(|name| object.get(name).is_some());
            match (is_attestation, is_quote) {
                (true, _) => Some(Self::SgxAttestationJson),
                (_, true) => Some(Self::SgxQuoteJson),
                _ => None,
            }
        }
    }

    /// Takes the evidence out of a file of this kind. The error says what is wrong with the file.
    pub(crate) fn open(self, file: &[u8]) -> Result<Envelope, String> {
        let bytes = input::without_comment_lines(file);
        match self {
            Self::OeReport | Self::SgxQuoteV3 => {
                Ok(Envelope { evidence: bytes.to_vec(), endorsements: None })
            }
            Self::SgxQuoteJson => {
                let object = parse_object(bytes)?;
                let found = QUOTE_MEMBERS.iter().find_map(|name| Some((*name, object.get(name)?)));
                let (name, value) = found.ok_or_else(|| {
                    format!("the JSON has none of the members {}", QUOTE_MEMBERS.join(", "))
                })?;
                Ok(Envelope { evidence: member_bytes(name, value)?, endorsements: None })
            }
            Self::SgxAttestationJson => {
                let object = parse_object(bytes)?;
                let take = |name: &str| {
                    let value = object.get(name).ok_or_else(|| format!("the JSON has no member `{name}`"))?;
                    member_bytes(name, value)
                };
                Ok(Envelope { evidence: take("evidence")?, endorsements: Some(take("endorsements")?) })
            }
        }
    }

    /// Whether the evidence inside has the Open Enclave header. The JSON kinds hold either.
    pub(crate) fn is_open_enclave(self, evidence: &[u8]) -> bool {
        match self {
            Self::SgxQuoteV3 => false,
            Self::OeReport => true,
            Self::SgxAttestationJson | Self::SgxQuoteJson => {
                Self::recognise(evidence) == Some(Self::OeReport)
            }
        }
    }
}

/// Where tools put the quote, the unambiguous encodings first.
const QUOTE_MEMBERS: [&str; 4] = ["QuoteHex", "Quote", "quote", "report"];

fn parse_object(bytes: &[u8]) -> Result<Value, String> {
    let value: Value = serde_json::from_slice(bytes).map_err(|error| format!("not JSON: {error}"))?;
    if value.is_object() { Ok(value) } else { Err("not a JSON object".to_owned()) }
}

/// Hex if every character allows it, base64 of either alphabet otherwise. A quote in base64 begins with `AwACA`,
/// which has a `w`, so the two cannot be confused.
fn member_bytes(name: &str, value: &Value) -> Result<Vec<u8>, String> {
    let text = value.as_str().ok_or_else(|| format!("the JSON member `{name}` is not a string"))?.trim();
    if let Ok(bytes) = hex::decode(text) {
        return Ok(bytes);
    }
    let unpadded = text.trim_end_matches('=').replace('+', "-").replace('/', "_");
    URL_SAFE_NO_PAD
        .decode(&unpadded)
        .or_else(|_| STANDARD.decode(text))
        .map_err(|_| format!("the JSON member `{name}` is neither hex nor base64"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_recognised_by_content() {
        assert_eq!(Kind::recognise(&[3, 0, 2, 0, 0]), Some(Kind::SgxQuoteV3));
        assert_eq!(Kind::recognise(b"# comment\n\x03\x00\x02\x00"), Some(Kind::SgxQuoteV3));
        assert_eq!(Kind::recognise(&[1, 0, 0, 0, 2, 0, 0, 0]), Some(Kind::OeReport));
        assert_eq!(Kind::recognise(br#"{"QuoteHex": "0300"}"#), Some(Kind::SgxQuoteJson));
        assert_eq!(
            Kind::recognise(br#"{"evidence": "", "endorsements": ""}"#),
            Some(Kind::SgxAttestationJson)
        );
        assert_eq!(Kind::recognise(b"{}"), None);
        assert_eq!(Kind::recognise(b""), None);
    }

    #[test]
    fn every_kind_can_be_named() {
        let names = |values: Vec<Option<PossibleValue>>| -> Vec<String> {
            values.into_iter().map(|value| value.unwrap().get_name().to_owned()).collect()
        };
        let all = names(AnyKind::value_variants().iter().map(ValueEnum::to_possible_value).collect());
        let mut each = names(Kind::value_variants().iter().map(ValueEnum::to_possible_value).collect());
        each.extend(names(BootKind::value_variants().iter().map(ValueEnum::to_possible_value).collect()));
        assert_eq!(all, each);
    }

    #[test]
    fn json_members_are_hex_or_base64() {
        let evidence =
            |text: &str| Kind::SgxQuoteJson.open(text.as_bytes()).map(|envelope| envelope.evidence);
        assert_eq!(evidence(r#"{"QuoteHex": "0300FB"}"#), Ok(vec![3, 0, 0xfb]));
        assert_eq!(evidence(r#"{"quote": "AwD7/w=="}"#), Ok(vec![3, 0, 0xfb, 0xff]));
        assert_eq!(evidence(r#"{"quote": "AwD7_w"}"#), Ok(vec![3, 0, 0xfb, 0xff]));
        assert!(evidence(r#"{"quote": "?"}"#).unwrap_err().contains("neither hex nor base64"));
        assert!(evidence(r#"{"quote": 1}"#).unwrap_err().contains("not a string"));
        assert!(evidence("{}").unwrap_err().contains("QuoteHex"));
        assert!(evidence("[]").unwrap_err().contains("not a JSON object"));
        assert!(evidence("x").unwrap_err().contains("not JSON"));
    }
}
