//! PCR selections and values (TPM 2.0 Library Part 2, 10.6 and 10.9.7).

use crypto::{Digest, HashAlgorithm};

use super::algorithm::known_hash;
use super::error::ParseError;
use crate::read::Reader;

/// A set of PCR indices of one bank, 0 to 31.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PcrSet(u32);

impl PcrSet {
    /// PCRs 0 to 7, which the firmware and what it starts are measured into.
    pub const FIRMWARE: Self = Self(0xff);

    /// The set with bit n set for PCR n, as the policy property `required_pcr_mask` has it.
    #[must_use]
    pub const fn from_mask(mask: u32) -> Self {
        Self(mask)
    }

    /// Bit n for PCR n.
    #[must_use]
    pub const fn mask(self) -> u32 {
        self.0
    }

    /// Whether `index` is in it.
    #[must_use]
    pub fn contains(self, index: u8) -> bool {
        1_u32.checked_shl(index.into()).is_some_and(|bit| self.0 & bit != 0)
    }

    /// The set with `index`, which is ignored past 31.
    #[must_use]
    pub fn with(self, index: u8) -> Self {
        Self(self.0 | 1_u32.checked_shl(index.into()).unwrap_or(0))
    }

    /// What is in this set and not in `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// What is in either set.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether nothing is in it.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The indices, ascending.
    pub fn iter(self) -> impl Iterator<Item = u8> {
        (0..32_u8).filter(move |index| self.contains(*index))
    }
}

/// `TPML_PCR_SELECTION`: the banks in the order of the quote, each once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PcrSelection {
    banks: Vec<(HashAlgorithm, PcrSet)>,
}

impl PcrSelection {
    pub(crate) fn parse(r: &mut Reader<'_>) -> Result<Self, ParseError> {
        let count = r.u32_be("count")?;
        let found = usize::try_from(count).unwrap_or(usize::MAX);
        if found > MOST_BANKS {
            return Err(ParseError::TooMany { what: "PCR banks", found, limit: MOST_BANKS });
        }
        let mut banks = Vec::with_capacity(found);
        for _ in 0..found {
            let hash = known_hash("hash", r.u16_be("hash")?)?;
            let size = r.u8("sizeofSelect")?;
            if !(1..=4).contains(&size) {
                return Err(ParseError::InvalidValue { field: "sizeofSelect", found: size.into() });
            }
            let bitmap = r.take("pcrSelect", size.into())?;
            let mask = bitmap.iter().rev().fold(0, |mask, byte| mask << 8 | u32::from(*byte));
            if banks.iter().any(|(bank, _)| *bank == hash) {
                return Err(ParseError::Duplicate { what: "a PCR bank is selected" });
            }
            banks.push((hash, PcrSet(mask)));
        }
        Ok(Self { banks })
    }

    /// The banks in the order of the quote.
    #[must_use]
    pub fn banks(&self) -> &[(HashAlgorithm, PcrSet)] {
        &self.banks
    }

    /// The PCRs selected of one bank.
    #[must_use]
    pub fn bank(&self, bank: HashAlgorithm) -> PcrSet {
        self.banks.iter().find(|(found, _)| *found == bank).map_or(PcrSet::default(), |(_, set)| *set)
    }

    /// The PCRs selected in banks of SHA-256 or stronger, and of SHA-1 if that is allowed.
    #[must_use]
    pub fn covered(&self, allow_sha1: bool) -> PcrSet {
        self.banks
            .iter()
            .filter(|(bank, _)| allow_sha1 || *bank != HashAlgorithm::Sha1)
            .fold(PcrSet::default(), |all, (_, set)| all.union(*set))
    }

    /// Every PCR selected, in the order in which a TPM hashes their values.
    pub fn iter(&self) -> impl Iterator<Item = (HashAlgorithm, u8)> + '_ {
        self.banks.iter().flat_map(|(bank, set)| set.iter().map(|index| (*bank, index)))
    }

    /// Whether no PCR is selected.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.banks.iter().all(|(_, set)| set.is_empty())
    }
}

/// PCR values as somebody sent them, which nothing vouches for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PcrValues {
    values: Vec<(u8, Digest)>,
}

impl PcrValues {
    /// No values yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the value of one PCR.
    ///
    /// # Errors
    /// [`ParseError`] if there is no such PCR, it has a value already, or `value` has not the length
    /// of the bank's digests.
    pub fn insert(&mut self, bank: HashAlgorithm, index: u8, value: &[u8]) -> Result<(), ParseError> {
        if index > HIGHEST_PCR {
            return Err(ParseError::InvalidValue { field: "PCR index", found: index.into() });
        }
        let length = u32::try_from(value.len()).unwrap_or(u32::MAX);
        let value = Digest::new(bank, value)
            .ok_or(ParseError::InvalidValue { field: "length of a PCR value", found: length })?;
        if self.get(bank, index).is_some() {
            return Err(ParseError::Duplicate { what: "a value of the same PCR is given" });
        }
        self.values.push((index, value));
        Ok(())
    }

    /// The values of PCRs 0, 1, 2 and so on of one bank, one after the other.
    ///
    /// # Errors
    /// [`ParseError`] if `bytes` is no sequence of digests of the bank, or there are more than 32.
    pub fn from_first(bank: HashAlgorithm, bytes: &[u8]) -> Result<Self, ParseError> {
        let mut values = Self::new();
        for (index, value) in (0_u8..=u8::MAX).zip(bytes.chunks(bank.size_bytes())) {
            values.insert(bank, index, value)?;
        }
        if bytes.len() > 32 * bank.size_bytes() {
            let found = bytes.len() / bank.size_bytes();
            return Err(ParseError::TooMany { what: "PCR values", found, limit: 32 });
        }
        Ok(values)
    }

    /// The values of the PCRs of `selection`, one after the other in the order of the quote.
    ///
    /// # Errors
    /// [`ParseError`] if `bytes` has another length.
    pub fn for_selection(selection: &PcrSelection, bytes: &[u8]) -> Result<Self, ParseError> {
        Reader::all(bytes, "PCR values", |r| {
            let mut values = Self::new();
            for (bank, index) in selection.iter() {
                values.insert(bank, index, r.take("value", bank.size_bytes())?)?;
            }
            Ok(values)
        })
    }

    /// The value of one PCR.
    #[must_use]
    pub fn get(&self, bank: HashAlgorithm, index: u8) -> Option<&Digest> {
        self.values
            .iter()
            .find(|(found, value)| *found == index && value.algorithm() == bank)
            .map(|(_, value)| value)
    }

    /// Every value with its PCR, in the order in which they were added.
    pub fn iter(&self) -> impl Iterator<Item = (u8, &Digest)> {
        self.values.iter().map(|(index, value)| (*index, value))
    }
}

/// Selections have up to four bytes, so there are PCRs 0 to 31; TPMs of PCs have 24.
pub(crate) const HIGHEST_PCR: u8 = 31;
/// `HASH_COUNT` of the reference implementation is below it.
const MOST_BANKS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(bytes: &[u8]) -> Result<PcrSelection, ParseError> {
        Reader::all(bytes, "TPML_PCR_SELECTION", PcrSelection::parse)
    }

    #[test]
    fn selections_are_read_in_order() {
        let selection = parse(&[0, 0, 0, 2, 0, 0x0b, 3, 0x81, 0, 0x80, 0, 4, 4, 0, 0, 0, 0x80]).unwrap();
        let all: Vec<_> = selection.iter().collect();
        let sha256 = HashAlgorithm::Sha256;
        assert_eq!(all, [(sha256, 0), (sha256, 7), (sha256, 23), (HashAlgorithm::Sha1, 31)]);
        assert_eq!(selection.covered(false).mask(), 0x0080_0081);
        assert_eq!(selection.covered(true).mask(), 0x8080_0081);
        assert_eq!(selection.bank(HashAlgorithm::Sha384), PcrSet::default());
        assert!(!selection.is_empty());
        assert!(parse(&[0; 4]).unwrap().is_empty());
    }

    #[test]
    fn odd_selections_are_refused() {
        assert_eq!(
            parse(&[0, 0, 0, 17]),
            Err(ParseError::TooMany { what: "PCR banks", found: 17, limit: 16 })
        );
        assert_eq!(
            parse(&[0, 0, 0, 1, 0, 0x0b, 5, 0, 0, 0, 0, 0]),
            Err(ParseError::InvalidValue { field: "sizeofSelect", found: 5 })
        );
        assert_eq!(
            parse(&[0, 0, 0, 1, 0, 0x0b, 0]),
            Err(ParseError::InvalidValue { field: "sizeofSelect", found: 0 })
        );
        assert_eq!(
            parse(&[0, 0, 0, 2, 0, 4, 1, 1, 0, 4, 1, 2]),
            Err(ParseError::Duplicate { what: "a PCR bank is selected" })
        );
        assert_eq!(
            parse(&[0, 0, 0, 1, 0, 0x12, 1, 1]),
            Err(ParseError::UnknownAlgorithm { field: "hash", found: 0x12 })
        );
    }

    #[test]
    fn values_have_one_place_each() {
        let mut values = PcrValues::from_first(HashAlgorithm::Sha1, &[7; 40]).unwrap();
        assert_eq!(values.iter().count(), 2);
        assert!(matches!(values.insert(HashAlgorithm::Sha1, 1, &[7; 20]), Err(ParseError::Duplicate { .. })));
        assert!(values.insert(HashAlgorithm::Sha256, 1, &[7; 32]).is_ok());
        assert!(values.insert(HashAlgorithm::Sha256, 2, &[7; 20]).is_err());
        assert!(values.insert(HashAlgorithm::Sha256, 32, &[7; 32]).is_err());
        assert!(PcrValues::from_first(HashAlgorithm::Sha1, &[7; 41]).is_err());
        assert!(PcrValues::from_first(HashAlgorithm::Sha1, &[7; 20 * 33]).is_err());
        let selection = parse(&[0, 0, 0, 1, 0, 0x0b, 1, 0x82]).unwrap();
        let values = PcrValues::for_selection(&selection, &[9; 64]).unwrap();
        assert!(values.get(HashAlgorithm::Sha256, 7).is_some());
        assert!(values.get(HashAlgorithm::Sha256, 0).is_none());
        assert!(PcrValues::for_selection(&selection, &[9; 65]).is_err());
        assert!(PcrValues::for_selection(&selection, &[9; 63]).is_err());
        assert!(PcrSet::FIRMWARE.contains(7) && !PcrSet::FIRMWARE.contains(8));
        assert!(!PcrSet::FIRMWARE.with(200).contains(200));
    }
}
