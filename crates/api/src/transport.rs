//! Base64 as clients send it: either alphabet, with or without padding.

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// Why a text is not base64 of any kind accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Base64Error {
    /// A character is of neither alphabet; white space and line breaks are not skipped.
    #[error("the character at position {at} is not base64 (line breaks and spaces are not allowed)")]
    Character {
        /// Its position, counted in bytes from 0.
        at: usize,
    },
    /// The text ends inside a byte, or its padding does not complete it.
    #[error("the base64 is cut off or wrongly padded: {length} characters cannot end there")]
    Length {
        /// How long the text is.
        length: usize,
    },
    /// The last character has bits set that belong to no byte, so the text was cut or altered.
    #[error("the base64 was cut off or altered: its last character has spare bits set")]
    SpareBits,
}

/// Decodes base64url or standard base64, also mixed, padded in full or not at all.
///
/// # Errors
/// [`Base64Error`].
pub fn decode(text: &str) -> Result<Vec<u8>, Base64Error> {
    if text.ends_with('=') && !text.len().is_multiple_of(4) {
        return Err(Base64Error::Length { length: text.len() });
    }
    match decode_url_safe(text) {
        Err(Base64Error::Character { .. }) if text.contains(['+', '/']) => {
            decode_url_safe(&text.replace('+', "-").replace('/', "_"))
        }
        decoded => decoded,
    }
}

fn decode_url_safe(text: &str) -> Result<Vec<u8>, Base64Error> {
    EITHER_PADDING.decode(text).map_err(|error| match error {
        base64::DecodeError::InvalidByte(at, _) => Base64Error::Character { at },
        base64::DecodeError::InvalidLastSymbol { .. } => Base64Error::SpareBits,
        base64::DecodeError::InvalidLength(_) | base64::DecodeError::InvalidPadding => {
            Base64Error::Length { length: text.len() }
        }
    })
}

const EITHER_PADDING: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_the_same_bytes_is_accepted() {
        for text in ["-_8", "-_8=", "+/8", "+/8=", "-/8", "+_8="] {
            assert_eq!(decode(text), Ok(vec![0xfb, 0xff]), "{text}");
        }
        assert_eq!(decode(""), Ok(vec![]));
    }

    #[test]
    fn white_space_is_refused_where_it_stands() {
        for (text, at) in
            [(" QUJD", 0), ("QU JD", 2), ("QUJD\n", 4), ("QUJD\r\nQUJD", 4), ("QU\tJD", 2), ("QUé", 2)]
        {
            assert_eq!(decode(text), Err(Base64Error::Character { at }), "{text:?}");
        }
    }

    #[test]
    fn a_text_that_was_cut_is_refused() {
        assert_eq!(decode("Q"), Err(Base64Error::Length { length: 1 }));
        assert_eq!(decode("QUJDQ"), Err(Base64Error::Length { length: 5 }));
        assert_eq!(decode("QR"), Err(Base64Error::SpareBits));
        for text in ["QQ=", "QQ===", "====", "=", "QQ==QQ==", "QUJD="] {
            assert!(decode(text).is_err(), "{text}");
        }
    }
}
