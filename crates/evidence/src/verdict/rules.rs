//! The table of checks: every id the product can show, with the section that asks for the check.
//!
//! Ids are stable: scripts, audit records and dashboards hold on to them. A changed meaning gets a new id.
//!
//! | id | what is checked |
//! |---|---|
//! | `sgx.quote.structure` | the bytes are an ECDSA quote version 3 of Intel's quoting enclave |
//! | `sgx.certification_data.type` | the quote carries its PCK certificate chain (type 5, alone or inside type 6) |
//! | `sgx.pck.chain` | three certificates, leaf first, each of its profile, each signed by the next |
//! | `sgx.pck.root` | the root's key is one trusted for PCK chains, and the root signs itself |
//! | `sgx.pck.extension` | the leaf's SGX extension is complete |
//! | `sgx.pck.validity` | the three certificates are valid at the time of appraisal |
//! | `sgx.pck.identity` | the verified PCK chain is the one inside this quote |
//! | `dcap.pck_crl.chain` | the PCK CRL's issuer chains to a trusted root |
//! | `dcap.root_crl.signature` | the root CRL is one of that root, and signed by it |
//! | `dcap.pck_crl.signature` | the PCK CRL is one of that issuer, and signed by it |
//! | `dcap.pck_ca.revocation` | the root CRL doesn't list the PCK CRL's issuer or the quote's intermediate |
//! | `dcap.tcb_info.chain`, `dcap.qe_identity.chain` | signer and root: profile, signature, trusted root |
//! | `dcap.tcb_info.signer_revocation`, `dcap.qe_identity.signer_revocation` | the root CRL doesn't list the signer |
//! | `dcap.tcb_info.signature`, `dcap.qe_identity.signature` | the signature over the exact text of the signed value |
//! | `dcap.tcb_info.structure`, `dcap.qe_identity.structure` | the signed value is a document of a known version, without duplicates |
//! | `dcap.endorsements.validity` | every endorsement and its certificates are valid at the time of appraisal |
//! | `dcap.pck_crl.issuer` | the PCK CRL comes from the issuer of this PCK certificate, under the same root |
//! | `dcap.pck.revocation` | the PCK CRL doesn't list the PCK certificate |
//! | `dcap.tcb_info.tee` | the TCB info is for this kind of TEE |
//! | `dcap.tcb_info.fmspc`, `dcap.tcb_info.pceid` | the TCB info is for this platform family and PCE |
//! | `sgx.qe_report.signature` | the PCK key signed the quoting enclave's report |
//! | `sgx.qe_report.binding` | that report names the attestation key and the QE authentication data |
//! | `sgx.qe_identity.miscselect`, `.attributes`, `.mrsigner`, `.isvprodid` | the quoting enclave is Intel's |
//! | `sgx.quote.signature` | the attestation key signed header and report body |
//! | `dcap.tcb.platform`, `dcap.tcb.qe` | a TCB level matches and isn't revoked; its status |
//! | `dcap.tcb.status`, `dcap.tcb.date`, `dcap.tcb.advisories`, `dcap.tcb.evaluation_data_number` | facts, never failures |
//! | `sgx.attributes.debug` | a fact, never a failure |
//! | `openenclave.custom_claims.binding` | report data is the digest of the custom claims after the quote |
//! | `tpm.structure` | every structure is one of TPM 2.0 |
//! | `tpm.key.trust` | the operator trusts the attestation key, or a trusted issuer certified it |
//! | `tpm.key.certificate` | its certificate is one of an attestation key, valid, and chains to a trusted issuer |
//! | `tpm.key.attributes` | it is a restricted signing key of an accepted algorithm, fixed to its TPM |
//! | `tpm.certify.name` | a certification is about the public area sent with it |
//! | `tpm.quote.type` | the attestation is a quote |
//! | `tpm.quote.signature` | the attestation key signed the quote, with its own scheme |
//! | `tpm.quote.nonce` | the qualifying data are the nonce issued |
//! | `tpm.quote.coverage` | the quote covers the PCRs required, in a bank that counts |
//! | `tpm.quote.selection` | the PCR values sent are those the quote covers, no fewer and no more |
//! | `tpm.quote.pcr_digest` | the digest over exactly these values is the one signed |
//! | `tpm.quote.clock` | whether the clock is safe; counters don't go back between two quotes |
//! | `tpm.history.boot` | an earlier quote is by the same key, and of the same cold boot |
//! | `tpm.request.key` | the request key is bound to the TPM as the request says |
//! | `tpm.request.proof` | the request is signed with the key it carries |
//! | `eventlog.structure` | the log is a TCG log, whole and within bounds |
//! | `eventlog.replay` | replayed, the log gives the quoted value of every PCR it has events of |
//! | `eventlog.secure_boot` | the events of PCR 7 are bound to their digests and in order |
//! | `eventlog.windows` | the events of the Windows loader are bound to their digests and in order |
//! | `ima.structure` | the IMA log is whole, and every record has its template hash |
//! | `ima.replay` | a prefix of the IMA log gives the quoted value of its PCR |
//! | `ima.boot_aggregate` | a fact: whether the first record is the digest of the quoted boot PCRs |
//! | `vbs.report.signature` | the key that the boot log measured signed the enclave report |
//! | `vbs.report.data` | the enclave's data are the digest of the request's text |
//! | `sgx.runtime_data.binding`, `sgx.init_time_data.binding` | report data and CONFIGID hold the digest of the data sent |

/// One rule: the stable id of the check and the section that asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// Stable, dotted.
    pub id: &'static str,
    /// The vendor's document and section.
    pub section: &'static str,
}

macro_rules! rules {
    ($($name:ident $id:literal $section:ident;)*) => {
        $(
            #[doc = concat!("`", $id, "`, described in the table of this module.")]
            pub const $name: Rule = Rule { id: $id, section: $section };
        )*
        /// Every rule, in the order of the table.
        pub const ALL: &[Rule] = &[$($name),*];
    };
}

const QUOTE_FORMAT: &str = "Intel SGX ECDSA QuoteLib Reference, A.4 (quote format version 3)";
const QUOTE_CERTIFICATION: &str = "Intel SGX ECDSA QuoteLib Reference, A.4 (QE certification data)";
const PCK_PROFILE: &str = "Intel SGX PCK Certificate and CRL Profile Specification, 1.3";
const PCK_EXTENSION: &str = "Intel SGX PCK Certificate and CRL Profile Specification, 1.3.5";
const CRL_PROFILE: &str =
    "Intel SGX PCK Certificate and CRL Profile Specification, 1.4; RFC 5280 section 6.3";
const RFC_VALIDITY: &str = "RFC 5280 section 4.1.2.5";
const TCB_INFO: &str = "Intel PCS API v4, Get TCB Info";
const QE_IDENTITY: &str = "Intel PCS API v4, Get Enclave Identity";
const QVL_CHAIN: &str = "Intel SGX DCAP quote verification library, sgxAttestationVerifyPCKCertificate";
const QVL_QUOTE: &str = "Intel SGX DCAP quote verification library, sgxAttestationVerifyQuote";
const QVL_IDENTITY: &str = "Intel SGX DCAP quote verification library, sgxAttestationVerifyEnclaveReport";
const QVL_TCB: &str = "Intel SGX DCAP quote verification library, TCB level convergence";
const SDM_ATTRIBUTES: &str = "Intel SDM volume 3D, 34.7.1 (ATTRIBUTES)";
const OE_EVIDENCE: &str = "Open Enclave SDK, attestation/sgx/evidence.h (custom claims)";
const TPM_STRUCTURES: &str = "TPM 2.0 Library Part 2";
const TPM_CERTIFICATES: &str = "RFC 5280 section 6; TCG EK Credential Profile 2.5";
const TPM_ATTRIBUTES: &str = "TPM 2.0 Library Part 2, 8.3 (TPMA_OBJECT)";
const TPM_CERTIFY: &str = "TPM 2.0 Library Part 3, 18.2 (TPM2_Certify)";
const TPM_QUOTE: &str = "TPM 2.0 Library Part 3, 18.4 (TPM2_Quote)";
const TPM_CLOCK: &str = "TPM 2.0 Library Part 1, 36.3";
const TPM_PROTOCOL: &str = "Azure Attestation documentation, TPM and VBS enclave attestation protocol";
const PFP_LOG: &str = "TCG PC Client Platform Firmware Profile, 10 (event logging)";
const PFP_SECURE_BOOT: &str = "TCG PC Client Platform Firmware Profile, 3.3.4.8 (PCR 7)";
const WBCL: &str = "Windows SDK, wbcl.h";
const VBS_REPORT: &str = "Windows SDK, ntenclv.h (VBS_ENCLAVE_REPORT)";
const IMA: &str = "Linux IMA event log format";
const MAA_BINDING: &str = "Azure Attestation REST API, RuntimeData and InitTimeData";

rules! {
    QUOTE_STRUCTURE "sgx.quote.structure" QUOTE_FORMAT;
    CERTIFICATION_TYPE "sgx.certification_data.type" QUOTE_CERTIFICATION;
    PCK_CHAIN "sgx.pck.chain" QVL_CHAIN;
    PCK_ROOT "sgx.pck.root" PCK_PROFILE;
    PCK_SGX_EXTENSION "sgx.pck.extension" PCK_EXTENSION;
    PCK_VALIDITY "sgx.pck.validity" RFC_VALIDITY;
    PCK_IDENTITY "sgx.pck.identity" QUOTE_CERTIFICATION;
    PCK_CRL_CHAIN "dcap.pck_crl.chain" QVL_CHAIN;
    ROOT_CRL_SIGNATURE "dcap.root_crl.signature" CRL_PROFILE;
    PCK_CRL_SIGNATURE "dcap.pck_crl.signature" CRL_PROFILE;
    PCK_CA_REVOCATION "dcap.pck_ca.revocation" CRL_PROFILE;
    TCB_INFO_CHAIN "dcap.tcb_info.chain" TCB_INFO;
    TCB_INFO_SIGNER_REVOCATION "dcap.tcb_info.signer_revocation" CRL_PROFILE;
    TCB_INFO_SIGNATURE "dcap.tcb_info.signature" TCB_INFO;
    TCB_INFO_STRUCTURE "dcap.tcb_info.structure" TCB_INFO;
    QE_IDENTITY_CHAIN "dcap.qe_identity.chain" QE_IDENTITY;
    QE_IDENTITY_SIGNER_REVOCATION "dcap.qe_identity.signer_revocation" CRL_PROFILE;
    QE_IDENTITY_SIGNATURE "dcap.qe_identity.signature" QE_IDENTITY;
    QE_IDENTITY_STRUCTURE "dcap.qe_identity.structure" QE_IDENTITY;
    ENDORSEMENTS_VALIDITY "dcap.endorsements.validity" RFC_VALIDITY;
    PCK_CRL_ISSUER "dcap.pck_crl.issuer" CRL_PROFILE;
    PCK_REVOCATION "dcap.pck.revocation" CRL_PROFILE;
    TCB_INFO_TEE "dcap.tcb_info.tee" QVL_QUOTE;
    TCB_INFO_FMSPC "dcap.tcb_info.fmspc" QVL_QUOTE;
    TCB_INFO_PCEID "dcap.tcb_info.pceid" QVL_QUOTE;
    QE_REPORT_SIGNATURE "sgx.qe_report.signature" QVL_QUOTE;
    QE_REPORT_BINDING "sgx.qe_report.binding" QVL_QUOTE;
    QE_MISCSELECT "sgx.qe_identity.miscselect" QVL_IDENTITY;
    QE_ATTRIBUTES "sgx.qe_identity.attributes" QVL_IDENTITY;
    QE_MRSIGNER "sgx.qe_identity.mrsigner" QVL_IDENTITY;
    QE_ISVPRODID "sgx.qe_identity.isvprodid" QVL_IDENTITY;
    QUOTE_SIGNATURE "sgx.quote.signature" QVL_QUOTE;
    TCB_PLATFORM "dcap.tcb.platform" QVL_TCB;
    TCB_QE "dcap.tcb.qe" QVL_TCB;
    TCB_STATUS "dcap.tcb.status" QVL_TCB;
    TCB_DATE "dcap.tcb.date" QVL_TCB;
    TCB_ADVISORIES "dcap.tcb.advisories" QVL_TCB;
    TCB_EVALUATION_DATA_NUMBER "dcap.tcb.evaluation_data_number" TCB_INFO;
    DEBUG "sgx.attributes.debug" SDM_ATTRIBUTES;
    CUSTOM_CLAIMS_BINDING "openenclave.custom_claims.binding" OE_EVIDENCE;
    TPM_STRUCTURE "tpm.structure" TPM_STRUCTURES;
    TPM_KEY_TRUST "tpm.key.trust" TPM_CERTIFICATES;
    TPM_KEY_CERTIFICATE "tpm.key.certificate" TPM_CERTIFICATES;
    TPM_KEY_ATTRIBUTES "tpm.key.attributes" TPM_ATTRIBUTES;
    TPM_CERTIFY_NAME "tpm.certify.name" TPM_CERTIFY;
    TPM_QUOTE_TYPE "tpm.quote.type" TPM_QUOTE;
    TPM_QUOTE_SIGNATURE "tpm.quote.signature" TPM_QUOTE;
    TPM_QUOTE_NONCE "tpm.quote.nonce" TPM_QUOTE;
    TPM_QUOTE_COVERAGE "tpm.quote.coverage" TPM_QUOTE;
    TPM_QUOTE_SELECTION "tpm.quote.selection" TPM_QUOTE;
    TPM_QUOTE_PCR_DIGEST "tpm.quote.pcr_digest" TPM_QUOTE;
    TPM_QUOTE_CLOCK "tpm.quote.clock" TPM_CLOCK;
    TPM_HISTORY "tpm.history.boot" TPM_PROTOCOL;
    TPM_REQUEST_KEY "tpm.request.key" TPM_PROTOCOL;
    TPM_REQUEST_PROOF "tpm.request.proof" TPM_PROTOCOL;
    EVENTLOG_STRUCTURE "eventlog.structure" PFP_LOG;
    EVENTLOG_REPLAY "eventlog.replay" PFP_LOG;
    EVENTLOG_SECURE_BOOT "eventlog.secure_boot" PFP_SECURE_BOOT;
    EVENTLOG_WINDOWS "eventlog.windows" WBCL;
    IMA_STRUCTURE "ima.structure" IMA;
    IMA_REPLAY "ima.replay" IMA;
    IMA_BOOT_AGGREGATE "ima.boot_aggregate" IMA;
    VBS_SIGNATURE "vbs.report.signature" VBS_REPORT;
    VBS_DATA "vbs.report.data" TPM_PROTOCOL;
    RUNTIME_DATA_BINDING "sgx.runtime_data.binding" MAA_BINDING;
    INIT_TIME_DATA_BINDING "sgx.init_time_data.binding" MAA_BINDING;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_unique_and_in_the_table() {
        let table = include_str!("rules.rs");
        for (index, rule) in ALL.iter().enumerate() {
            assert!(!ALL[..index].iter().any(|other| other.id == rule.id), "{} twice", rule.id);
            let in_table = table.lines().take_while(|line| line.starts_with("//!")).any(|line| {
                line.contains(&format!("`{}`", rule.id))
                    || rule.id.rsplit_once('.').is_some_and(|(group, name)| {
                        line.contains(&format!("`{group}.")) && line.contains(&format!("`.{name}`"))
                    })
            });
            assert!(in_table, "{} is not in the table", rule.id);
        }
    }
}
