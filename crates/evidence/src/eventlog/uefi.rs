//! UEFI structures in events (UEFI Specification 2.10, 8.2 and 32.4.1; TCG PC Client Platform Firmware
//! Profile, 10.4). Little-endian.

use super::guid::Guid;
use crate::read::{ReadError, Reader};

/// `UEFI_VARIABLE_DATA`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VariableData<'a> {
    /// Who defines the variable.
    pub guid: Guid,
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: &'a [u8],
}

impl<'a> VariableData<'a> {
    /// Parses the data of an event, all of them. `None` if they are no such structure, or the name is no
    /// UTF-16.
    #[must_use]
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        Reader::all(bytes, "UEFI_VARIABLE_DATA", Self::read).ok().flatten()
    }

    /// The same for structures whose declared length is not to be relied on: the value is all that
    /// follows the name.
    pub(crate) fn parse_to_end(bytes: &'a [u8]) -> Option<Self> {
        Reader::all(bytes, "UEFI_VARIABLE_DATA", |r| {
            let guid = Guid::from_bytes(*r.array("VariableName")?);
            let (units, _) = (r.u64_le("UnicodeNameLength")?, r.u64_le("VariableDataLength")?);
            let units = usize::try_from(units).ok().filter(|units| *units <= MAX_NAME_UNITS);
            let name = match units {
                Some(units) => utf16(r.take("UnicodeName", units * 2)?),
                None => None,
            };
            let value = r.rest();
            Ok::<_, ReadError>(name.map(|name| Self { guid, name, value }))
        })
        .ok()
        .flatten()
    }

    fn read(r: &mut Reader<'a>) -> Result<Option<Self>, ReadError> {
        let guid = Guid::from_bytes(*r.array("VariableName")?);
        let (units, length) = (r.u64_le("UnicodeNameLength")?, r.u64_le("VariableDataLength")?);
        let (Ok(units), Ok(length)) = (usize::try_from(units), usize::try_from(length)) else {
            return Ok(None);
        };
        if units > MAX_NAME_UNITS {
            r.rest();
            return Ok(None);
        }
        let name = utf16(r.take("UnicodeName", units * 2)?);
        let value = r.take("VariableData", length)?;
        Ok(name.map(|name| Self { guid, name, value }))
    }
}

/// Text in UTF-16, little-endian; `None` if it is none.
pub(crate) fn utf16(bytes: &[u8]) -> Option<String> {
    let (units, rest) = bytes.as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    char::decode_utf16(units.iter().map(|unit| u16::from_le_bytes(*unit))).collect::<Result<_, _>>().ok()
}

/// One entry of a signature database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignatureEntry<'a> {
    /// What kind of entry: certificate, hash of an image, or another one.
    pub kind: Guid,
    /// Who added it.
    pub owner: Guid,
    /// The certificate or hash.
    pub data: &'a [u8],
}

/// The entries of the `EFI_SIGNATURE_LIST`s that make up `bytes`, all of them; `None` if they do not.
#[must_use]
pub fn signature_lists(bytes: &[u8]) -> Option<Vec<SignatureEntry<'_>>> {
    let mut entries = Vec::new();
    Reader::all(bytes, "EFI_SIGNATURE_LIST", |r| {
        while !r.is_empty() {
            let Some(list) = signature_list(r, entries.len())? else {
                r.rest();
                return Ok::<_, ReadError>(None);
            };
            entries.extend(list);
        }
        Ok(Some(()))
    })
    .ok()
    .flatten()?;
    Some(entries)
}

fn signature_list<'a>(
    r: &mut Reader<'a>,
    before: usize,
) -> Result<Option<Vec<SignatureEntry<'a>>>, ReadError> {
    let kind = Guid::from_bytes(*r.array("SignatureType")?);
    let (list, header, size) =
        (r.u32_le("SignatureListSize")?, r.u32_le("SignatureHeaderSize")?, r.u32_le("SignatureSize")?);
    let body = list.checked_sub(LIST_HEADER_BYTES).and_then(|body| body.checked_sub(header));
    let (Some(body), Ok(size)) = (body, usize::try_from(size)) else { return Ok(None) };
    r.take_u32("SignatureHeader", header)?;
    let body = r.take_u32("Signatures", body)?;
    // An entry has an owner and at least one byte.
    if size < 17 || body.len() % size != 0 || before + body.len() / size > MAX_ENTRIES {
        return Ok(None);
    }
    let entries = body.chunks_exact(size).filter_map(|entry| {
        let (owner, data) = entry.split_first_chunk()?;
        Some(SignatureEntry { kind, owner: Guid::from_bytes(*owner), data })
    });
    Ok(Some(entries.collect()))
}

/// X.509 certificates.
pub(crate) const CERT_X509: Guid = Guid::from_text(0xa5c0_59a1_94e4_4aa7_87b5_ab15_5c2b_f072);
/// SHA-256 of images.
pub(crate) const CERT_SHA256: Guid = Guid::from_text(0xc1c4_1626_504c_4092_aca9_41f9_3693_4328);

const LIST_HEADER_BYTES: u32 = 28;
/// Names in captured logs have up to 17 units.
const MAX_NAME_UNITS: usize = 2048;
/// The largest published dbx has below 1000 entries.
const MAX_ENTRIES: usize = 100_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn variable(units: u64, name: &str, length: u64, value: &[u8]) -> Vec<u8> {
        let mut bytes = vec![7; 16];
        bytes.extend(units.to_le_bytes());
        bytes.extend(length.to_le_bytes());
        bytes.extend(name.encode_utf16().flat_map(u16::to_le_bytes));
        bytes.extend(value);
        bytes
    }

    #[test]
    fn variables() {
        let bytes = variable(2, "db", 3, b"abc");
        let parsed = VariableData::parse(&bytes).unwrap();
        assert_eq!((parsed.name.as_str(), parsed.value), ("db", &b"abc"[..]));
        for bytes in [
            variable(2, "db", 2, b"abc"),
            variable(2, "db", 4, b"abc"),
            variable(u64::MAX, "db", 3, b"abc"),
            variable(2, "db", u64::MAX, b"abc"),
            variable(2049, "db", 3, b"abc"),
        ] {
            assert_eq!(VariableData::parse(&bytes), None);
        }
        let mut lone_surrogate = variable(1, "d", 0, b"");
        lone_surrogate[32..].copy_from_slice(&[0, 0xd8]);
        assert_eq!(VariableData::parse(&lone_surrogate), None);
        assert_eq!(utf16(b"abc"), None);
    }

    fn list(list: u32, header: u32, size: u32, body: &[u8]) -> Vec<u8> {
        let mut bytes = vec![1; 16];
        for number in [list, header, size] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend(body);
        bytes
    }

    #[test]
    fn lists_of_signatures() {
        let two = [list(28 + 40, 0, 20, &[3; 40]), list(28 + 2 + 17, 2, 17, &[4; 19])].concat();
        let entries = signature_lists(&two).unwrap();
        assert_eq!(entries.len(), 3);
        assert_eq!(entries[2].data, [4]);
        assert_eq!(signature_lists(&[]), Some(vec![]));
        for bytes in [
            list(27, 0, 20, &[]),
            list(28 + 40, 41, 20, &[3; 40]),
            list(28 + 40, 0, 0, &[3; 40]),
            list(28 + 40, 0, 16, &[3; 40]),
            list(28 + 40, 0, 21, &[3; 40]),
            list(28 + 40, 0, 20, &[3; 39]),
            list(u32::MAX, 0, 20, &[3; 40]),
            list(u32::MAX, u32::MAX - 28, 17, &[3; 40]),
        ] {
            assert_eq!(signature_lists(&bytes), None);
        }
    }
}
