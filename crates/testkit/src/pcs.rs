//! The endorsements of a forgery as answers of Intel's provisioning certification service (PCS API v4),
//! for stand-ins that serve them. Nothing here talks to a network.

use crate::intel::Minted;

/// One answer with status 200.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// A short name for counting: `tcb`, `qe_identity`, `pck_crl`, `root_ca_crl`.
    pub item: &'static str,
    /// `Content-Type`.
    pub content_type: &'static str,
    /// The issuer-chain header, name and percent-encoded PEM.
    pub issuer_chain: Option<(&'static str, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// The answers for one platform.
#[derive(Debug, Clone)]
pub struct Answers {
    fmspc: String,
    ca: &'static str,
    tcb: Answer,
    qe_identity: Answer,
    pck_crl: Answer,
    root_ca_crl_der: Answer,
    root_ca_crl_hex: Answer,
}

impl Answers {
    /// What the service would answer for the platform and time of `minted`.
    #[must_use]
    pub fn new(minted: &Minted) -> Self {
        let json = |item, header, chain: &[u8], body: &[u8]| Answer {
            item,
            content_type: "application/json",
            issuer_chain: Some((header, percent_encode(chain))),
            body: body.to_vec(),
        };
        let crl = |item, content_type, issuer_chain, body: Vec<u8>| Answer {
            item,
            content_type,
            issuer_chain,
            body,
        };
        Self {
            fmspc: hex::encode(minted.fmspc),
            ca: minted.ca.parameter(),
            tcb: json("tcb", "TCB-Info-Issuer-Chain", &minted.tcb_info_issuer_chain, &minted.tcb_info),
            qe_identity: json(
                "qe_identity",
                "SGX-Enclave-Identity-Issuer-Chain",
                &minted.qe_identity_issuer_chain,
                &minted.qe_identity,
            ),
            pck_crl: crl(
                "pck_crl",
                "application/pkix-crl",
                Some(("SGX-PCK-CRL-Issuer-Chain", percent_encode(&minted.pck_crl_issuer_chain))),
                minted.pck_crl.clone(),
            ),
            root_ca_crl_der: crl("root_ca_crl", "application/pkix-crl", None, minted.root_ca_crl.clone()),
            root_ca_crl_hex: crl(
                "root_ca_crl",
                "application/x-pem-file",
                None,
                hex::encode(&minted.root_ca_crl).into_bytes(),
            ),
        }
    }

    /// The answer to `GET path?query`, or nothing where the service answers 404: another FMSPC, another
    /// authority, an unknown path.
    ///
    /// The root's list is at its distribution point (`/IntelSGXRootCA.der`, DER) and where caching
    /// services have it (`/sgx/certification/v4/rootcacrl`, hexadecimal text).
    #[must_use]
    pub fn get(&self, path: &str, query: Option<&str>) -> Option<&Answer> {
        let parameter = |name: &str| {
            query?
                .split('&')
                .filter_map(|pair| pair.split_once('='))
                .find(|(key, _)| *key == name)
                .map(|pair| pair.1)
        };
        match path {
            "/sgx/certification/v4/tcb" => {
                parameter("fmspc").filter(|fmspc| fmspc.eq_ignore_ascii_case(&self.fmspc)).map(|_| &self.tcb)
            }
            "/sgx/certification/v4/qe/identity" => Some(&self.qe_identity),
            "/sgx/certification/v4/pckcrl" => {
                parameter("ca").filter(|ca| *ca == self.ca).map(|_| &self.pck_crl)
            }
            "/sgx/certification/v4/rootcacrl" => Some(&self.root_ca_crl_hex),
            "/IntelSGXRootCA.der" => Some(&self.root_ca_crl_der),
            _ => None,
        }
    }
}

/// Percent-encoding of everything but unreserved characters (RFC 3986 §2.1), as the service does.
fn percent_encode(text: &[u8]) -> String {
    text.iter()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(*byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::intel::{Ca, Forge};

    #[test]
    fn answers_are_for_one_platform() {
        let minted = Forge::new(Ca::Platform, time::macros::datetime!(2026-01-01 0:00 UTC)).mint();
        let answers = Answers::new(&minted);
        let tcb = answers.get("/sgx/certification/v4/tcb", Some("fmspc=00606A000000")).unwrap();
        assert_eq!(tcb.body, minted.tcb_info);
        assert!(tcb.issuer_chain.as_ref().unwrap().1.starts_with("-----BEGIN%20CERTIFICATE-----%0A"));
        assert_eq!(answers.get("/sgx/certification/v4/tcb", Some("fmspc=00906ed50000")), None);
        let crl = answers.get("/sgx/certification/v4/pckcrl", Some("ca=platform&encoding=der")).unwrap();
        assert_eq!(crl.body, minted.pck_crl);
        assert_eq!(answers.get("/sgx/certification/v4/pckcrl", Some("ca=processor&encoding=der")), None);
    }
}
