//! `TPMS_ATTEST` (TPM 2.0 Library Part 2, 10.12.12): what a TPM signs. Big-endian.

use super::error::{ParseError, VerifyError};
use super::pcr::PcrSelection;
use crate::read::Reader;

/// A parsed attestation; who signed it is not known yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attest<'a> {
    /// The bytes that are signed.
    pub(crate) signed: &'a [u8],
    /// The qualified name of the signing key.
    pub qualified_signer: &'a [u8],
    /// The qualifying data: the nonce of a quote.
    pub extra_data: &'a [u8],
    /// Clock and counters.
    pub clock_info: ClockInfo,
    /// Specific to the TPM's vendor, and obfuscated for keys outside the endorsement hierarchy.
    pub firmware_version: u64,
    /// What is attested.
    pub attested: Attested<'a>,
}

impl<'a> Attest<'a> {
    /// Parses the bytes of a `TPMS_ATTEST`, all of them.
    ///
    /// # Errors
    /// [`ParseError`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ParseError> {
        Reader::all(bytes, "TPMS_ATTEST", |r| {
            let magic = r.u32_be("magic")?;
            if magic != TPM_GENERATED_VALUE {
                return Err(ParseError::Magic { found: magic });
            }
            let tag = r.u16_be("type")?;
            Ok(Self {
                signed: bytes,
                qualified_signer: r.sized("qualifiedSigner")?,
                extra_data: r.sized("extraData")?,
                clock_info: ClockInfo::parse(r)?,
                firmware_version: r.u64_be("firmwareVersion")?,
                attested: Attested::parse(r, tag)?,
            })
        })
    }
}

/// What a TPM attests to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attested<'a> {
    /// `TPM2_Certify`: an object with this name is loaded in the TPM.
    Certify {
        /// Its name.
        name: &'a [u8],
        /// Its qualified name.
        qualified_name: &'a [u8],
    },
    /// `TPM2_CertifyCreation`: the TPM made this object.
    Creation {
        /// Its name.
        object_name: &'a [u8],
        /// The hash of its creation data.
        creation_hash: &'a [u8],
    },
    /// `TPM2_NV_Certify`: the contents of an NV index.
    Nv {
        /// The name of the index.
        index_name: &'a [u8],
        /// Where the contents start.
        offset: u16,
        /// The contents.
        contents: &'a [u8],
    },
    /// `TPM2_Quote`.
    Quote {
        /// The PCRs quoted.
        selection: PcrSelection,
        /// The digest over their values.
        pcr_digest: &'a [u8],
    },
    /// `TPM2_GetTime`.
    Time,
}

impl<'a> Attested<'a> {
    fn parse(r: &mut Reader<'a>, tag: u16) -> Result<Self, ParseError> {
        match tag {
            ATTEST_NV => Ok(Self::Nv {
                index_name: r.sized("indexName")?,
                offset: r.u16_be("offset")?,
                contents: r.sized("nvContents")?,
            }),
            ATTEST_CERTIFY => {
                Ok(Self::Certify { name: r.sized("name")?, qualified_name: r.sized("qualifiedName")? })
            }
            ATTEST_QUOTE => {
                Ok(Self::Quote { selection: PcrSelection::parse(r)?, pcr_digest: r.sized("pcrDigest")? })
            }
            ATTEST_TIME => {
                r.u64_be("time")?;
                ClockInfo::parse(r)?;
                r.u64_be("firmwareVersion")?;
                Ok(Self::Time)
            }
            ATTEST_CREATION => Ok(Self::Creation {
                object_name: r.sized("objectName")?,
                creation_hash: r.sized("creationHash")?,
            }),
            found => Err(ParseError::UnknownAttestationType { found }),
        }
    }

    /// `quote`, `certification` and so on.
    #[must_use]
    pub const fn type_name(&self) -> &'static str {
        match self {
            Self::Certify { .. } => "certification",
            Self::Creation { .. } => "creation",
            Self::Nv { .. } => "NV contents",
            Self::Quote { .. } => "quote",
            Self::Time => "time",
        }
    }
}

/// `TPMS_CLOCK_INFO` (Part 2, 10.11.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockInfo {
    /// Milliseconds for which the TPM was powered since its owner last cleared it.
    pub clock: u64,
    /// How often the TPM was reset.
    pub reset_count: u32,
    /// How often it was restarted or resumed since the last reset.
    pub restart_count: u32,
    /// Whether no larger `clock` was reported before.
    pub safe: bool,
}

impl ClockInfo {
    fn parse(r: &mut Reader<'_>) -> Result<Self, ParseError> {
        Ok(Self {
            clock: r.u64_be("clock")?,
            reset_count: r.u32_be("resetCount")?,
            restart_count: r.u32_be("restartCount")?,
            safe: match r.u8("safe")? {
                0 => false,
                1 => true,
                found => return Err(ParseError::InvalidValue { field: "safe", found: found.into() }),
            },
        })
    }

    /// Checks that these come after `before` on the same TPM: no counter went back. The clock is not
    /// compared across resets unless it is safe (Part 1, 36.3).
    ///
    /// # Errors
    /// [`VerifyError::WentBack`].
    pub fn follows(&self, before: &Self) -> Result<(), VerifyError> {
        let back = |counter, before: u64, after: u64| {
            if after < before { Err(VerifyError::WentBack { counter, before, after }) } else { Ok(()) }
        };
        back("resetCount", before.reset_count.into(), self.reset_count.into())?;
        let same_boot = self.reset_count == before.reset_count;
        if same_boot {
            back("restartCount", before.restart_count.into(), self.restart_count.into())?;
        }
        if same_boot || self.safe {
            back("clock", before.clock, self.clock)?;
        }
        Ok(())
    }
}

const TPM_GENERATED_VALUE: u32 = 0xff54_4347;
const ATTEST_NV: u16 = 0x8014;
const ATTEST_CERTIFY: u16 = 0x8017;
const ATTEST_QUOTE: u16 = 0x8018;
const ATTEST_TIME: u16 = 0x8019;
const ATTEST_CREATION: u16 = 0x801a;

#[cfg(test)]
mod tests {
    use super::*;

    fn attest(tag: u16, safe: u8, attested: &[u8]) -> Vec<u8> {
        let mut bytes = b"\xffTCG".to_vec();
        bytes.extend(tag.to_be_bytes());
        bytes.extend(*b"\0\x02qs\0\x01n");
        bytes.extend(5_u64.to_be_bytes());
        bytes.extend(2_u32.to_be_bytes());
        bytes.extend(3_u32.to_be_bytes());
        bytes.push(safe);
        bytes.extend(9_u64.to_be_bytes());
        bytes.extend(attested);
        bytes
    }

    #[test]
    fn every_type_is_told_apart() {
        let time = [&[0; 8][..], &[0; 17], &[0; 8]].concat();
        for (tag, attested, name) in [
            (ATTEST_NV, &b"\0\x01n\0\0\0\x01c"[..], "NV contents"),
            (ATTEST_CERTIFY, b"\0\x01n\0\x01q", "certification"),
            (ATTEST_QUOTE, b"\0\0\0\x01\0\x0b\x03\x01\0\0\0\x01d", "quote"),
            (ATTEST_TIME, &time, "time"),
            (ATTEST_CREATION, b"\0\x01n\0\x01h", "creation"),
        ] {
            let bytes = attest(tag, 1, attested);
            let parsed = Attest::parse(&bytes).unwrap();
            assert_eq!(parsed.attested.type_name(), name);
            assert_eq!((parsed.qualified_signer, parsed.extra_data), (&b"qs"[..], &b"n"[..]));
            assert_eq!(parsed.firmware_version, 9);
            for length in 0..bytes.len() {
                assert!(Attest::parse(&bytes[..length]).is_err(), "{name} cut to {length}");
            }
            assert!(Attest::parse(&[&bytes[..], &[0]].concat()).is_err());
        }
    }

    #[test]
    fn odd_attestations_are_refused() {
        let mut bytes = attest(ATTEST_CERTIFY, 1, b"\0\0\0\0");
        bytes[0] = 0xfe;
        assert_eq!(Attest::parse(&bytes), Err(ParseError::Magic { found: 0xfe54_4347 }));
        assert_eq!(
            Attest::parse(&attest(ATTEST_CERTIFY, 2, b"\0\0\0\0")),
            Err(ParseError::InvalidValue { field: "safe", found: 2 })
        );
        assert_eq!(
            Attest::parse(&attest(0x8015, 1, b"")),
            Err(ParseError::UnknownAttestationType { found: 0x8015 })
        );
    }

    #[test]
    fn counters_do_not_go_back() {
        let before = ClockInfo { clock: 100, reset_count: 2, restart_count: 3, safe: true };
        let counter = |after: ClockInfo| match after.follows(&before) {
            Err(VerifyError::WentBack { counter, .. }) => counter,
            other => panic!("{other:?}"),
        };
        assert_eq!(before.follows(&before), Ok(()));
        assert_eq!(counter(ClockInfo { reset_count: 1, ..before }), "resetCount");
        assert_eq!(counter(ClockInfo { restart_count: 2, ..before }), "restartCount");
        assert_eq!(counter(ClockInfo { clock: 99, ..before }), "clock");
        let rebooted = ClockInfo { clock: 99, reset_count: 3, restart_count: 0, safe: false };
        assert_eq!(rebooted.follows(&before), Ok(()));
        assert_eq!(counter(ClockInfo { safe: true, ..rebooted }), "clock");
    }
}
