//! Which format a file has, by its first bytes; and the plain ones: signed documents, PEM, DER, hexadecimal.

use super::{FormatError, Item, MAX_FILE_BYTES, binary, json};
use crate::pem;
use crate::x509::{CERTIFICATE, Certificate, CertificateRole};

/// The items of a file of any known format.
pub(super) fn items(bytes: &[u8]) -> Result<Vec<Item>, FormatError> {
    if bytes.len() > MAX_FILE_BYTES {
        return Err(FormatError::TooLong { length: bytes.len(), limit: MAX_FILE_BYTES });
    }
    let bytes = without_comments(bytes);
    if let Some(items) = binary::items(bytes)? {
        return Ok(items);
    }
    match trim(bytes) {
        text @ [b'{', ..] => json::items(text),
        _ => plain(bytes),
    }
}

/// The items of one blob inside another format: a signed document, or certificates or a CRL in any
/// encoding. `chain`, in PEM, is that of the document or CRL. A blob is none of the formats that hold
/// others: what nests has no end.
pub(super) fn blob(bytes: &[u8], chain: Option<&[u8]>) -> Result<Vec<Item>, FormatError> {
    let mut items = match trim(bytes) {
        text @ [b'{', ..] => json::document(text, None)?,
        _ => plain(bytes)?,
    };
    if let (Some(chain), [item]) = (chain, items.as_mut_slice()) {
        item.issuer_chain = Some(issuer_chain(chain)?);
    }
    Ok(items)
}

/// Certificates or a CRL in DER, PEM or hexadecimal.
fn plain(bytes: &[u8]) -> Result<Vec<Item>, FormatError> {
    if bytes.starts_with(b"\x30") && bytes.get(1).is_some_and(|length| *length > 0x7f) {
        return der_items(vec![without_nul(bytes).to_vec()]);
    }
    match trim(bytes) {
        text @ [b'-', ..] => pem_items(text),
        text if !text.is_empty() && text.iter().all(u8::is_ascii_hexdigit) => {
            let der = hex::decode(text).map_err(|_| FormatError::Unknown)?;
            der_items(vec![der])
        }
        _ => Err(FormatError::Unknown),
    }
}

/// A PEM chain of another format in strict form: with line feeds, without a NUL at its end.
pub(super) fn issuer_chain(text: &[u8]) -> Result<Vec<u8>, FormatError> {
    let part = FormatError::Part { format: "issuer chain", part: "PEM" };
    let text = if text.windows(3).any(|bytes| bytes == b"%20") {
        std::borrow::Cow::Owned(percent_decode(text).ok_or(part.clone())?)
    } else {
        std::borrow::Cow::Borrowed(text)
    };
    let bodies = pem::decode(&normalised(trim(&text)), CERTIFICATE).map_err(|_| part)?;
    Ok(pem::encode(bodies.iter().map(Vec::as_slice), CERTIFICATE))
}

/// The PEM chain of a header of the PCS API (`TCB-Info-Issuer-Chain` and its like), which is URL-encoded.
///
/// # Errors
/// [`FormatError::Part`] if it is not URL-encoded PEM.
pub fn decode_issuer_chain_header(value: &[u8]) -> Result<Vec<u8>, FormatError> {
    issuer_chain(value)
}

/// Certificates, or one CRL, in PEM.
fn pem_items(text: &[u8]) -> Result<Vec<Item>, FormatError> {
    if text.starts_with(b"-----BEGIN%20") {
        return pem_items(&issuer_chain(text)?);
    }
    let text = normalised(text);
    let label = if text.starts_with(b"-----BEGIN X509 CRL-----") { "X509 CRL" } else { CERTIFICATE };
    let part = FormatError::Part { format: "PEM", part: label };
    let bodies = pem::decode(&text, label).map_err(|_| part)?;
    der_items(bodies)
}

/// Certificates and CRLs. PCK certificates come with each quote: they are known, and passed over.
fn der_items(bodies: Vec<Vec<u8>>) -> Result<Vec<Item>, FormatError> {
    let is_pck = |der: &Vec<u8>| Certificate::parse(der, CertificateRole::Pck).is_ok();
    bodies.into_iter().filter(|der| !is_pck(der)).map(|der| Item::new(der, None)).collect()
}

/// Files may have been through an editor or a Windows machine: `\r\n` becomes `\n`.
fn normalised(text: &[u8]) -> Vec<u8> {
    let mut lines = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, after @ ..] = rest {
        if !(*first == b'\r' && after.starts_with(b"\n")) {
            lines.push(*first);
        }
        rest = after;
    }
    lines
}

/// Leading lines that start with `#`, as Open Enclave's test files have them.
fn without_comments(mut bytes: &[u8]) -> &[u8] {
    while let [b'#', ..] = bytes {
        let end = bytes.iter().position(|byte| *byte == b'\n');
        bytes = end.and_then(|end| bytes.get(end + 1..)).unwrap_or_default();
    }
    bytes
}

/// DER in C structures is followed by a NUL at times; DER says its own length, so nothing is lost.
fn without_nul(der: &[u8]) -> &[u8] {
    match der {
        [0x30, 0x82, high, low, ..] => {
            let length = usize::from(u16::from_be_bytes([*high, *low])) + 4;
            if der.len() == length + 1 { der.strip_suffix(b"\0").unwrap_or(der) } else { der }
        }
        _ => der,
    }
}

/// Text without one NUL and line breaks at its end.
pub(super) fn trim(text: &[u8]) -> &[u8] {
    let text = text.strip_suffix(b"\0").unwrap_or(text);
    text.trim_ascii()
}

fn percent_decode(text: &[u8]) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    loop {
        match rest {
            [] => return Some(decoded),
            [b'%', high, low, after @ ..] => {
                decoded.extend(hex::decode([*high, *low]).ok()?);
                rest = after;
            }
            [byte, after @ ..] => {
                decoded.push(*byte);
                rest = after;
            }
        }
    }
}
