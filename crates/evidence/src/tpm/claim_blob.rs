//! The platform claim that Windows makes of a quote (`NCryptCreateClaim`, TPM platform attestation; the
//! Platform Crypto Provider Toolkit, `TpmAtt.h`). Little-endian.
//!
//! No captured blob was at hand when this was written: it follows the published structure, see
//! `docs/divergences.md`.

use crypto::HashAlgorithm;

use super::algorithm::known_hash;
use super::error::ParseError;
use super::pcr::{PcrSelection, PcrSet, PcrValues};
use crate::read::Reader;

/// A parsed `PCP_PLATFORM_ATTESTATION_BLOB` or `…_BLOB2` of a TPM 2.0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlatformClaim<'a> {
    /// The bank of the PCR values.
    pub bank: HashAlgorithm,
    /// The values of PCRs 0 to 23, one after the other, quoted or not.
    pcr_values: &'a [u8],
    /// The `TPMS_ATTEST`.
    pub quote: &'a [u8],
    /// The bytes of its RSA signature, which is no `TPMT_SIGNATURE`.
    pub signature: &'a [u8],
    /// The log.
    pub log: &'a [u8],
}

impl<'a> PlatformClaim<'a> {
    /// Parses a claim, all of its bytes.
    ///
    /// # Errors
    /// [`ParseError`]; claims of TPM 1.2 are refused.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ParseError> {
        Reader::all(bytes, "platform claim", |r| {
            let version = match r.array::<4>("magic")? {
                b"PADS" => 1,
                b"PAD2" => 2,
                found => return Err(ParseError::Magic { found: u32::from_be_bytes(*found) }),
            };
            let platform = r.u32_le("platform")?;
            if platform != TPM_2_0 {
                return Err(ParseError::InvalidValue { field: "platform", found: platform });
            }
            let header = r.u32_le("headerSize")?;
            let (pcrs, quote) = (r.u32_le("cbPcrValues")?, r.u32_le("cbQuote")?);
            let (signature, log) = (r.u32_le("cbSignature")?, r.u32_le("cbLog")?);
            let bank = if version == 2 {
                let id = r.u32_le("pcrAlgorithmId")?;
                let id = u16::try_from(id)
                    .map_err(|_| ParseError::InvalidValue { field: "pcrAlgorithmId", found: id })?;
                known_hash("pcrAlgorithmId", id)?
            } else {
                HashAlgorithm::Sha1
            };
            if usize::try_from(header).ok() != Some(r.offset()) {
                return Err(ParseError::InvalidValue { field: "headerSize", found: header });
            }
            if usize::try_from(pcrs).ok() != Some(PCRS * bank.size_bytes()) {
                return Err(ParseError::InvalidValue { field: "cbPcrValues", found: pcrs });
            }
            Ok(Self {
                bank,
                pcr_values: r.take_u32("pcrValues", pcrs)?,
                quote: r.take_u32("quote", quote)?,
                signature: r.take_u32("signature", signature)?,
                log: r.take_u32("log", log)?,
            })
        })
    }

    /// The values that a quote with this selection is about: the claim carries all 24, and those that are
    /// not quoted must not be believed.
    ///
    /// # Errors
    /// [`ParseError`] if the quote selects a PCR past 23.
    pub fn pcr_values(&self, selection: &PcrSelection) -> Result<PcrValues, ParseError> {
        let quoted: PcrSet = selection.bank(self.bank);
        let mut values = PcrValues::new();
        for (index, value) in (0_u8..).zip(self.pcr_values.chunks_exact(self.bank.size_bytes())) {
            if quoted.contains(index) {
                values.insert(self.bank, index, value)?;
            }
        }
        Ok(values)
    }
}

const TPM_2_0: u32 = 2;
/// TPMs of PCs have as many.
const PCRS: usize = 24;

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(magic: &[u8; 4], platform: u32, header: u32, pcrs: u32, bank: Option<u32>) -> Vec<u8> {
        let mut bytes = magic.to_vec();
        for number in [platform, header, pcrs, 5, 3, 4].into_iter().chain(bank) {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend((0..24_u8).flat_map(|index| vec![index; usize::try_from(pcrs / 24).unwrap()]));
        bytes.extend(b"quotesiglogs");
        bytes
    }

    #[test]
    fn both_versions() {
        let new = claim(b"PAD2", 2, 32, 24 * 32, Some(0x0b));
        let parsed = PlatformClaim::parse(&new).unwrap();
        assert_eq!((parsed.quote, parsed.signature, parsed.log), (&b"quote"[..], &b"sig"[..], &b"logs"[..]));
        let selection = [0, 0, 0, 1, 0, 0x0b, 3, 0x82, 0, 0];
        let selection = Reader::all(&selection, "selection", PcrSelection::parse).unwrap();
        let values = parsed.pcr_values(&selection).unwrap();
        assert_eq!(values.iter().map(|(index, _)| index).collect::<Vec<_>>(), [1, 7]);
        assert_eq!(values.get(HashAlgorithm::Sha256, 7).unwrap().as_slice(), [7; 32]);
        let old = claim(b"PADS", 2, 28, 24 * 20, None);
        assert_eq!(PlatformClaim::parse(&old).unwrap().bank, HashAlgorithm::Sha1);
        for length in 0..new.len() {
            assert!(PlatformClaim::parse(&new[..length]).is_err());
        }
        assert!(PlatformClaim::parse(&[&new[..], &[0]].concat()).is_err());
    }

    #[test]
    fn odd_claims_are_refused() {
        for (bytes, field) in [
            (claim(b"PAD2", 1, 32, 24 * 32, Some(0x0b)), "platform"),
            (claim(b"PAD2", 2, 28, 24 * 32, Some(0x0b)), "headerSize"),
            (claim(b"PAD2", 2, 32, 24 * 20, Some(0x0b)), "cbPcrValues"),
            (claim(b"PAD2", 2, 32, 24 * 32, Some(0x1_000b)), "pcrAlgorithmId"),
        ] {
            let error = PlatformClaim::parse(&bytes).unwrap_err();
            assert!(
                matches!(error, ParseError::InvalidValue { field: found, .. } if found == field),
                "{error}"
            );
        }
        let bytes = claim(b"KADS", 2, 28, 24 * 20, None);
        assert_eq!(PlatformClaim::parse(&bytes), Err(ParseError::Magic { found: 0x4b41_4453 }));
    }
}
