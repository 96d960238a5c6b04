//! Evidence that is genuine: every TCB level, every combination of the convergence table, and shapes
//! that must not be refused.

use super::Book;
use crate::intel::Ca;
use crate::intel::report::{DEBUG, INIT, KSS, MODE64BIT};
use crate::intel::{Certification, TcbLevel};

/// Platform status, then the outcome with a quoting enclave that is up to date, and out of date.
const CONVERGENCE: [(&str, &str, &str); 6] = [
    ("UpToDate", "UpToDate", "OutOfDate"),
    ("SWHardeningNeeded", "SWHardeningNeeded", "OutOfDate"),
    ("ConfigurationNeeded", "ConfigurationNeeded", "OutOfDateConfigurationNeeded"),
    (
        "ConfigurationAndSWHardeningNeeded",
        "ConfigurationAndSWHardeningNeeded",
        "OutOfDateConfigurationNeeded",
    ),
    ("OutOfDate", "OutOfDate", "OutOfDate"),
    ("OutOfDateConfigurationNeeded", "OutOfDateConfigurationNeeded", "OutOfDateConfigurationNeeded"),
];

pub(super) fn write(book: &mut Book) {
    for (platform, current, outdated) in CONVERGENCE {
        for (qe, expect) in [("UpToDate", current), ("OutOfDate", outdated)] {
            book.forge(
                &format!("dcap/converge_{}_qe_{}", snake(platform), snake(qe)),
                &format!("genuine {expect}"),
                &format!("platform {platform}, quoting enclave {qe}"),
                |forge| {
                    forge.platform_status(platform).qe_status(qe);
                },
            );
        }
        book.forge(
            &format!("dcap/converge_{}_qe_revoked", snake(platform)),
            "Verify.TcbRevoked",
            &format!("platform {platform}, quoting enclave Revoked"),
            |forge| {
                forge.platform_status(platform).qe_status("Revoked");
            },
        );
    }
    for qe in ["UpToDate", "OutOfDate", "Revoked"] {
        book.forge(
            &format!("dcap/converge_revoked_qe_{}", snake(qe)),
            "Verify.TcbRevoked",
            &format!("platform Revoked, quoting enclave {qe}"),
            |forge| {
                forge.platform_status("Revoked").qe_status(qe);
            },
        );
    }
    levels(book);
    shapes(book);
}

fn levels(book: &mut Book) {
    book.forge(
        "dcap/levels_in_ascending_order",
        "genuine SWHardeningNeeded",
        "the document lists its levels lowest first; the highest reached one counts",
        |forge| {
            forge.platform_status("SWHardeningNeeded");
            forge.tcb_info.levels.reverse();
        },
    );
    book.forge(
        "dcap/level_by_pcesvn",
        "genuine OutOfDate",
        "all components reached, PCESVN one below the first level",
        |forge| {
            let lower = forge.tcb_info.levels[0].components;
            forge.tcb_info.levels = vec![
                TcbLevel::new(lower, forge.sgx.pcesvn + 1, "UpToDate", forge.now, 10),
                TcbLevel::new(lower, forge.sgx.pcesvn, "OutOfDate", forge.now, 300),
            ];
        },
    );
    book.forge(
        "dcap/level_by_last_component",
        "genuine OutOfDate",
        "fifteen components above the level, the sixteenth one below it",
        |forge| {
            let mut components = [0; 16];
            components[15] = 1;
            forge.tcb_info.levels = vec![
                TcbLevel::new(components, 0, "UpToDate", forge.now, 10),
                TcbLevel::new([0; 16], 0, "OutOfDate", forge.now, 300),
            ];
        },
    );
    book.forge(
        "dcap/tcb_info_v2",
        "genuine UpToDate",
        "TCB info of version 2, as caching services still hand it out",
        |forge| forge.tcb_info.version = 2,
    );
    book.forge_of(
        Ca::Processor,
        "dcap/processor_ca",
        "genuine UpToDate",
        "PCK certificate of the Processor CA",
        |_| {},
    );
}

fn shapes(book: &mut Book) {
    book.forge("sgx/genuine", "genuine UpToDate", "nothing is broken", |_| {});
    book.forge("sgx/genuine_debug", "genuine UpToDate", "the debug flag is a fact, not an error", |forge| {
        forge.quote.body.flags = INIT | DEBUG | MODE64BIT;
    });
    book.forge("sgx/genuine_kss", "genuine UpToDate", "key separation and sharing", |forge| {
        let body = &mut forge.quote.body;
        body.flags |= KSS;
        body.isv_ext_prod_id = [0xe7; 16];
        body.isv_family_id = [0xfa; 16];
        body.config_id = [0xc1; 64];
        body.config_svn = 9;
    });
    book.forge(
        "sgx/trailing_padding",
        "genuine UpToDate",
        "zeros after the quote, as from a fixed buffer",
        |forge| {
            forge.quote.trailing = vec![0; 300];
        },
    );
    book.forge("sgx/chain_without_nul", "genuine UpToDate", "the PEM chain is not ended by a NUL", |forge| {
        forge.quote.certification = Certification::PckChain { suffix: Vec::new() };
    });
    book.forge(
        "sgx/no_authentication_data",
        "genuine UpToDate",
        "QE authentication data are empty",
        |forge| {
            forge.quote.qe_authentication_data = Vec::new();
        },
    );
    book.forge(
        "sgx/qe_svn_above_every_level",
        "genuine UpToDate",
        "the quoting enclave is newer than the identity",
        |forge| {
            forge.quote.qe_report.isv_svn = 500;
        },
    );
}

/// `SWHardeningNeeded` as `sw_hardening_needed`.
fn snake(status: &str) -> String {
    let mut out = String::new();
    let mut previous_lower = false;
    for letter in status.replace("SW", "Sw").chars() {
        if letter.is_ascii_uppercase() && previous_lower {
            out.push('_');
        }
        previous_lower = letter.is_ascii_lowercase();
        out.push(letter.to_ascii_lowercase());
    }
    out
}
