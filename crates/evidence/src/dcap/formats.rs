//! The files and answers that endorsements come in, recognised by content, never by name.
//!
//! A [`Collection`] takes any of them and gives out what a platform needs. Nothing here trusts anything:
//! items are sorted by what they say of themselves, and [`super::Endorsements::verify`] judges them.
//!
//! - raw answers of the PCS API v4: TCB info, QE identity; CRLs in DER, hexadecimal or PEM; issuer chains
//!   and certificates in PEM (also URL-encoded, as in the API's headers) or DER,
//! - the JSON that Intel's PCCS admin tool fetches (`collaterals`),
//! - `QuoteCollateralV3` JSON of the dcap-qvl crate,
//! - a document with its issuer chain in one JSON, as the clients of teepot and Fortanix keep it,
//! - Open Enclave endorsements, also after `#` comment lines,
//! - a serialised or dumped `sgx_ql_qve_collateral_t`.

use std::collections::BTreeMap;

use time::OffsetDateTime;

use super::qe_identity::UnverifiedIdentity;
use super::signed_json::{DocumentError, SignedJson};
use super::tcb_info::UnverifiedTcbInfo;
use super::{EndorsementsId, PckCa, RawEndorsements, Tee};
use crate::crl::{Crl, CrlError};
use crate::pem;
use crate::x509::{CERTIFICATE, Certificate, CertificateRole, Validity};

mod binary;
mod json;
mod recognise;

pub use recognise::decode_issuer_chain_header;

/// What an item is. Its text form is stable: stores keep items by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ItemKind {
    /// A certificate that may belong to an issuer chain, by the SHA-256 of its DER.
    Certificate([u8; 32]),
    /// A CRL of one of the PCK CAs.
    PckCrl(PckCa),
    /// The identity of a quoting enclave.
    QeIdentity(Tee),
    /// The CRL of the root.
    RootCaCrl,
    /// The TCB info of a platform family.
    TcbInfo {
        /// The kind of TEE.
        tee: Tee,
        /// The platform family, in memory order.
        fmspc: [u8; 6],
    },
}

/// `tcb-info/sgx/00906ed50000`, `qe-identity/sgx`, `pck-crl/processor`, `root-ca-crl`, `certificate/<sha256>`.
impl std::fmt::Display for ItemKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let tee = |tee| if tee == Tee::Sgx { "sgx" } else { "tdx" };
        match self {
            Self::Certificate(digest) => write!(f, "certificate/{}", hex::encode(digest)),
            Self::PckCrl(ca) => write!(f, "pck-crl/{ca}"),
            Self::QeIdentity(of) => write!(f, "qe-identity/{}", tee(*of)),
            Self::RootCaCrl => f.write_str("root-ca-crl"),
            Self::TcbInfo { tee: of, fmspc } => write!(f, "tcb-info/{}/{}", tee(*of), hex::encode(fmspc)),
        }
    }
}

/// One endorsement, sorted by what it says of itself; **nothing of it is verified**.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Item {
    /// What it is.
    pub kind: ItemKind,
    /// The signed document, or DER.
    pub body: Vec<u8>,
    /// PEM of its issuer chain, if that came with it.
    pub issuer_chain: Option<Vec<u8>>,
    /// `issueDate` and `nextUpdate`, `thisUpdate` and `nextUpdate`, or a certificate's validity.
    pub unverified_validity: Validity,
    /// TCB evaluation data number, or CRL number; 0 for certificates.
    pub unverified_number: u64,
}

impl Item {
    /// Sorts one item by its content: a signed document, or a CRL or certificate in DER.
    ///
    /// # Errors
    /// [`FormatError`] if it is none of them.
    pub fn new(body: Vec<u8>, issuer_chain: Option<Vec<u8>>) -> Result<Self, FormatError> {
        if body.starts_with(b"{\"tcbInfo\":") {
            Self::tcb_info(body, issuer_chain)
        } else if body.starts_with(b"{\"enclaveIdentity\":") {
            Self::qe_identity(body, issuer_chain)?.ok_or(FormatError::Unknown)
        } else {
            Self::der(body, issuer_chain)
        }
    }

    fn tcb_info(body: Vec<u8>, issuer_chain: Option<Vec<u8>>) -> Result<Self, FormatError> {
        let signed = SignedJson::split(&body, "tcbInfo")?;
        let peek = UnverifiedTcbInfo::peek(signed.unverified_value())?;
        Ok(Self {
            kind: ItemKind::TcbInfo { tee: peek.tee, fmspc: peek.fmspc },
            unverified_validity: peek.validity,
            unverified_number: peek.evaluation_data_number.into(),
            body,
            issuer_chain,
        })
    }

    /// `None` for the identity of the quote verification enclave, which nothing here needs.
    fn qe_identity(body: Vec<u8>, issuer_chain: Option<Vec<u8>>) -> Result<Option<Self>, FormatError> {
        let signed = SignedJson::split(&body, "enclaveIdentity")?;
        let peek = UnverifiedIdentity::peek(signed.unverified_value())?;
        Ok(peek.tee.map(|tee| Self {
            kind: ItemKind::QeIdentity(tee),
            unverified_validity: peek.validity,
            unverified_number: peek.evaluation_data_number.into(),
            body,
            issuer_chain,
        }))
    }

    fn der(body: Vec<u8>, issuer_chain: Option<Vec<u8>>) -> Result<Self, FormatError> {
        if let Some((_, certificate)) = certificate(&body) {
            return Ok(Self {
                kind: ItemKind::Certificate(crypto::sha256(&body)),
                unverified_validity: certificate.validity,
                unverified_number: 0,
                body,
                issuer_chain,
            });
        }
        let crl = Crl::parse(&body)?;
        let kind = match PckCa::from_common_name(&crl.issuer_common_name) {
            Some(ca) => ItemKind::PckCrl(ca),
            None if crl.issuer_common_name.contains("SGX Root CA") => ItemKind::RootCaCrl,
            None => {
                let name = crl.issuer_common_name.chars().filter(|character| !character.is_control());
                return Err(FormatError::CrlIssuer { name: name.collect() });
            }
        };
        Ok(Self {
            kind,
            unverified_validity: crl.validity,
            unverified_number: crl.number,
            body,
            issuer_chain,
        })
    }
}

/// Why a file is no endorsement.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// A CRL of an issuer that is none of Intel's SGX CAs.
    #[error("a CRL of `{name}`, which is no SGX CA")]
    CrlIssuer {
        /// The common name of its issuer.
        name: String,
    },
    /// A CRL that cannot be read.
    #[error("neither a certificate nor a CRL: {0}")]
    Crl(#[from] CrlError),
    /// A signed document that cannot be read.
    #[error("{0}")]
    Document(#[from] DocumentError),
    /// A member or part is not as the format has it.
    #[error("{format}: `{part}` is not as the format has it")]
    Part {
        /// The format recognised.
        format: &'static str,
        /// The part.
        part: &'static str,
    },
    /// Longer than any file of endorsements.
    #[error("{length} bytes, more than the {limit} accepted")]
    TooLong {
        /// Its length.
        length: usize,
        /// The most bytes accepted.
        limit: usize,
    },
    /// None of the formats.
    #[error(
        "no known endorsement format; give PCS API answers, PCCS admin tool JSON, dcap-qvl JSON or Open Enclave \
         endorsements"
    )]
    Unknown,
}

/// What a platform needs and a collection hasn't got.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no {} for {id}", items.join(", no "))]
pub struct Missing {
    /// What was asked for.
    pub id: EndorsementsId,
    /// What is missing, e.g. `TCB info`.
    pub items: Vec<&'static str>,
}

/// Endorsements from any number of files.
#[derive(Debug, Clone, Default)]
pub struct Collection {
    items: BTreeMap<ItemKind, Vec<Item>>,
}

impl Collection {
    /// An empty collection.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds what a file holds and gives the number of items found; a file of a known format without
    /// anything of use (such as the identity of the quote verification enclave) has none.
    ///
    /// # Errors
    /// [`FormatError`]; then nothing of the file is added.
    pub fn add(&mut self, bytes: &[u8]) -> Result<usize, FormatError> {
        let items = recognise::items(bytes)?;
        let count = items.len();
        for item in items {
            self.add_item(item);
        }
        Ok(count)
    }

    /// Adds one item.
    pub fn add_item(&mut self, item: Item) {
        let same = self.items.entry(item.kind).or_default();
        match same.iter_mut().find(|other| other.body == item.body) {
            Some(other) if other.issuer_chain.is_none() => *other = item,
            Some(_) => {}
            None => same.push(item),
        }
    }

    /// All items, ordered by kind.
    pub fn items(&self) -> impl Iterator<Item = &Item> {
        self.items.values().flatten()
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The endorsements that a platform needs, as of `now`: of several items of a kind, the newest of
    /// those valid at `now`, and the newest if none is. `pck_issuer_chain` (PEM: PCK CA, root), as a
    /// quote carries it, stands in for a PCK CRL that came without its chain.
    ///
    /// # Errors
    /// [`Missing`] names the items that are not in the collection.
    pub fn select(
        &self,
        id: &EndorsementsId,
        pck_issuer_chain: Option<&[u8]>,
        now: OffsetDateTime,
    ) -> Result<RawEndorsements, Missing> {
        let mut missing = Vec::new();
        let mut best = |kind, name| {
            let found = self.best(kind, now);
            if found.is_none() {
                missing.push(name);
            }
            found
        };
        let tcb_info = best(ItemKind::TcbInfo { tee: id.tee, fmspc: id.fmspc }, "TCB info");
        let qe_identity = best(ItemKind::QeIdentity(id.tee), "QE identity");
        let root_crl = best(ItemKind::RootCaCrl, "root CA CRL");
        let pck_crl = best(ItemKind::PckCrl(id.ca), "PCK CRL");
        let signer_chain =
            |item: &Item, member| item.issuer_chain.clone().or_else(|| self.signer_chain(&item.body, member));
        let tcb_chain = tcb_info.and_then(|item| signer_chain(item, "tcbInfo"));
        let qe_chain = qe_identity.and_then(|item| signer_chain(item, "enclaveIdentity"));
        let crl_chain = pck_crl.and_then(|item| item.issuer_chain.clone());
        let crl_chain = crl_chain
            .or_else(|| pck_issuer_chain.map(<[u8]>::to_vec))
            .or_else(|| self.pck_crl_chain(&pck_crl?.body));
        if tcb_info.is_some() && tcb_chain.is_none() {
            missing.push("issuer chain of the TCB info");
        }
        if qe_identity.is_some() && qe_chain.is_none() {
            missing.push("issuer chain of the QE identity");
        }
        if pck_crl.is_some() && crl_chain.is_none() {
            missing.push("issuer chain of the PCK CRL");
        }
        match (tcb_info, qe_identity, root_crl, pck_crl, tcb_chain, qe_chain, crl_chain) {
            (
                Some(tcb_info),
                Some(qe_identity),
                Some(root_crl),
                Some(pck_crl),
                Some(tcb_info_issuer_chain),
                Some(qe_identity_issuer_chain),
                Some(pck_crl_issuer_chain),
            ) => Ok(RawEndorsements {
                tcb_info: tcb_info.body.clone(),
                tcb_info_issuer_chain,
                qe_identity: qe_identity.body.clone(),
                qe_identity_issuer_chain,
                root_ca_crl: root_crl.body.clone(),
                pck_crl: pck_crl.body.clone(),
                pck_crl_issuer_chain,
            }),
            _ => Err(Missing { id: *id, items: missing }),
        }
    }

    fn best(&self, kind: ItemKind, now: OffsetDateTime) -> Option<&Item> {
        self.items.get(&kind)?.iter().max_by_key(|item| {
            let validity = item.unverified_validity;
            (validity.contains(now), item.unverified_number, validity.not_before)
        })
    }

    /// The TCB signing certificate whose key signed the document, with the root that issued it.
    fn signer_chain(&self, document: &[u8], member: &'static str) -> Option<Vec<u8>> {
        let signed = SignedJson::split(document, member).ok()?;
        self.chain_of(CertificateRole::TcbSigning, |signer| signed.is_signed_by(&signer.key))
    }

    /// The PCK CA certificate whose key signed the CRL, with the root that issued it.
    fn pck_crl_chain(&self, der: &[u8]) -> Option<Vec<u8>> {
        let crl = Crl::parse(der).ok()?;
        self.chain_of(CertificateRole::PckCa, |issuer| crl.check_issued_by(issuer).is_ok())
    }

    fn chain_of(&self, role: CertificateRole, fits: impl Fn(&Certificate) -> bool) -> Option<Vec<u8>> {
        let of_role = |wanted| {
            let certificates = self.items().filter_map(|item| certificate(&item.body));
            certificates.filter(move |(role, _)| *role == wanted).map(|(_, certificate)| certificate)
        };
        // Where none fits, any will do: verification then says whose signature is wrong.
        let signer = of_role(role).find(fits).or_else(|| of_role(role).next())?;
        let root = of_role(CertificateRole::Root).find(|root| signer.is_issued_by(root))?;
        Some(pem::encode([signer.der.as_slice(), root.der.as_slice()], CERTIFICATE))
    }
}

/// A certificate of an issuer chain, and its role.
fn certificate(der: &[u8]) -> Option<(CertificateRole, Certificate)> {
    [CertificateRole::TcbSigning, CertificateRole::Root, CertificateRole::PckCa]
        .into_iter()
        .find_map(|role| Some((role, Certificate::parse(der, role).ok()?)))
}

/// The largest file: Intel's admin tool writes the endorsements of all platforms, a few megabytes.
const MAX_FILE_BYTES: usize = 64 * 1024 * 1024;

#[cfg(test)]
mod tests;
