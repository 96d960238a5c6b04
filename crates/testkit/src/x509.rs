//! Certificates and revocation lists in the shape Intel issues them (RFC 5280), field by field.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use time::OffsetDateTime;

use crate::asn1::{self, bit_string, boolean, element, integer, oid, sequence, small_integer};
use crate::key::Key;

/// A distinguished name: `(attribute OID, string tag, text)` in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name(pub Vec<(&'static str, u8, String)>);

impl Name {
    /// `CN=common_name, O=Intel Corporation, L=Santa Clara, ST=CA, C=US`.
    #[must_use]
    pub fn intel(common_name: &str) -> Self {
        Self(vec![
            ("2.5.4.3", asn1::UTF8_STRING, common_name.to_owned()),
            ("2.5.4.10", asn1::UTF8_STRING, "Intel Corporation".to_owned()),
            ("2.5.4.7", asn1::UTF8_STRING, "Santa Clara".to_owned()),
            ("2.5.4.8", asn1::UTF8_STRING, "CA".to_owned()),
            ("2.5.4.6", asn1::PRINTABLE_STRING, "US".to_owned()),
        ])
    }

    fn der(&self) -> Vec<u8> {
        let sets: Vec<Vec<u8>> = self
            .0
            .iter()
            .map(|(attribute, tag, text)| {
                let pair = sequence(&[oid(attribute), element(*tag, text.as_bytes())]);
                element(asn1::SET, &pair)
            })
            .collect();
        sequence(&sets)
    }
}

/// An extension with its DER value (the content of the OCTET STRING).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extension {
    /// Dotted identifier.
    pub oid: &'static str,
    /// Whether it is marked critical.
    pub critical: bool,
    /// DER of the value.
    pub value: Vec<u8>,
}

/// Identifier of the authority key identifier.
pub const AUTHORITY_KEY_ID: &str = "2.5.29.35";
/// Identifier of the subject key identifier.
pub const SUBJECT_KEY_ID: &str = "2.5.29.14";
/// Identifier of key usage.
pub const KEY_USAGE: &str = "2.5.29.15";
/// Identifier of basic constraints.
pub const BASIC_CONSTRAINTS: &str = "2.5.29.19";
/// Identifier of the CRL distribution points.
pub const CRL_POINTS: &str = "2.5.29.31";
/// Identifier of the CRL number.
pub const CRL_NUMBER: &str = "2.5.29.20";

/// Key usage bits `keyCertSign` and `cRLSign`.
pub const SIGNS_CERTIFICATES: [u8; 2] = [0x01, 0x06];
/// Key usage bits `digitalSignature` and `nonRepudiation`.
pub const SIGNS_DATA: [u8; 2] = [0x06, 0xc0];

impl Extension {
    /// Authority key identifier with a key identifier only.
    #[must_use]
    pub fn authority_key_id(id: &[u8]) -> Self {
        Self { oid: AUTHORITY_KEY_ID, critical: false, value: sequence(&[element(0x80, id)]) }
    }

    /// Subject key identifier.
    #[must_use]
    pub fn subject_key_id(id: &[u8]) -> Self {
        Self { oid: SUBJECT_KEY_ID, critical: false, value: element(asn1::OCTET_STRING, id) }
    }

    /// Key usage from the content of its BIT STRING (unused-bit count, then the bits).
    #[must_use]
    pub fn key_usage(bits: [u8; 2]) -> Self {
        Self { oid: KEY_USAGE, critical: true, value: element(asn1::BIT_STRING, &bits) }
    }

    /// Basic constraints of an authority with a path length, or of an end entity.
    #[must_use]
    pub fn basic_constraints(path_length: Option<u64>) -> Self {
        let value = match path_length {
            Some(length) => sequence(&[boolean(true), small_integer(length)]),
            None => sequence(&[]),
        };
        Self { oid: BASIC_CONSTRAINTS, critical: true, value }
    }

    /// One CRL distribution point.
    #[must_use]
    pub fn crl_point(uri: &str) -> Self {
        let names = element(0xa0, &element(0xa0, &element(0x86, uri.as_bytes())));
        Self { oid: CRL_POINTS, critical: false, value: sequence(&[sequence(&[names])]) }
    }

    /// CRL number.
    #[must_use]
    pub fn crl_number(number: u64) -> Self {
        Self { oid: CRL_NUMBER, critical: false, value: small_integer(number) }
    }

    fn der(&self) -> Vec<u8> {
        let mut parts = vec![oid(self.oid)];
        if self.critical {
            parts.push(boolean(true));
        }
        parts.push(element(asn1::OCTET_STRING, &self.value));
        sequence(&parts)
    }
}

/// Puts `extension` in the place of the one with its identifier, or at the end.
pub fn put(extensions: &mut Vec<Extension>, extension: Extension) {
    match extensions.iter_mut().find(|existing| existing.oid == extension.oid) {
        Some(existing) => *existing = extension,
        None => extensions.push(extension),
    }
}

/// Takes the extension with identifier `oid` away.
pub fn take(extensions: &mut Vec<Extension>, oid: &str) {
    extensions.retain(|extension| extension.oid != oid);
}

const ECDSA_WITH_SHA256: &str = "1.2.840.10045.4.3.2";

/// A certificate to be signed.
#[derive(Debug, Clone)]
pub struct Certificate {
    /// Version field: 2 is version 3.
    pub version: u64,
    /// Serial number, big-endian.
    pub serial: Vec<u8>,
    /// Signature algorithm, inside and outside.
    pub algorithm: &'static str,
    /// Who issues it.
    pub issuer: Name,
    /// Start of validity.
    pub not_before: OffsetDateTime,
    /// End of validity.
    pub not_after: OffsetDateTime,
    /// Whom it names.
    pub subject: Name,
    /// Its key.
    pub key: Key,
    /// Who signs it.
    pub signer: Key,
    /// Its extensions, in order.
    pub extensions: Vec<Extension>,
}

impl Certificate {
    /// The signed certificate; a fresh signature each time.
    #[must_use]
    pub fn der(&self) -> Vec<u8> {
        let extensions: Vec<Vec<u8>> = self.extensions.iter().map(Extension::der).collect();
        let algorithm = sequence(&[oid(self.algorithm)]);
        let mut parts = vec![
            element(0xa0, &small_integer(self.version)),
            integer(&self.serial),
            algorithm.clone(),
            self.issuer.der(),
            sequence(&[asn1::time(self.not_before), asn1::time(self.not_after)]),
            self.subject.der(),
            self.key.public_der(),
        ];
        if !extensions.is_empty() {
            parts.push(element(0xa3, &sequence(&extensions)));
        }
        signed(&sequence(&parts), algorithm, &self.signer)
    }
}

/// A certificate revocation list to be signed.
#[derive(Debug, Clone)]
pub struct Crl {
    /// Who issues it.
    pub issuer: Name,
    /// When it was issued.
    pub this_update: OffsetDateTime,
    /// When the next one is due.
    pub next_update: Option<OffsetDateTime>,
    /// Serial numbers of revoked certificates, big-endian.
    pub revoked: Vec<Vec<u8>>,
    /// Who signs it.
    pub signer: Key,
    /// Its extensions, in order.
    pub extensions: Vec<Extension>,
}

impl Crl {
    /// The signed list; a fresh signature each time.
    #[must_use]
    pub fn der(&self) -> Vec<u8> {
        let algorithm = sequence(&[oid(ECDSA_WITH_SHA256)]);
        let mut parts =
            vec![small_integer(1), algorithm.clone(), self.issuer.der(), asn1::time(self.this_update)];
        parts.extend(self.next_update.map(asn1::time));
        if !self.revoked.is_empty() {
            let key_compromise =
                Extension { oid: "2.5.29.21", critical: false, value: element(asn1::ENUMERATED, &[1]) };
            let entries: Vec<Vec<u8>> = self
                .revoked
                .iter()
                .map(|serial| {
                    let date = asn1::time(self.this_update);
                    sequence(&[integer(serial), date, sequence(&[key_compromise.der()])])
                })
                .collect();
            parts.push(sequence(&entries));
        }
        if !self.extensions.is_empty() {
            let extensions: Vec<Vec<u8>> = self.extensions.iter().map(Extension::der).collect();
            parts.push(element(0xa0, &sequence(&extensions)));
        }
        signed(&sequence(&parts), algorithm, &self.signer)
    }
}

fn signed(to_be_signed: &[u8], algorithm: Vec<u8>, signer: &Key) -> Vec<u8> {
    let signature = bit_string(&signer.sign_der(to_be_signed));
    sequence(&[to_be_signed.to_vec(), algorithm, signature])
}

/// The algorithm every certificate of this hierarchy uses.
#[must_use]
pub fn ecdsa_with_sha256() -> &'static str {
    ECDSA_WITH_SHA256
}

/// PEM text of one DER object, lines of 64 characters, LF, as the PCS sends it (RFC 7468).
#[must_use]
pub fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut out = format!("-----BEGIN {label}-----\n");
    for line in text.as_bytes().chunks(64) {
        out.push_str(std::str::from_utf8(line).expect("base64 is ASCII"));
        out.push('\n');
    }
    out.push_str(&format!("-----END {label}-----\n"));
    out
}
