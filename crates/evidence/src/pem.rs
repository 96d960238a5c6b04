//! PEM (RFC 7468), read so that every byte counts: no text around the blocks, lines of 64 columns (or of
//! 76, as some hosts write the PCK certificate) ended by a line feed, canonical base64. Two texts that differ never give the same certificates, except for
//! the end of the text: the last line feed may be missing, and one NUL may follow, as in Intel's quotes.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Why a text is not strict PEM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PemError {
    /// A line is not canonical base64, of full width unless it is the last one of its block.
    #[error("line {line} is not canonical base64 of 64 (or throughout the block 76) columns")]
    Base64 {
        /// The line, counted from 1.
        line: usize,
    },
    /// A line is not the `BEGIN` or `END` line that has to stand there.
    #[error("line {line} is not the `{expected}` line of a block")]
    Boundary {
        /// The line, counted from 1.
        line: usize,
        /// `BEGIN` or `END`.
        expected: &'static str,
    },
    /// There are more blocks than a chain can have.
    #[error("more than {limit} blocks")]
    TooMany {
        /// The most blocks accepted.
        limit: usize,
    },
    /// The text is longer than any chain.
    #[error("{length} bytes, more than the {limit} accepted")]
    TooLong {
        /// Its length.
        length: usize,
        /// The most bytes accepted.
        limit: usize,
    },
}

/// The DER bodies of the `label` blocks that make up `text`.
pub(crate) fn decode(text: &[u8], label: &str) -> Result<Vec<Vec<u8>>, PemError> {
    if text.len() > MAX_PEM_BYTES {
        return Err(PemError::TooLong { length: text.len(), limit: MAX_PEM_BYTES });
    }
    let text = text.strip_suffix(b"\0").unwrap_or(text);
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    let begin = format!("-----BEGIN {label}-----");
    let end = format!("-----END {label}-----");
    let mut lines = (1..).zip(text.split(|byte| *byte == b'\n'));
    let mut blocks = Vec::new();
    while let Some((line, found)) = lines.next() {
        if found != begin.as_bytes() {
            return Err(PemError::Boundary { line, expected: "BEGIN" });
        }
        if blocks.len() == MAX_BLOCKS {
            return Err(PemError::TooMany { limit: MAX_BLOCKS });
        }
        blocks.push(block(&mut lines, line, end.as_bytes())?);
    }
    Ok(blocks)
}

/// The text that [`decode`] reads back as `bodies`.
pub(crate) fn encode<'a>(bodies: impl IntoIterator<Item = &'a [u8]>, label: &str) -> Vec<u8> {
    let mut text = String::new();
    for body in bodies {
        text.push_str(&format!("-----BEGIN {label}-----\n"));
        let base64 = STANDARD.encode(body);
        let mut rest = base64.as_str();
        while !rest.is_empty() {
            let (line, after) = rest.split_at_checked(COLUMNS).unwrap_or((rest, ""));
            text.push_str(line);
            text.push('\n');
            rest = after;
        }
        text.push_str(&format!("-----END {label}-----\n"));
    }
    text.into_bytes()
}

fn block<'a>(
    lines: &mut impl Iterator<Item = (usize, &'a [u8])>,
    begin: usize,
    end: &[u8],
) -> Result<Vec<u8>, PemError> {
    let mut body = Vec::new();
    let mut last = begin;
    let mut short = false;
    let mut columns = COLUMNS;
    for (line, found) in lines {
        last = line;
        if found == end {
            return Ok(body);
        }
        // Only the last line may be shorter, so a line after a short one is out of place.
        if body.is_empty() && found.len() == MIME_COLUMNS {
            columns = MIME_COLUMNS;
        }
        if short || found.is_empty() || found.len() > columns {
            return Err(PemError::Base64 { line });
        }
        short = found.len() < columns || found.ends_with(b"=");
        // Both widths are whole groups of four: each line decodes by itself.
        STANDARD.decode_vec(found, &mut body).map_err(|_| PemError::Base64 { line })?;
    }
    Err(PemError::Boundary { line: last, expected: "END" })
}

const COLUMNS: usize = 64;
/// The width of RFC 2045 §6.8.
const MIME_COLUMNS: usize = 76;
/// A PCK chain is about 3.7 KB; certificates with long subjects and extensions stay far below this.
const MAX_PEM_BYTES: usize = 64 * 1024;
/// A PCK chain has three.
const MAX_BLOCKS: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn text() -> Vec<u8> {
        encode([&[7_u8; 100][..], &[8; 48], &[9; 1]], "CERTIFICATE")
    }

    #[test]
    fn reads_what_it_writes() {
        let bodies = vec![vec![7; 100], vec![8; 48], vec![9; 1]];
        let mut text = text();
        assert_eq!(decode(&text, "CERTIFICATE"), Ok(bodies.clone()));
        text.push(0);
        assert_eq!(decode(&text, "CERTIFICATE"), Ok(bodies.clone()));
        text.truncate(text.len() - 2);
        assert_eq!(decode(&text, "CERTIFICATE"), Ok(bodies));
    }

    #[test]
    fn every_flipped_bit_is_refused_or_changes_a_body() {
        let text = text();
        let bodies = decode(&text, "CERTIFICATE").unwrap();
        for index in 0..text.len() {
            for bit in 0..8 {
                let mut flipped = text.clone();
                flipped[index] ^= 1 << bit;
                if let Ok(found) = decode(&flipped, "CERTIFICATE") {
                    assert_ne!(found, bodies, "bit {bit} of byte {index}");
                }
            }
        }
    }

    #[test]
    fn refuses_everything_else() {
        let check = |text: &str| decode(text.as_bytes(), "CERTIFICATE").unwrap_err();
        let begin = "-----BEGIN CERTIFICATE-----\n";
        let end = "-----END CERTIFICATE-----\n";
        assert_eq!(check(""), PemError::Boundary { line: 1, expected: "BEGIN" });
        assert_eq!(
            check(&format!("text\n{begin}AAAA\n{end}")),
            PemError::Boundary { line: 1, expected: "BEGIN" }
        );
        assert_eq!(
            check(&format!("{begin}AAAA\n{end}\n")),
            PemError::Boundary { line: 4, expected: "BEGIN" }
        );
        assert_eq!(check(&format!("{begin}AAAA\n")), PemError::Boundary { line: 2, expected: "END" });
        assert_eq!(check(&format!("{begin}AAAA\nAAAA\n{end}")), PemError::Base64 { line: 3 });
        assert_eq!(check(&format!("{begin}AAB=\n{end}")), PemError::Base64 { line: 2 });
        let (narrow, wide) = ("A".repeat(64), "A".repeat(76));
        assert!(decode(format!("{begin}{wide}\n{wide}\nAAAA\n{end}").as_bytes(), "CERTIFICATE").is_ok());
        assert_eq!(check(&format!("{begin}{wide}\n{narrow}\nAAAA\n{end}")), PemError::Base64 { line: 4 });
        assert_eq!(check(&format!("{begin}{narrow}\n{wide}\n{end}")), PemError::Base64 { line: 3 });
        assert_eq!(check(&format!("{begin}AAA\n{end}")), PemError::Base64 { line: 2 });
        assert_eq!(check(&format!("{begin}AAAA\r\n{end}")), PemError::Base64 { line: 2 });
        assert_eq!(check(&format!("{begin}AAAA\n{end}").repeat(9)), PemError::TooMany { limit: MAX_BLOCKS });
        let long = "A".repeat(MAX_PEM_BYTES + 1);
        assert!(matches!(check(&long), PemError::TooLong { .. }));
    }
}
