//! Every error variant of `evidence` by name. The matches are exhaustive on purpose: a new variant does
//! not compile until it is named here, and then the vectors test asks for a vector.

use evidence::anchors::AnchorError;
use evidence::dcap::{DocumentError, EndorsementError, PckExtensionError};
use evidence::{BindingError, ChainError, CrlError, ParseError, PemError, ReadError, VerifyError};

macro_rules! names {
    ($list:ident, $function:ident, $enum:ident: $($variant:ident),+ $(,)?) => {
        #[doc = concat!("The variants of [`", stringify!($enum), "`].")]
        pub const $list: &[&str] = &[$(stringify!($variant)),+];

        fn $function(error: &$enum) -> &'static str {
            match error {
                $($enum::$variant { .. } => stringify!($variant),)+
            }
        }
    };
}

names!(PARSE, parse_name, ParseError:
    LocalReport, Shape, TooLong, TrailingBytes, UnknownCertificationType, UnknownFormat, UnknownQeVendor,
    UnsupportedAttestationKey, UnsupportedTee, UnsupportedVersion, WrappedQeReport);
names!(VERIFY, verify_name, VerifyError:
    CertificationType, EndorsementsValidity, Fmspc, PceId, PckCaRevoked, PckChain, PckCrlIssuer, PckExtension,
    PckIdentity, PckRevoked, PckValidity, QeAttributes, QeIsvProdId, QeMiscSelect, QeMrSigner, QeReportBinding,
    QeReportSignature, QuoteSignature, TcbNotSupported, TcbRevoked, Tee);
names!(ENDORSEMENT, endorsement_name, EndorsementError:
    Chain, Crl, Document, PckCa, Revoked, Tee, Validity);
names!(BINDING, binding_name, BindingError: InitTimeData, RuntimeData);
names!(ANCHOR, anchor_name, AnchorError: Root);
names!(CHAIN, chain_name, ChainError:
    CertificateCount, DuplicateExtension, Issuer, Malformed, MissingExtension, Pem, Profile, Signature,
    UnknownCriticalExtension, UntrustedRoot);
names!(CRL, crl_name, CrlError: Issuer, Malformed, Missing, Number, Signature, TooLong, UnknownExtension);
names!(DOCUMENT, document_name, DocumentError:
    DuplicateLevel, Envelope, Json, Member, Signature, TooLong, Version);
names!(PCK_EXTENSION, pck_extension_name, PckExtensionError: Duplicate, Malformed, Missing);
names!(PEM, pem_name, PemError: Base64, Boundary, TooLong, TooMany);
names!(READ, read_name, ReadError: Trailing, Truncated);

/// The enums with a vector for each variant: the prefix in `expect`, or after a full stop the variant
/// whose inner error they are, and their variants.
pub const ALL: &[(&str, &[&str])] = &[
    ("Anchor", ANCHOR),
    ("Binding", BINDING),
    ("Endorsement", ENDORSEMENT),
    ("Parse", PARSE),
    ("Verify", VERIFY),
    (".Chain", CHAIN),
    (".Crl", CRL),
    (".Document", DOCUMENT),
    (".PckExtension", PCK_EXTENSION),
    (".Pem", PEM),
    (".Shape", READ),
];

/// `Parse.<variant>`, and the inner error's variant.
#[must_use]
pub fn parse(error: &ParseError) -> String {
    let name = parse_name(error);
    match error {
        ParseError::Shape(inner) => format!("Parse.{name}.{}", read_name(inner)),
        _ => format!("Parse.{name}"),
    }
}

/// `Verify.<variant>`, and the inner error's variants.
#[must_use]
pub fn verify(error: &VerifyError) -> String {
    let name = verify_name(error);
    match error {
        VerifyError::PckChain(inner) => format!("Verify.{name}.{}", chain(inner)),
        VerifyError::PckExtension(inner) => format!("Verify.{name}.{}", pck_extension_name(inner)),
        _ => format!("Verify.{name}"),
    }
}

/// `Endorsement.<variant>`, and the inner error's variants.
#[must_use]
pub fn endorsement(error: &EndorsementError) -> String {
    let name = endorsement_name(error);
    match error {
        EndorsementError::Chain { error, .. } => format!("Endorsement.{name}.{}", chain(error)),
        EndorsementError::Crl { error, .. } => format!("Endorsement.{name}.{}", crl_name(error)),
        EndorsementError::Document { error, .. } => format!("Endorsement.{name}.{}", document_name(error)),
        _ => format!("Endorsement.{name}"),
    }
}

/// `Binding.<variant>`.
#[must_use]
pub fn binding(error: &BindingError) -> String {
    format!("Binding.{}", binding_name(error))
}

/// `Anchor.<variant>`, and the inner error's variants.
#[must_use]
pub fn anchor(error: &AnchorError) -> String {
    let name = anchor_name(error);
    let AnchorError::Root { error, .. } = error;
    format!("Anchor.{name}.{}", chain(error))
}

fn chain(error: &ChainError) -> String {
    match error {
        ChainError::Pem(inner) => format!("{}.{}", chain_name(error), pem_name(inner)),
        _ => chain_name(error).to_owned(),
    }
}
