//! An Intel-shaped world under a throw-away root: certificates, revocation lists, TCB info, QE identity
//! and SGX quotes, in the real formats (PCS API v4; Intel SGX ECDSA QuoteLib, appendix A.4).
//!
//! [`Forge`] is the whole world as data. As made, everything in it is sound; a test changes the one
//! field whose rule it wants broken and calls [`Forge::mint`].
//!
//! ```
//! use testkit::intel::{Ca, Forge};
//!
//! let now = time::macros::datetime!(2026-01-01 0:00 UTC);
//! let mut forge = Forge::new(Ca::Platform, now);
//! forge.platform_status("SWHardeningNeeded").qe_status("OutOfDate");
//! forge.quote.body.report_data = [7; 64];
//! let minted = forge.mint();
//! assert!(minted.quote.len() > 4000);
//! ```

mod certificates;
mod identity;
mod quote;
pub mod report;
mod tcb_info;

pub use certificates::{Ca, Chain, SgxExtension};
pub use identity::{IdentityLevel, QeIdentity};
pub use quote::{Certification, INTEL_QE_VENDOR_ID, Quote};
pub use report::ReportBody;
pub use tcb_info::{TcbInfo, TcbLevel};

use time::{Duration, OffsetDateTime};

use crate::key::Key;
use crate::x509::{self, Crl, Extension, Name};

/// Everything a verdict depends on, as data.
#[derive(Debug, Clone)]
pub struct Forge {
    /// The instant at which everything is current: the middle of every validity window.
    pub now: OffsetDateTime,
    /// Which authority issued the PCK certificate.
    pub ca: Ca,
    /// The certificates of both chains.
    pub chain: Chain,
    /// The SGX extension of the PCK certificate.
    pub sgx: SgxExtension,
    /// The root's revocation list.
    pub root_crl: Crl,
    /// The revocation list of the PCK certificate's issuer.
    pub pck_crl: Crl,
    /// TCB info of the platform.
    pub tcb_info: TcbInfo,
    /// Identity of the quoting enclave.
    pub qe_identity: QeIdentity,
    /// The quote.
    pub quote: Quote,
}

impl Forge {
    /// A sound world, current at `now` (cut to the second), whose TCB is up to date.
    #[must_use]
    pub fn new(ca: Ca, now: OffsetDateTime) -> Self {
        let now = now.replace_nanosecond(0).expect("zero is in range");
        let sgx = SgxExtension::new(ca);
        let chain = Chain::new(ca, now);
        let crl = |issuer: &x509::Certificate| Crl {
            issuer: issuer.subject.clone(),
            this_update: now - Duration::days(1),
            next_update: Some(now + Duration::days(29)),
            revoked: Vec::new(),
            signer: issuer.key.clone(),
            extensions: vec![Extension::crl_number(1), Extension::authority_key_id(&issuer.key.id())],
        };
        Self {
            now,
            ca,
            root_crl: crl(&chain.root),
            pck_crl: crl(&chain.intermediate),
            tcb_info: TcbInfo::new(&sgx, &chain, now),
            qe_identity: QeIdentity::new(&chain, now),
            quote: Quote::new(&chain),
            sgx,
            chain,
        }
    }

    /// Makes the platform's own level carry `status`, below an up-to-date one that it does not reach.
    pub fn platform_status(&mut self, status: &str) -> &mut Self {
        self.tcb_info.levels = TcbLevel::with_status(&self.sgx, status, self.now);
        self
    }

    /// Makes the quoting enclave's own level carry `status`, below an up-to-date one if it is not that.
    pub fn qe_status(&mut self, status: &str) -> &mut Self {
        self.qe_identity.levels = IdentityLevel::with_status(self.quote.qe_report.isv_svn, status, self.now);
        self
    }

    /// Turns TCB info and QE identity into sound ones of TDX.
    pub fn for_tdx(&mut self) -> &mut Self {
        const MODULE: &str = concat!(
            r#""tdxModule":{"mrsigner":""#,
            "000000000000000000000000000000000000000000000000",
            "000000000000000000000000000000000000000000000000",
            r#"","attributes":"0000000000000000","attributesMask":"FFFFFFFFFFFFFFFF"},"tcbType":0"#,
        );
        self.tcb_info.id = "TDX".to_owned();
        self.tcb_info.edits.push((r#""tcbType":0"#.to_owned(), MODULE.to_owned()));
        self.qe_identity.id = "TD_QE".to_owned();
        self
    }

    /// Signs everything with the keys the fields name. Signatures are fresh at every call.
    #[must_use]
    pub fn mint(&self) -> Minted {
        let mut leaf = self.chain.leaf.clone();
        leaf.extensions.extend(self.sgx.extension());
        let certificate = |certificate: &x509::Certificate| x509::pem("CERTIFICATE", &certificate.der());
        let (root, intermediate, leaf) =
            (certificate(&self.chain.root), certificate(&self.chain.intermediate), certificate(&leaf));
        let tcb_signing = certificate(&self.chain.tcb_signing);
        let signing_chain = format!("{tcb_signing}{root}").into_bytes();
        Minted {
            ca: self.ca,
            fmspc: self.sgx.fmspc,
            quote: self.quote.around(format!("{leaf}{intermediate}{root}").as_bytes()),
            tcb_info: self.tcb_info.document().into_bytes(),
            tcb_info_issuer_chain: signing_chain.clone(),
            qe_identity: self.qe_identity.document().into_bytes(),
            qe_identity_issuer_chain: signing_chain,
            root_ca_crl: self.root_crl.der(),
            pck_crl: self.pck_crl.der(),
            pck_crl_issuer_chain: format!("{intermediate}{root}").into_bytes(),
            root: root.into_bytes(),
        }
    }
}

/// A quote and the endorsements for it, as bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Minted {
    /// Which authority issued the PCK certificate.
    pub ca: Ca,
    /// The platform's FMSPC.
    pub fmspc: [u8; 6],
    /// The SGX quote.
    pub quote: Vec<u8>,
    /// Signed TCB info, a whole JSON document.
    pub tcb_info: Vec<u8>,
    /// PEM: TCB signing certificate, root.
    pub tcb_info_issuer_chain: Vec<u8>,
    /// Signed QE identity, a whole JSON document.
    pub qe_identity: Vec<u8>,
    /// PEM: TCB signing certificate, root.
    pub qe_identity_issuer_chain: Vec<u8>,
    /// DER revocation list of the root.
    pub root_ca_crl: Vec<u8>,
    /// DER revocation list of the PCK certificate's issuer.
    pub pck_crl: Vec<u8>,
    /// PEM: intermediate, root.
    pub pck_crl_issuer_chain: Vec<u8>,
    /// PEM of the throw-away root, to be named as a trust anchor.
    pub root: Vec<u8>,
}

impl Minted {
    /// The endorsements as `evidence` takes them.
    #[must_use]
    pub fn endorsements(&self) -> evidence::dcap::RawEndorsements {
        evidence::dcap::RawEndorsements {
            tcb_info: self.tcb_info.clone(),
            tcb_info_issuer_chain: self.tcb_info_issuer_chain.clone(),
            qe_identity: self.qe_identity.clone(),
            qe_identity_issuer_chain: self.qe_identity_issuer_chain.clone(),
            root_ca_crl: self.root_ca_crl.clone(),
            pck_crl: self.pck_crl.clone(),
            pck_crl_issuer_chain: self.pck_crl_issuer_chain.clone(),
        }
    }

    /// Trust anchors that are this world's root, for both roles.
    ///
    /// # Panics
    /// If the forged root is not even of the right shape.
    #[must_use]
    pub fn anchors(&self) -> evidence::TrustAnchors {
        evidence::TrustAnchors::with_roots(&[&self.root], &[&self.root]).expect("a root certificate")
    }
}

/// The name of the root certificate.
#[must_use]
pub fn root_name() -> Name {
    Name::intel("Intel SGX Root CA")
}

/// A key of nobody in particular, for signatures that must not verify.
#[must_use]
pub fn stranger() -> Key {
    Key::generate()
}

/// RFC 3339 in whole seconds and UTC, as Intel's documents write time.
fn rfc3339(at: OffsetDateTime) -> String {
    at.format(&time::format_description::well_known::Rfc3339).expect("a year of four digits")
}

/// A JSON array of strings.
fn json_strings(items: &[String]) -> String {
    serde_json::to_string(items).expect("strings are JSON")
}
