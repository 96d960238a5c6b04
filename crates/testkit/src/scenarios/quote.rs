//! Quotes that parse and are not genuine.

use time::Duration;

use super::{Book, NOW, patch};
use crate::intel::{IdentityLevel, TcbLevel, stranger};

pub(super) fn write(book: &mut Book) {
    signatures(book);
    quoting_enclave(book);
    platform(book);
    kept(book);
    revocation(book);
    binding(book);
}

fn signatures(book: &mut Book) {
    book.bytes(
        "sgx/report_data_changed",
        "Verify.QuoteSignature",
        "one bit of the report data flipped after signing",
        |minted| {
            minted.quote[48 + 320] ^= 1;
        },
    );
    book.bytes(
        "sgx/header_changed",
        "Verify.QuoteSignature",
        "one bit of the header's user data flipped after signing",
        |minted| {
            minted.quote[28] ^= 1;
        },
    );
    book.forge(
        "sgx/signed_by_stranger",
        "Verify.QuoteSignature",
        "signed by a key that is not in the quote",
        |forge| {
            forge.quote.signer = stranger();
        },
    );
    book.bytes("sgx/signature_zero", "Verify.QuoteSignature", "a signature of zeros", |minted| {
        patch(&mut minted.quote, 436, &[0; 64])
    });
    book.forge(
        "sgx/attestation_key_replaced",
        "Verify.QeReportBinding",
        "another attestation key than the quoting enclave vouches for",
        |forge| {
            let key = stranger();
            let original = forge.quote.attestation_key.coordinates();
            let mut data = [0; 64];
            let hash = crypto::sha256_of_parts(&[&original, &forge.quote.qe_authentication_data]);
            data[..32].copy_from_slice(&hash);
            forge.quote.qe_report_data = Some(data);
            forge.quote.signer = key.clone();
            forge.quote.attestation_key = key;
        },
    );
    book.forge(
        "sgx/attestation_key_off_curve",
        "Verify.QuoteSignature",
        "the attestation key is not a point of the curve",
        |_| {},
    );
    let scenario = book.0.last_mut().expect("just added");
    // The hash in the QE report would have to cover it, so the whole quote is made around the bad point.
    let mut forge = crate::Forge::new(crate::intel::Ca::Platform, NOW);
    let mut data = [0; 64];
    data[..32].copy_from_slice(&crypto::sha256_of_parts(&[&[0x11; 64], &forge.quote.qe_authentication_data]));
    forge.quote.qe_report_data = Some(data);
    let mut minted = forge.mint();
    patch(&mut minted.quote, 500, &[0x11; 64]);
    scenario.vector =
        crate::vector::Vector::new("Verify.QuoteSignature", &scenario.vector.comment, NOW, &minted);
    book.forge(
        "sgx/qe_report_signed_by_stranger",
        "Verify.QeReportSignature",
        "the QE report is not signed by the PCK",
        |forge| {
            forge.quote.qe_signer = stranger();
        },
    );
    book.bytes(
        "sgx/qe_report_changed",
        "Verify.QeReportSignature",
        "one bit of the QE report flipped after signing",
        |minted| {
            minted.quote[564] ^= 1;
        },
    );
}

fn quoting_enclave(book: &mut Book) {
    book.bytes(
        "sgx/qe_authentication_data_changed",
        "Verify.QeReportBinding",
        "QE authentication data other than those hashed",
        |minted| {
            minted.quote[564 + 384 + 64 + 2] ^= 1;
        },
    );
    book.forge(
        "sgx/qe_report_data_tail",
        "genuine UpToDate",
        "the hash is right, but the rest of the QE report data is not zero",
        |forge| {
            let key = forge.quote.attestation_key.coordinates();
            let mut data = [0xff; 64];
            data[..32]
                .copy_from_slice(&crypto::sha256_of_parts(&[&key, &forge.quote.qe_authentication_data]));
            forge.quote.qe_report_data = Some(data);
        },
    );
    book.forge(
        "sgx/qe_vendor",
        "Parse.UnknownQeVendor",
        "the header names another vendor of the quoting enclave",
        |forge| {
            forge.quote.qe_vendor_id = [0x77; 16];
        },
    );
    book.forge("sgx/qe_mrsigner", "Verify.QeMrSigner", "a quoting enclave of another signer", |forge| {
        forge.quote.qe_report.mr_signer = [0x66; 32];
    });
    book.forge("sgx/qe_product_id", "Verify.QeIsvProdId", "another product of the same signer", |forge| {
        forge.quote.qe_report.isv_prod_id = 2;
    });
    book.forge("sgx/qe_attributes", "Verify.QeAttributes", "a quoting enclave in debug mode", |forge| {
        forge.quote.qe_report.flags |= 2;
    });
    book.forge(
        "sgx/qe_misc_select",
        "Verify.QeMiscSelect",
        "MISCSELECT of the quoting enclave differs under the mask",
        |forge| {
            forge.quote.qe_report.misc_select = 1;
        },
    );
    book.forge(
        "sgx/qe_svn_below_every_level",
        "Verify.TcbNotSupported",
        "the quoting enclave is older than every level",
        |forge| {
            forge.qe_identity.levels = vec![IdentityLevel::new(9, "UpToDate", NOW, 10)];
        },
    );
}

fn platform(book: &mut Book) {
    book.forge("dcap/fmspc_mismatch", "Verify.Fmspc", "TCB info of another platform", |forge| {
        forge.tcb_info.fmspc = [0, 0x90, 0x6e, 0xd5, 0, 0];
    });
    book.forge("dcap/pceid_mismatch", "Verify.PceId", "TCB info of another PCE", |forge| {
        forge.tcb_info.pceid = [1, 0];
    });
    book.forge(
        "dcap/no_matching_level",
        "Verify.TcbNotSupported",
        "the platform is below every level",
        |forge| {
            let mut components = forge.sgx.components;
            components[1] += 1;
            forge.tcb_info.levels = vec![TcbLevel::new(components, 0, "UpToDate", NOW, 10)];
        },
    );
}

/// What only a caller that keeps chains and endorsements can get wrong.
fn kept(book: &mut Book) {
    let mut forge = crate::Forge::new(crate::intel::Ca::Platform, NOW);
    let other = forge.mint().quote;
    forge.chain.leaf.serial = vec![0x33; 20];
    let vector = crate::vector::Vector::new(
        "Verify.PckIdentity",
        "verified with the chain of another quote of the same platform",
        NOW,
        &forge.mint(),
    );
    book.add("dcap/chain_of_another_quote", vector.with("CHAIN OF SGX QUOTE", other));
    for (name, expect, days) in [
        ("endorsements_kept", "genuine UpToDate", 28),
        ("endorsements_kept_too_long", "Verify.EndorsementsValidity", 30),
    ] {
        let minted = crate::Forge::new(crate::intel::Ca::Platform, NOW).mint();
        let at = NOW + Duration::days(days);
        let comment = format!("endorsements verified {days} days before the quote");
        let mut vector = crate::vector::Vector::new(expect, &comment, at, &minted);
        vector.endorsed_at = Some(NOW);
        book.add(&format!("dcap/{name}"), vector);
    }
    book.forge(
        "dcap/endorsements_of_tdx",
        "Verify.Tee",
        "sound TDX endorsements for the same platform",
        |forge| {
            forge.for_tdx();
        },
    );
}

fn revocation(book: &mut Book) {
    book.forge(
        "dcap/leaf_revoked",
        "Verify.PckRevoked",
        "the PCK certificate is in its issuer's list",
        |forge| {
            forge.pck_crl.revoked = vec![vec![1; 20], forge.chain.leaf.serial.clone()];
        },
    );
    book.forge(
        "dcap/intermediate_revoked",
        "Endorsement.Revoked",
        "the intermediate is in the root's list",
        |forge| {
            forge.root_crl.revoked = vec![forge.chain.intermediate.serial.clone()];
        },
    );
    book.forge(
        "dcap/tcb_signing_revoked",
        "Endorsement.Revoked",
        "the TCB signing certificate is in the root's list",
        |forge| {
            forge.root_crl.revoked = vec![forge.chain.tcb_signing.serial.clone()];
        },
    );
    book.forge(
        "dcap/other_serials_revoked",
        "genuine UpToDate",
        "revoked serials that are prefixes and neighbours of ours",
        |forge| {
            let serial = forge.chain.leaf.serial.clone();
            let mut neighbour = serial.clone();
            neighbour[19] ^= 1;
            forge.pck_crl.revoked =
                vec![serial[..19].to_vec(), neighbour, forge.chain.intermediate.serial.clone()];
        },
    );
}

fn binding(book: &mut Book) {
    let data = b"{\"key\":1}".to_vec();
    let mut forge = crate::Forge::new(crate::intel::Ca::Platform, NOW);
    forge.quote.body.report_data[..32].copy_from_slice(&crypto::sha256(&data));
    let minted = forge.mint();
    let vector = |expect: &str, comment: &str, data: &[u8]| {
        crate::vector::Vector::new(expect, comment, NOW, &minted).with("RUNTIME DATA", data.to_vec())
    };
    book.add(
        "sgx/runtime_data",
        vector("genuine UpToDate", "report data begin with the hash of the runtime data", &data),
    );
    book.add(
        "sgx/runtime_data_other",
        vector("Binding.RuntimeData", "runtime data with one more byte", b"{\"key\":1}\n"),
    );
    book.add(
        "sgx/runtime_data_empty",
        vector("Binding.RuntimeData", "runtime data of no bytes are not the hashed ones", b""),
    );
    let mut forge = crate::Forge::new(crate::intel::Ca::Platform, NOW);
    forge.quote.body.flags |= crate::intel::report::KSS;
    forge.quote.body.config_id[..32].copy_from_slice(&crypto::sha256(b"init"));
    let minted = forge.mint();
    let vector = |expect: &str, comment: &str, data: &[u8]| {
        crate::vector::Vector::new(expect, comment, NOW, &minted).with("INIT TIME DATA", data.to_vec())
    };
    book.add(
        "sgx/init_time_data",
        vector("genuine UpToDate", "the config id begins with the hash of the init-time data", b"init"),
    );
    book.add("sgx/init_time_data_other", vector("Binding.InitTimeData", "other init-time data", b"unit"));
}
