//! What files of certificates hold: DER, or PEM with anything around its blocks.

use evidence::tpm::{AkCertificate, KeyTrust, TpmTrust};
use serde_json::{Value, json};

use crate::input::show_time;

/// Something that a directory of roots can hold.
pub(super) enum Item {
    Certificate(Box<AkCertificate>),
    /// A list of revoked certificates, DER.
    Crl(Vec<u8>),
    /// An attestation key: a public area, or a `SubjectPublicKeyInfo` in DER.
    Key(Vec<u8>),
}

/// Everything in a file, each by itself: one that cannot be used leaves the others.
pub(super) fn items(bytes: &[u8]) -> Vec<Result<Item, String>> {
    let text = String::from_utf8_lossy(bytes);
    if bytes.first() == Some(&DER_SEQUENCE) || !text.contains(PEM_BEGIN) {
        return vec![binary(bytes)];
    }
    let blocks = text.split(PEM_BEGIN).skip(1).map(|block| format!("{PEM_BEGIN}{block}"));
    blocks.map(|block| self::block(&block)).collect()
}

/// A PEM block, and what follows it up to the next one.
fn block(text: &str) -> Result<Item, String> {
    let end = text.find(PEM_END).ok_or("a PEM block without end")?;
    let line = text.get(end..).and_then(|rest| rest.lines().next()).unwrap_or_default();
    let block = text.get(..end.saturating_add(line.len())).unwrap_or_default();
    if block.starts_with(PEM_CERTIFICATE) {
        return AkCertificate::parse(block.as_bytes())
            .map(|certificate| Item::Certificate(Box::new(certificate)))
            .map_err(|error| error.to_string());
    }
    let (label, der) = pem_rfc7468::decode_vec(block.trim_end().as_bytes())
        .map_err(|error| format!("a PEM block that cannot be read: {error}"))?;
    match label {
        "PUBLIC KEY" | "X509 CRL" => binary(&der),
        other => Err(format!("a PEM block `{other}`, neither a certificate nor a CRL nor a public key")),
    }
}

fn binary(bytes: &[u8]) -> Result<Item, String> {
    let failure = match AkCertificate::parse(bytes) {
        Ok(certificate) => return Ok(Item::Certificate(Box::new(certificate))),
        Err(failure) => failure,
    };
    if TpmTrust::new().add_crl(bytes).is_ok() {
        return Ok(Item::Crl(bytes.to_vec()));
    }
    if KeyTrust::default().add_key(bytes).is_ok() {
        return Ok(Item::Key(bytes.to_vec()));
    }
    if bytes.first() == Some(&DER_SEQUENCE) {
        return Err(failure.to_string());
    }
    Err("neither a certificate nor a CRL nor a public key".to_owned())
}

impl Item {
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Certificate(certificate) => certificate.der(),
            Self::Crl(bytes) | Self::Key(bytes) => bytes,
        }
    }

    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Certificate(certificate) if certificate.is_self_issued() => "root",
            Self::Certificate(_) => "intermediate",
            Self::Crl(_) => "crl",
            Self::Key(_) => "key",
        }
    }

    /// For people.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Certificate(certificate) => {
                format!("`{}`, until {}", certificate.subject(), show_time(certificate.validity().not_after))
            }
            Self::Crl(_) => "list of revoked certificates".to_owned(),
            Self::Key(bytes) => format!("attestation key, SHA-256 {}", hex::encode(crypto::sha256(bytes))),
        }
    }

    /// For programs.
    pub(super) fn document(&self) -> Value {
        let mut document = json!({
            "kind": self.kind(),
            "sha256": hex::encode(crypto::sha256(self.bytes())),
        });
        if let (Self::Certificate(certificate), Value::Object(members)) = (self, &mut document) {
            let validity = certificate.validity();
            for (name, value) in [
                ("subject", certificate.subject().to_owned()),
                ("issuer", certificate.issuer().to_owned()),
                ("notBefore", show_time(validity.not_before)),
                ("notAfter", show_time(validity.not_after)),
            ] {
                members.insert(name.to_owned(), value.into());
            }
        }
        document
    }

    /// A name for the file: who it is for people, and a digest so that no two share one.
    pub(super) fn file_name(&self) -> String {
        let digest = hex::encode(crypto::sha256(self.bytes()));
        let digest = digest.get(..DIGEST_DIGITS).unwrap_or_default();
        match self {
            Self::Certificate(certificate) => format!("{}-{digest}.crt", slug(certificate.subject())),
            Self::Crl(_) => format!("list-{digest}.crl"),
            Self::Key(_) => format!("key-{digest}.pub"),
        }
    }
}

/// The common name, or whatever there is, in letters that every file system has.
fn slug(subject: &str) -> String {
    let name = subject.split([',', '+']).find_map(|part| part.trim().strip_prefix("CN=")).unwrap_or(subject);
    let plain = |letter: char| if letter.is_ascii_alphanumeric() { letter } else { '-' };
    let name: String = name.chars().map(plain).take(MAX_SLUG).collect();
    let words: Vec<_> = name.split('-').filter(|word| !word.is_empty()).collect();
    if words.is_empty() { "unnamed".to_owned() } else { words.join("-") }
}

const DER_SEQUENCE: u8 = 0x30;
const PEM_BEGIN: &str = "-----BEGIN ";
const PEM_CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----";
const PEM_END: &str = "-----END ";
const MAX_SLUG: usize = 48;
const DIGEST_DIGITS: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_are_plain() {
        assert_eq!(
            slug("CN=Infineon OPTIGA(TM) RSA Root CA,O=Infineon,C=DE"),
            "Infineon-OPTIGA-TM-RSA-Root-CA"
        );
        assert_eq!(slug("C=TW+CN=Nuvoton TPM Root CA 0100+O=Nuvoton"), "Nuvoton-TPM-Root-CA-0100");
        assert_eq!(slug("O=../../etc"), "O-etc");
        assert_eq!(slug(""), "unnamed");
    }
}
