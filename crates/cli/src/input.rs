//! Files, standard input and the textual arguments of several commands.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use time::format_description::well_known::Rfc3339;
use time::{Date, OffsetDateTime, UtcOffset};

use crate::failure::Failure;

/// Reads a file of at most [`MAX_FILE_BYTES`]; `-` is standard input.
pub(crate) fn read_file(path: &Path) -> Result<Vec<u8>, Failure> {
    let result = if path == Path::new("-") {
        read_bounded(io::stdin().lock())
    } else {
        File::open(path).and_then(read_bounded)
    };
    contents(path, result)
}

/// The same for a file that is open already.
pub(crate) fn read_open(path: &Path, file: File) -> Result<Vec<u8>, Failure> {
    contents(path, read_bounded(file))
}

fn contents(path: &Path, result: io::Result<Option<Vec<u8>>>) -> Result<Vec<u8>, Failure> {
    let shown = path.display();
    match result {
        Ok(Some(bytes)) => Ok(bytes),
        Ok(None) => Err(Failure::usage(format!("`{shown}` is larger than {MAX_FILE_BYTES} bytes"))),
        Err(error) => Err(Failure::usage(format!("`{shown}` cannot be read: {error}"))),
    }
}

/// Reads a text file as UTF-8.
pub(crate) fn read_text(path: &Path) -> Result<String, Failure> {
    String::from_utf8(read_file(path)?)
        .map_err(|_| Failure::usage(format!("`{}` is not UTF-8 text", path.display())))
}

/// `bytes` without the `#` comment lines that some published captures begin with. No evidence format begins
/// with this character.
pub(crate) fn without_comment_lines(bytes: &[u8]) -> &[u8] {
    let mut rest = bytes;
    while rest.starts_with(b"#") {
        rest = match rest.iter().position(|&byte| byte == b'\n') {
            Some(end) => rest.get(end.saturating_add(1)..).unwrap_or_default(),
            None => &[],
        };
    }
    rest
}

/// Reads a `TIME` argument: RFC 3339, or a date alone, which is its midnight in UTC.
pub(crate) fn parse_time(text: &str) -> Result<OffsetDateTime, String> {
    if let Ok(time) = OffsetDateTime::parse(text, &Rfc3339) {
        return Ok(time.to_offset(UtcOffset::UTC));
    }
    Date::parse(text, time::macros::format_description!("[year]-[month]-[day]"))
        .map(|date| date.midnight().assume_utc())
        .map_err(|_| format!("`{text}` is not a time; write `2025-07-04T00:00:00Z` or `2025-07-04`"))
}

/// A time as the commands print it.
pub(crate) fn show_time(time: OffsetDateTime) -> String {
    time.format(&Rfc3339).unwrap_or_else(|_| time.to_string())
}

fn read_bounded(reader: impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    reader.take(MAX_FILE_BYTES.saturating_add(1)).read_to_end(&mut bytes)?;
    let too_large = u64::try_from(bytes.len()).is_ok_and(|length| length > MAX_FILE_BYTES);
    Ok((!too_large).then_some(bytes))
}

/// Far above any evidence or endorsement (a large measured-boot log has 1 MiB), far below what memory holds.
const MAX_FILE_BYTES: u64 = 64 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comment_lines_before_the_bytes_are_left_out() {
        assert_eq!(without_comment_lines(b"# one\n# two\n\x03\x00#\n"), b"\x03\x00#\n");
        assert_eq!(without_comment_lines(b"# only"), b"");
        assert_eq!(without_comment_lines(b"\x03#"), b"\x03#");
    }

    #[test]
    fn times_are_rfc_3339_or_dates() {
        let midnight = time::macros::datetime!(2025-07-04 00:00 UTC);
        assert_eq!(parse_time("2025-07-04"), Ok(midnight));
        assert_eq!(parse_time("2025-07-04T02:00:00+02:00"), Ok(midnight));
        assert!(parse_time("yesterday").is_err());
        assert!(parse_time("2025-13-04").is_err());
    }
}
