//! A writer of DER (ITU-T X.690), just enough to forge certificates and revocation lists.
//!
//! It writes what it is told, wrong or right: a library that only makes sound certificates could not
//! break one rule at a time.

use time::OffsetDateTime;

/// Tag of a BOOLEAN.
pub const BOOLEAN: u8 = 0x01;
/// Tag of an INTEGER.
pub const INTEGER: u8 = 0x02;
/// Tag of a BIT STRING.
pub const BIT_STRING: u8 = 0x03;
/// Tag of an OCTET STRING.
pub const OCTET_STRING: u8 = 0x04;
/// Tag of an OBJECT IDENTIFIER.
pub const OBJECT_IDENTIFIER: u8 = 0x06;
/// Tag of an ENUMERATED.
pub const ENUMERATED: u8 = 0x0a;
/// Tag of a `UTF8String`.
pub const UTF8_STRING: u8 = 0x0c;
/// Tag of a `PrintableString`.
pub const PRINTABLE_STRING: u8 = 0x13;
/// Tag of a `UTCTime`.
pub const UTC_TIME: u8 = 0x17;
/// Tag of a `GeneralizedTime`.
pub const GENERALIZED_TIME: u8 = 0x18;
/// Tag of a SEQUENCE.
pub const SEQUENCE: u8 = 0x30;
/// Tag of a SET.
pub const SET: u8 = 0x31;

/// One element: tag, length in the shortest form, content (X.690 §8.1).
#[must_use]
pub fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    let length = content.len();
    if length < 0x80 {
        out.push(length.to_be_bytes()[7]);
    } else {
        let bytes = length.to_be_bytes();
        let first = bytes.iter().position(|byte| *byte != 0).expect("not zero");
        out.push(0x80 | (bytes.len() - first).to_be_bytes()[7]);
        out.extend_from_slice(&bytes[first..]);
    }
    out.extend_from_slice(content);
    out
}

/// An element whose content is the concatenation of `parts`.
#[must_use]
pub fn constructed(tag: u8, parts: &[Vec<u8>]) -> Vec<u8> {
    element(tag, &parts.concat())
}

/// A SEQUENCE of `parts`.
#[must_use]
pub fn sequence(parts: &[Vec<u8>]) -> Vec<u8> {
    constructed(SEQUENCE, parts)
}

/// An OBJECT IDENTIFIER from its dotted form (X.690 §8.19).
///
/// # Panics
/// If `dotted` is not an identifier of at least two arcs.
#[must_use]
pub fn oid(dotted: &str) -> Vec<u8> {
    let arcs: Vec<u64> = dotted.split('.').map(|arc| arc.parse().expect("arcs are numbers")).collect();
    let mut content = base128(arcs[0] * 40 + arcs[1]);
    for arc in &arcs[2..] {
        content.extend(base128(*arc));
    }
    element(OBJECT_IDENTIFIER, &content)
}

fn base128(mut value: u64) -> Vec<u8> {
    let mut out = vec![(value & 0x7f).to_be_bytes()[7]];
    while value > 0x7f {
        value >>= 7;
        out.insert(0, 0x80 | (value & 0x7f).to_be_bytes()[7]);
    }
    out
}

/// A non-negative INTEGER from its big-endian magnitude.
#[must_use]
pub fn integer(magnitude: &[u8]) -> Vec<u8> {
    element(INTEGER, &unsigned(magnitude))
}

/// A non-negative INTEGER.
#[must_use]
pub fn small_integer(value: u64) -> Vec<u8> {
    integer(&value.to_be_bytes())
}

fn unsigned(magnitude: &[u8]) -> Vec<u8> {
    let start = magnitude.iter().position(|byte| *byte != 0).unwrap_or(magnitude.len());
    let mut content = magnitude[start..].to_vec();
    if content.first().is_none_or(|first| *first >= 0x80) {
        content.insert(0, 0);
    }
    content
}

/// A BOOLEAN (X.690 §11.1).
#[must_use]
pub fn boolean(value: bool) -> Vec<u8> {
    element(BOOLEAN, &[if value { 0xff } else { 0 }])
}

/// A BIT STRING without unused bits.
#[must_use]
pub fn bit_string(bytes: &[u8]) -> Vec<u8> {
    let mut content = vec![0];
    content.extend_from_slice(bytes);
    element(BIT_STRING, &content)
}

/// A certificate time: `UTCTime` up to 2049, `GeneralizedTime` after (RFC 5280 §4.1.2.5).
#[must_use]
pub fn time(at: OffsetDateTime) -> Vec<u8> {
    let (year, month, day) = (at.year(), u8::from(at.month()), at.day());
    let (hour, minute, second) = at.to_hms();
    let rest = format!("{month:02}{day:02}{hour:02}{minute:02}{second:02}Z");
    if year < 2050 {
        element(UTC_TIME, format!("{:02}{rest}", year % 100).as_bytes())
    } else {
        element(GENERALIZED_TIME, format!("{year:04}{rest}").as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_in_the_shortest_form() {
        assert_eq!(element(OCTET_STRING, &[7; 127])[..2], [4, 127]);
        assert_eq!(element(OCTET_STRING, &[7; 128])[..3], [4, 0x81, 128]);
        assert_eq!(element(OCTET_STRING, &[7; 256])[..4], [4, 0x82, 1, 0]);
    }

    #[test]
    fn identifiers_and_integers_are_those_of_real_certificates() {
        assert_eq!(hex::encode(oid("1.2.840.113741.1.13.1")), "06092a864886f84d010d01");
        assert_eq!(hex::encode(small_integer(255)), "020200ff");
        assert_eq!(hex::encode(small_integer(0)), "020100");
    }
}
