//! Forged endorsements come back whole from every kind of file, and from the answers of the provisioning
//! certification service.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use evidence::dcap::formats::{Collection, decode_issuer_chain_header};
use evidence::dcap::{Endorsements, RawEndorsements};
use evidence::sgx::Quote;
use testkit::intel::{Ca, Forge, Minted};
use testkit::pcs::Answers;
use testkit::scenarios::NOW;
use testkit::{formats, x509};

fn from_files(minted: &Minted, files: &[Vec<u8>]) -> RawEndorsements {
    let mut collection = Collection::new();
    for file in files {
        assert!(collection.add(file).unwrap() > 0);
    }
    let quote = Quote::parse(&minted.quote).unwrap();
    let chain = quote.pck_chain().unwrap();
    collection.select(&chain.endorsements_id(), Some(&chain.issuer_chain_pem()), NOW).unwrap()
}

#[test]
fn every_file_format_gives_the_endorsements_back() {
    for ca in [Ca::Platform, Ca::Processor] {
        let minted = Forge::new(ca, NOW).mint();
        let crl = |der: &[u8]| x509::pem("X509 CRL", der).into_bytes();
        let sets = [
            vec![formats::open_enclave(&minted, "2026-01-01T00:00:00Z")],
            vec![formats::serialised_collateral(&minted)],
            vec![formats::dcap_qvl(&minted)],
            vec![
                formats::tcb_info_wrapper(&minted),
                formats::qe_identity_wrapper(&minted),
                minted.root_ca_crl.clone(),
                hex::encode(&minted.pck_crl).into_bytes(),
            ],
            vec![
                minted.tcb_info.clone(),
                minted.qe_identity.clone(),
                minted.tcb_info_issuer_chain.clone(),
                crl(&minted.root_ca_crl),
                crl(&minted.pck_crl),
            ],
        ];
        for files in sets {
            let raw = from_files(&minted, &files);
            assert_eq!(raw, minted.endorsements());
            assert!(Endorsements::verify(&raw, &minted.anchors(), NOW).is_ok());
        }
    }
}

#[test]
fn the_services_answers_give_the_endorsements_back() {
    let minted = Forge::new(Ca::Processor, NOW).mint();
    let answers = Answers::new(&minted);
    let get = |path: &str, query: &str| {
        let answer = answers.get(path, Some(query)).unwrap();
        let chain = answer.issuer_chain.as_ref();
        let chain = chain.map(|(_, text)| decode_issuer_chain_header(text.as_bytes()).unwrap());
        (answer.body.clone(), chain.unwrap_or_default())
    };
    let (tcb_info, tcb_info_issuer_chain) = get("/sgx/certification/v4/tcb", "fmspc=00906ED50000");
    let (qe_identity, qe_identity_issuer_chain) = get("/sgx/certification/v4/qe/identity", "update=standard");
    let (pck_crl, pck_crl_issuer_chain) = get("/sgx/certification/v4/pckcrl", "ca=processor&encoding=der");
    let (root_ca_crl, _) = get("/IntelSGXRootCA.der", "");
    let raw = RawEndorsements {
        tcb_info,
        tcb_info_issuer_chain,
        qe_identity,
        qe_identity_issuer_chain,
        root_ca_crl,
        pck_crl,
        pck_crl_issuer_chain,
    };
    assert_eq!(raw, minted.endorsements());
    let (hexadecimal, _) = get("/sgx/certification/v4/rootcacrl", "");
    assert_eq!(hex::decode(hexadecimal).unwrap(), raw.root_ca_crl);
}

#[test]
fn a_root_of_one_world_is_none_of_another() {
    let (one, other) = (Forge::new(Ca::Platform, NOW).mint(), Forge::new(Ca::Platform, NOW).mint());
    assert!(Endorsements::verify(&one.endorsements(), &one.anchors(), NOW).is_ok());
    assert!(Endorsements::verify(&one.endorsements(), &other.anchors(), NOW).is_err());
    assert!(Endorsements::verify(&one.endorsements(), &evidence::TrustAnchors::pinned(), NOW).is_err());
}
