//! What the tests of the program share: the program, and files to run it on.

use std::fs;
use std::path::Path;

use testkit::intel::{Ca, Forge};
use time::macros::datetime;

/// The program under test.
pub const VOUCHSAFE: &str = env!("CARGO_BIN_EXE_vouchsafe");

/// Fills `directory` with evidence and endorsements of a forged platform, current on 2026-01-01, whose root is in
/// `root.pem`:
///
/// - `quote.bin`, `report.bin` (the same as an Open Enclave report), bound to `runtime.txt`;
/// - `endorsements.json` for both, `pcs/` the same as raw answers of a PCS;
/// - `damaged.bin` (one bit of the enclave's measurement flipped), `short.bin` (its first 100 bytes);
/// - `revoked.bin` and `revoked.json`: a platform whose TCB level is revoked;
/// - `outdated.bin` and `outdated.json`: one that is out of date;
/// - `policy.txt`, `broken-policy.txt`.
pub fn world(directory: &Path) {
    let _ = fs::remove_dir_all(directory);
    fs::create_dir_all(directory.join("pcs")).unwrap();
    let write = |name: &str, bytes: &[u8]| fs::write(directory.join(name), bytes).unwrap();

    write("runtime.txt", RUNTIME_DATA);
    write("other.txt", b"something else");
    let mut forge = Forge::new(Ca::Platform, datetime!(2026-01-01 0:00 UTC));
    forge.quote.body.report_data[..32].copy_from_slice(&crypto::sha256(RUNTIME_DATA));
    let minted = forge.mint();
    write("root.pem", &minted.root);
    write("quote.bin", &minted.quote);
    write("report.bin", &testkit::open_enclave::report(&minted.quote));
    write("endorsements.json", &testkit::formats::dcap_qvl(&minted));
    write("pcs/tcb.json", &minted.tcb_info);
    write("pcs/tcb-chain.pem", &minted.tcb_info_issuer_chain);
    write("pcs/identity.json", &minted.qe_identity);
    write("pcs/root.crl", &minted.root_ca_crl);
    write("pcs/pck.crl", &minted.pck_crl);

    let mut damaged = minted.quote.clone();
    damaged[112] ^= 1;
    write("damaged.bin", &damaged);
    write("short.bin", &minted.quote[..100]);

    for (name, status) in [("revoked", "Revoked"), ("outdated", "OutOfDate")] {
        let minted = forge.clone().platform_status(status).mint();
        write(&format!("{name}.bin"), &minted.quote);
        write(&format!("{name}.json"), &testkit::formats::dcap_qvl(&minted));
    }
    write("policy.txt", b"version= 1.0;\nauthorizationrules { => permit(); };\nissuancerules {};\n");
    write("broken-policy.txt", b"version= 1.0;\nauthorizationrules { => allow(); };\nissuancerules {};\n");
}

const RUNTIME_DATA: &[u8] = b"a public key, say";
