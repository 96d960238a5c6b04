//! All offset arithmetic of the crate, and of whoever else takes binary structures apart: a bounded reader
//! whose every read names the field it reads.
//!
//! A parser is a list of fields in the order of the vendor's table. Reading past the end and leaving
//! bytes over are errors that name structure, field and offset; nothing here allocates or panics.

/// A cursor over the bytes of one named structure.
pub struct Reader<'a> {
    structure: &'static str,
    bytes: &'a [u8],
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Runs `fields` over `bytes` and refuses bytes it leaves unread.
    pub fn all<T, E: From<ReadError>>(
        bytes: &'a [u8],
        structure: &'static str,
        fields: impl FnOnce(&mut Self) -> Result<T, E>,
    ) -> Result<T, E> {
        let (parsed, rest) = Self::prefix(bytes, structure, fields)?;
        if rest.is_empty() {
            return Ok(parsed);
        }
        Err(ReadError::Trailing { structure, offset: bytes.len() - rest.len(), length: rest.len() }.into())
    }

    /// Runs `fields` over the start of `bytes` and gives what they read with the bytes after it.
    pub fn prefix<T, E: From<ReadError>>(
        bytes: &'a [u8],
        structure: &'static str,
        fields: impl FnOnce(&mut Self) -> Result<T, E>,
    ) -> Result<(T, &'a [u8]), E> {
        let mut reader = Self { structure, bytes, rest: bytes };
        let parsed = fields(&mut reader)?;
        Ok((parsed, reader.rest))
    }

    /// The next `length` bytes.
    pub fn take(&mut self, field: &'static str, length: usize) -> Result<&'a [u8], ReadError> {
        let Some((taken, rest)) = self.rest.split_at_checked(length) else {
            return Err(self.truncated(field, length));
        };
        self.rest = rest;
        Ok(taken)
    }

    /// The next `length` bytes, `length` being a number of the input.
    pub fn take_u32(&mut self, field: &'static str, length: u32) -> Result<&'a [u8], ReadError> {
        // A length that does not fit a `usize` is longer than any slice.
        self.take(field, usize::try_from(length).unwrap_or(usize::MAX))
    }

    /// The next `N` bytes, borrowed.
    pub fn array<const N: usize>(&mut self, field: &'static str) -> Result<&'a [u8; N], ReadError> {
        let Some((taken, rest)) = self.rest.split_first_chunk() else {
            return Err(self.truncated(field, N));
        };
        self.rest = rest;
        Ok(taken)
    }

    /// One byte.
    pub fn u8(&mut self, field: &'static str) -> Result<u8, ReadError> {
        self.array(field).map(|[byte]| *byte)
    }

    /// A big-endian 16-bit number.
    pub fn u16_be(&mut self, field: &'static str) -> Result<u16, ReadError> {
        self.array(field).map(|bytes| u16::from_be_bytes(*bytes))
    }

    /// A big-endian 32-bit number.
    pub fn u32_be(&mut self, field: &'static str) -> Result<u32, ReadError> {
        self.array(field).map(|bytes| u32::from_be_bytes(*bytes))
    }

    /// Bytes behind their big-endian 16-bit length, the `TPM2B` of the TPM 2.0 Library.
    pub fn sized(&mut self, field: &'static str) -> Result<&'a [u8], ReadError> {
        let length = self.u16_be(field)?;
        self.take(field, usize::from(length))
    }

    /// Whether every byte was read.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Whether the bytes not read yet start with `prefix`.
    pub fn starts_with(&self, prefix: &[u8]) -> bool {
        self.rest.starts_with(prefix)
    }

    /// How many bytes were read.
    pub fn offset(&self) -> usize {
        self.bytes.len() - self.rest.len()
    }

    /// A little-endian 16-bit number.
    pub fn u16_le(&mut self, field: &'static str) -> Result<u16, ReadError> {
        self.array(field).map(|bytes| u16::from_le_bytes(*bytes))
    }

    /// A little-endian 32-bit number.
    pub fn u32_le(&mut self, field: &'static str) -> Result<u32, ReadError> {
        self.array(field).map(|bytes| u32::from_le_bytes(*bytes))
    }

    /// A little-endian 64-bit number.
    pub fn u64_le(&mut self, field: &'static str) -> Result<u64, ReadError> {
        self.array(field).map(|bytes| u64::from_le_bytes(*bytes))
    }

    /// A big-endian 64-bit number.
    pub fn u64_be(&mut self, field: &'static str) -> Result<u64, ReadError> {
        self.array(field).map(|bytes| u64::from_be_bytes(*bytes))
    }

    /// Everything not read yet.
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    fn truncated(&self, field: &'static str, wanted: usize) -> ReadError {
        ReadError::Truncated {
            structure: self.structure,
            field,
            offset: self.bytes.len() - self.rest.len(),
            wanted,
            found: self.rest.len(),
        }
    }
}

/// Bytes that do not have the shape of the structure read from them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// Bytes are left after the last field of the structure.
    #[error("{structure}: {length} bytes left over at offset {offset}")]
    Trailing {
        /// The structure read.
        structure: &'static str,
        /// Where its last field ends, in bytes from its start.
        offset: usize,
        /// How many bytes follow.
        length: usize,
    },
    /// A field reaches past the end of the structure.
    #[error("{structure}: `{field}` at offset {offset} needs {wanted} bytes, {found} are left")]
    Truncated {
        /// The structure read.
        structure: &'static str,
        /// The field that does not fit.
        field: &'static str,
        /// Where the field starts, in bytes from the start of the structure.
        offset: usize,
        /// How many bytes the field has.
        wanted: usize,
        /// How many are there.
        found: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_fields_in_order_and_refuses_leftovers() {
        let parse = |bytes| {
            Reader::all(bytes, "thing", |r| {
                Ok::<_, ReadError>((*r.array::<1>("a")?, r.u16_le("b")?, *r.array::<2>("c")?))
            })
        };
        assert_eq!(parse(&[1, 2, 3, 4, 5]), Ok(([1], 0x0302, [4, 5])));
        assert_eq!(
            parse(&[1, 2, 3, 4, 5, 6]),
            Err(ReadError::Trailing { structure: "thing", offset: 5, length: 1 })
        );
        assert_eq!(
            parse(&[1, 2, 3, 4]),
            Err(ReadError::Truncated { structure: "thing", field: "c", offset: 3, wanted: 2, found: 1 })
        );
    }

    #[test]
    fn a_length_larger_than_memory_is_truncation() {
        let parsed = Reader::all(&[0; 4], "thing", |r| r.take_u32("body", u32::MAX).map(<[u8]>::len));
        assert!(matches!(parsed, Err(ReadError::Truncated { field: "body", found: 4, .. })));
    }
}
