//! A committed scenario: header, blank line, sections in PEM armour.
//!
//! ```text
//! expect: Verify.QuoteSignature
//! at: 2026-01-01T00:00:00Z
//! comment: one bit of the report data flipped after signing
//!
//! -----BEGIN SGX QUOTE-----
//! ...
//! ```
//!
//! `expect` is `genuine <TCB status>`, or the error enum without its suffix, a full stop, and the
//! variant. An unknown header key or section name is an error: a vector that says something the runner
//! does not understand has not been run.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::intel::Minted;

/// The sections a vector may have, in file order.
pub const SECTIONS: [&str; 12] = [
    "SGX QUOTE",
    "OPEN ENCLAVE REPORT",
    "RUNTIME DATA",
    "INIT TIME DATA",
    "TCB INFO",
    "TCB INFO ISSUER CHAIN",
    "QE IDENTITY",
    "QE IDENTITY ISSUER CHAIN",
    "ROOT CA CRL",
    "PCK CRL",
    "PCK CRL ISSUER CHAIN",
    "TEST ROOT",
];

/// One scenario.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vector {
    /// What must come out.
    pub expect: String,
    /// As of when.
    pub at: OffsetDateTime,
    /// What the scenario is about.
    pub comment: String,
    /// Section name to bytes.
    pub sections: BTreeMap<String, Vec<u8>>,
}

impl Vector {
    /// A vector with the quote and endorsements of `minted`.
    #[must_use]
    pub fn new(expect: &str, comment: &str, at: OffsetDateTime, minted: &Minted) -> Self {
        let mut sections = BTreeMap::new();
        for (name, bytes) in [
            ("SGX QUOTE", &minted.quote),
            ("TCB INFO", &minted.tcb_info),
            ("TCB INFO ISSUER CHAIN", &minted.tcb_info_issuer_chain),
            ("QE IDENTITY", &minted.qe_identity),
            ("QE IDENTITY ISSUER CHAIN", &minted.qe_identity_issuer_chain),
            ("ROOT CA CRL", &minted.root_ca_crl),
            ("PCK CRL", &minted.pck_crl),
            ("PCK CRL ISSUER CHAIN", &minted.pck_crl_issuer_chain),
            ("TEST ROOT", &minted.root),
        ] {
            sections.insert(name.to_owned(), bytes.clone());
        }
        Self { expect: expect.to_owned(), at, comment: comment.to_owned(), sections }
    }

    /// Puts `bytes` into section `name`.
    #[must_use]
    pub fn with(mut self, name: &str, bytes: Vec<u8>) -> Self {
        self.sections.insert(name.to_owned(), bytes);
        self
    }

    /// Takes section `name` away.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.sections.remove(name);
        self
    }

    /// The bytes of section `name`.
    #[must_use]
    pub fn section(&self, name: &str) -> Option<&[u8]> {
        self.sections.get(name).map(Vec::as_slice)
    }

    /// Reads the file format.
    ///
    /// # Errors
    /// A message for a person: missing or unknown header, unknown or broken section.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (header, body) = text.split_once("\n\n").ok_or("no blank line after the header")?;
        let (mut expect, mut at, mut comment) = (None, None, None);
        for line in header.lines() {
            let (key, value) = line.split_once(": ").ok_or_else(|| format!("not a header: `{line}`"))?;
            let slot = match key {
                "expect" => &mut expect,
                "at" => &mut at,
                "comment" => &mut comment,
                _ => return Err(format!("unknown header key `{key}`")),
            };
            if slot.replace(value.to_owned()).is_some() {
                return Err(format!("header `{key}` twice"));
            }
        }
        let at = at.ok_or("no `at` header")?;
        let at = OffsetDateTime::parse(&at, &Rfc3339).map_err(|error| format!("`at: {at}`: {error}"))?;
        Ok(Self {
            expect: expect.ok_or("no `expect` header")?,
            at,
            comment: comment.ok_or("no `comment` header")?,
            sections: parse_sections(body)?,
        })
    }

    /// Writes the file format.
    ///
    /// # Panics
    /// If the time cannot be written.
    #[must_use]
    pub fn text(&self) -> String {
        let at = self.at.format(&Rfc3339).expect("a year of four digits");
        let mut out = format!("expect: {}\nat: {at}\ncomment: {}\n", self.expect, self.comment);
        for name in SECTIONS {
            if let Some(bytes) = self.section(name) {
                out.push('\n');
                out.push_str(&crate::x509::pem(name, bytes));
            }
        }
        out
    }
}

fn parse_sections(body: &str) -> Result<BTreeMap<String, Vec<u8>>, String> {
    let mut sections = BTreeMap::new();
    let mut lines = body.lines();
    while let Some(line) = lines.next() {
        if line.is_empty() {
            continue;
        }
        let name = line
            .strip_prefix("-----BEGIN ")
            .and_then(|rest| rest.strip_suffix("-----"))
            .ok_or_else(|| format!("expected a section, found `{line}`"))?;
        if !SECTIONS.contains(&name) {
            return Err(format!("unknown section `{name}`"));
        }
        let end = format!("-----END {name}-----");
        let mut encoded = String::new();
        loop {
            match lines.next() {
                Some(line) if line == end => break,
                Some(line) => encoded.push_str(line),
                None => return Err(format!("section `{name}` has no end")),
            }
        }
        let bytes = STANDARD.decode(&encoded).map_err(|error| format!("section `{name}`: {error}"))?;
        if sections.insert(name.to_owned(), bytes).is_some() {
            return Err(format!("section `{name}` twice"));
        }
    }
    Ok(sections)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::intel::{Ca, Forge};

    const NOW: OffsetDateTime = time::macros::datetime!(2026-01-01 0:00 UTC);

    #[test]
    fn a_vector_reads_back_as_written() {
        let minted = Forge::new(Ca::Processor, NOW).mint();
        let vector = Vector::new("genuine UpToDate", "sound", NOW, &minted);
        assert_eq!(Vector::parse(&vector.text()), Ok(vector));
    }

    #[test]
    fn unknown_keys_and_sections_are_refused() {
        let text = "expect: genuine UpToDate\nat: 2026-01-01T00:00:00Z\ncomment: x\nexpects: y\n\n";
        assert_eq!(Vector::parse(text), Err("unknown header key `expects`".to_owned()));
        let text = "expect: x\nat: 2026-01-01T00:00:00Z\ncomment: x\n\n-----BEGIN X-----\n-----END X-----\n";
        assert_eq!(Vector::parse(text), Err("unknown section `X`".to_owned()));
        assert_eq!(Vector::parse("expect: x\n\n"), Err("no `at` header".to_owned()));
    }
}
