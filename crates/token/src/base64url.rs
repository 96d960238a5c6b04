//! Base64 as JOSE uses it: the URL-safe alphabet without padding (RFC 7515 §2), strict in both
//! directions, and the standard alphabet with padding for certificates (`x5c`, RFC 7517 §4.7).

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

/// The text is not base64url without padding, or is not the one spelling of its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not base64url without padding")]
pub struct NotBase64Url;

/// Encodes without padding.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Encodes without padding onto the end of `out`.
pub fn encode_onto(bytes: &[u8], out: &mut String) {
    URL_SAFE_NO_PAD.encode_string(bytes, out);
}

/// Decodes; padding, white space, the standard alphabet and non-zero spare bits are refused, so that
/// each byte string has one spelling.
///
/// # Errors
/// [`NotBase64Url`].
pub fn decode(text: &str) -> Result<Vec<u8>, NotBase64Url> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| NotBase64Url)
}

/// Encodes with the standard alphabet and padding.
#[must_use]
pub fn encode_standard(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Decodes the standard alphabet with padding.
pub(crate) fn decode_standard(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_spelling_per_byte_string() {
        assert_eq!(encode(&[0xfb, 0xff]), "-_8");
        assert_eq!(decode("-_8"), Ok(vec![0xfb, 0xff]));
        for other in ["-_8=", "+/8", "-_9", "-_8\n", " -_8", "-_8-_", "-"] {
            assert_eq!(decode(other), Err(NotBase64Url), "{other}");
        }
        assert_eq!(decode(""), Ok(vec![]));
    }
}
