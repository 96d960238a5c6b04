//! Lists of PCRs as people write them.

use evidence::tpm::PcrSet;

/// `0-7,10,14`, or `all`.
pub(super) fn parse(text: &str) -> Result<PcrSet, String> {
    if text == "all" {
        return Ok(PcrSet::from_mask(0xff_ffff));
    }
    let mut set = PcrSet::default();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (number(first)?, number(last)?);
        if first > last {
            return Err(format!("`{part}` runs backwards"));
        }
        set = (first..=last).fold(set, PcrSet::with);
    }
    Ok(set)
}

fn number(text: &str) -> Result<u8, String> {
    let number = text.trim().parse::<u8>().ok().filter(|number| *number <= LAST_PCR);
    number.ok_or_else(|| format!("`{text}` is no PCR; they are 0 to {LAST_PCR}"))
}

/// TPMs of PCs have 24 (TCG PC Client Platform TPM Profile, 4.6).
const LAST_PCR: u8 = 23;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_ranges() {
        let mask = |text: &str| parse(text).map(PcrSet::mask);
        assert_eq!(mask("0-23"), Ok(0xff_ffff));
        assert_eq!(mask("all"), Ok(0xff_ffff));
        assert_eq!(mask("0-2, 7,7"), Ok(0x87));
        for text in ["", "24", "-1", "3-1", "a", "1,", "0-255"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
