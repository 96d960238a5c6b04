//! The shape of quotes, with made-up content: what signatures and chains have to say is in the captured
//! and forged vectors.

use super::*;
use crate::error::{ParseError, VerifyError};
use crate::open_enclave::{Format, Report};
use crate::read::ReadError;

/// A quote of the right shape with these certification data.
fn quote(certification_type: u16, certification: &[u8]) -> Vec<u8> {
    let mut authentication = vec![0x11; 64 + 64];
    authentication.extend([0x22; 384]);
    authentication.extend([0x33; 64]);
    authentication.extend([4, 0, 1, 2, 3, 4]);
    authentication.extend(certification_type.to_le_bytes());
    authentication.extend(u32::try_from(certification.len()).unwrap().to_le_bytes());
    authentication.extend(certification);
    let mut quote = vec![3, 0, 2, 0, 0, 0, 0, 0, 9, 0, 10, 0];
    quote.extend([
        0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9, 0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07,
    ]);
    quote.extend([0x44; 20]);
    quote.extend((0..384).map(|index| u8::try_from(index % 251).unwrap()));
    quote.extend(u32::try_from(authentication.len()).unwrap().to_le_bytes());
    quote.extend(authentication);
    quote
}

/// Certification data of type 6 around these.
fn wrapped(report: u8, inner_type: u16, inner: &[u8]) -> Vec<u8> {
    let mut data = vec![report; 384];
    data.extend([0x33; 64]);
    data.extend([4, 0, 1, 2, 3, 4]);
    data.extend(inner_type.to_le_bytes());
    data.extend(u32::try_from(inner.len()).unwrap().to_le_bytes());
    data.extend(inner);
    data
}

#[test]
fn fields_are_where_the_specification_has_them() {
    let bytes = quote(5, b"chain");
    let quote = Quote::parse(&bytes).unwrap();
    assert_eq!((quote.header().qe_svn, quote.header().pce_svn), (9, 10));
    assert_eq!(quote.header().user_data, [0x44; 20]);
    let body = quote.body();
    let at = |offset: usize| u8::try_from(offset % 251).unwrap();
    assert_eq!(body.cpu_svn[0], at(0));
    assert_eq!(body.misc_select.to_le_bytes()[0], at(16));
    assert_eq!(body.isv_ext_prod_id[0], at(32));
    assert_eq!(body.attributes[0], at(48));
    assert_eq!(body.mr_enclave[0], at(64));
    assert_eq!(body.mr_signer[0], at(128));
    assert_eq!(body.config_id[0], at(192));
    assert_eq!(body.isv_prod_id.to_le_bytes()[0], at(256));
    assert_eq!(body.isv_svn.to_le_bytes()[0], at(258));
    assert_eq!(body.config_svn.to_le_bytes()[0], at(260));
    assert_eq!(body.isv_family_id[0], at(304));
    assert_eq!(body.report_data[0], at(320));
    assert_eq!(quote.qe_report().cpu_svn, [0x22; 16]);
    assert_eq!(quote.qe_authentication_data(), [1, 2, 3, 4]);
    assert_eq!(quote.attestation_key(), &[0x11; 64]);
    assert_eq!(quote.signature(), &[0x11; 64]);
    assert_eq!(quote.certification(), &CertificationData::PckChain(b"chain"));
}

#[test]
fn attributes_have_names() {
    let mut bytes = quote(5, b"");
    bytes[48 + 48..48 + 56].copy_from_slice(&[0x87, 4, 0, 0, 0, 0, 0, 0x80]);
    let quote = Quote::parse(&bytes).unwrap();
    assert!(quote.body().is_debuggable() && quote.body().has_kss());
    assert!(quote.body().flags().contains(Attributes::AEX_NOTIFY));
    assert!(!quote.body().flags().contains(Attributes::CET));
    assert_eq!(quote.body().flags(), Attributes(0x8000_0000_0000_0487));
}

#[test]
fn every_certification_type_is_parsed_and_only_chains_are_taken() {
    let platform = |ppid: usize| [vec![7; ppid], vec![8; 16], vec![1, 2], vec![3, 4]].concat();
    let (one, two, three) = (platform(16), platform(256), platform(384));
    for (number, data, name) in [
        (1, &one[..], "PPID in plain text"),
        (2, &two, "PPID encrypted with RSA-2048"),
        (3, &three, "PPID encrypted with RSA-3072"),
        (4, b"leaf", "PCK leaf certificate"),
        (7, b"manifest", "platform manifest"),
    ] {
        let bytes = quote(number, data);
        let quote = Quote::parse(&bytes).unwrap();
        assert_eq!((quote.certification().type_number(), quote.certification().name()), (number, name));
        let rejection = quote.pck_chain().unwrap_err();
        assert_eq!(rejection.error, VerifyError::CertificationType { found: number, name });
        assert!(rejection.to_string().contains(name), "{rejection}");
        assert_eq!(quote.pck_cache_key().unwrap_err().error, rejection.error);
        assert!(quote.unverified_certificates().is_empty());
    }
    let bytes = quote(3, &three);
    let quote_ = Quote::parse(&bytes).unwrap();
    let CertificationData::PpidRsa3072(platform) = quote_.certification() else { panic!() };
    assert_eq!((platform.ppid.len(), platform.cpu_svn, platform.pce_svn), (384, &[8; 16], 0x0201));
    assert_eq!(platform.pce_id, Some(&[3, 4]));
    for unknown in [0, 8, 0xffff] {
        let found = unknown;
        assert_eq!(Quote::parse(&quote(unknown, b"")), Err(ParseError::UnknownCertificationType { found }));
    }
}

#[test]
fn a_wrapped_qe_report_must_be_that_of_the_quote() {
    let bytes = quote(6, &wrapped(0x22, 5, b"chain"));
    let parsed = Quote::parse(&bytes).unwrap();
    assert_eq!(parsed.pck_chain_pem(), Ok(&b"chain"[..]));
    assert_eq!(parsed.certification().type_number(), 6);
    assert_eq!(Quote::parse(&quote(6, &wrapped(0x23, 5, b"chain"))), Err(ParseError::WrappedQeReport));
    // No wrapping of wrappings, and the type inside counts.
    assert_eq!(
        Quote::parse(&quote(6, &wrapped(0x22, 6, &wrapped(0x22, 5, b"chain")))),
        Err(ParseError::UnknownCertificationType { found: 6 })
    );
    let bytes = quote(6, &wrapped(0x22, 4, b"leaf"));
    let error = Quote::parse(&bytes).unwrap().pck_chain().unwrap_err().error;
    assert!(matches!(error, VerifyError::CertificationType { found: 4, .. }));
}

#[test]
fn only_zeros_or_bound_claims_may_follow() {
    let mut bytes = quote(5, b"chain");
    let end = bytes.len();
    bytes.extend([0; 100]);
    assert_eq!(Quote::parse(&bytes).unwrap().padding_bytes(), 100);
    bytes[end + 50] = 1;
    assert_eq!(Quote::parse(&bytes), Err(ParseError::TrailingBytes { offset: end, length: 100 }));
    bytes.truncate(end);
    bytes.extend(b"claims");
    bytes[48 + 320..48 + 352].copy_from_slice(&crypto::sha256(b"claims"));
    assert!(matches!(Quote::parse(&bytes), Err(ParseError::TrailingBytes { .. })));
    bytes[48 + 352..48 + 384].fill(0);
    assert_eq!(Quote::parse(&bytes).unwrap().custom_claims(), Some(&b"claims"[..]));
}

#[test]
fn headers_of_other_quotes_are_refused() {
    let changed = |at: usize, byte: u8| {
        let mut bytes = quote(5, b"chain");
        bytes[at] = byte;
        Quote::parse(&bytes).unwrap_err()
    };
    assert!(matches!(changed(0, 4), ParseError::UnsupportedVersion { found: 4, .. }));
    assert_eq!(changed(2, 3), ParseError::UnsupportedAttestationKey { found: 3 });
    assert_eq!(changed(4, 0x81), ParseError::UnsupportedTee { found: 0x81 });
    assert!(matches!(changed(12, 0), ParseError::UnknownQeVendor { .. }));
    assert_eq!(
        Quote::parse(&vec![0; 64 * 1024 + 1]),
        Err(ParseError::TooLong { length: 64 * 1024 + 1, limit: 64 * 1024 })
    );
}

#[test]
fn every_truncation_and_every_lying_length_is_refused() {
    let bytes = quote(5, b"chain");
    for length in 0..bytes.len() {
        assert!(matches!(Quote::parse(&bytes[..length]), Err(ParseError::Shape(_))), "{length}");
    }
    // Authentication data, QE authentication data, certification data: one more, one less, enormous.
    for (at, size) in [(432, 4), (432 + 4 + 576, 2), (432 + 4 + 576 + 2 + 4 + 2, 4)] {
        for change in [1_i64, -1, 0x7fff] {
            let mut changed = bytes.clone();
            let mut number = [0; 8];
            number[..size].copy_from_slice(&changed[at..at + size]);
            let number = (i64::from_le_bytes(number) + change).to_le_bytes();
            changed[at..at + size].copy_from_slice(&number[..size]);
            assert!(Quote::parse(&changed).is_err(), "{change} at {at}");
        }
    }
}

#[test]
fn open_enclave_wraps_quotes() {
    let quote = quote(5, b"chain");
    let size = u64::try_from(quote.len()).unwrap().to_le_bytes();
    let report = [&[1, 0, 0, 0, 2, 0, 0, 0][..], &size, &quote].concat();
    let parsed = Report::parse(&report).unwrap();
    assert_eq!(parsed.format(), Format::Report);
    assert_eq!(parsed.quote().submitted(), report);
    assert_eq!(parsed.quote().body(), Quote::parse(&quote).unwrap().body());

    let evidence = |id: &str, data: &[u8]| {
        let size = u64::try_from(data.len()).unwrap().to_le_bytes();
        [&[3, 0, 0, 0][..], &hex::decode(id).unwrap(), &size, data].concat()
    };
    for (id, data, format) in [
        ("c8303454d9234c2ca691df7def460a76", &report, Format::LegacyReport),
        ("1923d91e12d24c72b22025cd8dace871", &quote, Format::RawQuote),
        ("a3a21e871b4d4014b70aa125d2fbcd8c", &quote, Format::SgxEcdsa),
    ] {
        let bytes = evidence(id, data);
        let parsed = Report::parse(&bytes).unwrap();
        assert_eq!((parsed.format(), parsed.quote().submitted()), (format, &bytes[..]));
    }
    let id = "000102030405060708090a0b0c0d0e0f";
    let found = core::array::from_fn(|index| u8::try_from(index).unwrap());
    assert_eq!(Report::parse(&evidence(id, &quote)), Err(ParseError::UnknownFormat { found }));

    let changed = |at: usize, byte: u8| {
        let mut bytes = report.clone();
        bytes[at] = byte;
        Report::parse(&bytes).unwrap_err()
    };
    assert_eq!(changed(4, 1), ParseError::LocalReport { found: 1 });
    assert!(matches!(changed(0, 2), ParseError::UnsupportedVersion { found: 2, .. }));
    let length = report[8];
    assert!(matches!(changed(8, length - 1), ParseError::Shape(_)));
    let longer = [&report[..], &[0]].concat();
    assert!(matches!(Report::parse(&longer), Err(ParseError::Shape(ReadError::Trailing { length: 1, .. }))));
    assert!(matches!(changed(15, 0x80), ParseError::Shape(ReadError::Truncated { .. })));
    let mut inner = evidence("c8303454d9234c2ca691df7def460a76", &report);
    inner[28] = 3;
    assert!(matches!(Report::parse(&inner), Err(ParseError::UnsupportedVersion { found: 3, .. })));
}
