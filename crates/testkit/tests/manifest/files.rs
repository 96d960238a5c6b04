//! Certificates and chains, and files that nothing reads.

use evidence::TrustAnchors;
use evidence::dcap::formats::{Collection, ItemKind};
use testkit::captures::sgx;
use testkit::captures::{Captures, Entry};
use testkit::x509::pem;

use crate::Outcome;

/// A chain of two: names and validity, and that the collection takes it.
pub(crate) fn chain(captures: &Captures, entry: &Entry) -> Outcome {
    let mut collection = Collection::new();
    let count = collection.add(&captures.read(&entry.path)).unwrap();
    let expected = entry.json["expected"]["certificates"].as_array();
    let Some(expected) = expected else {
        return Outcome::WithoutExpectation;
    };
    assert_eq!(count, expected.len());
    for certificate in expected {
        let window =
            (sgx::time(&certificate["not_before"]).unwrap(), sgx::time(&certificate["not_after"]).unwrap());
        assert!(
            collection.items().any(|item| {
                matches!(item.kind, ItemKind::Certificate(_))
                    && (item.unverified_validity.not_before, item.unverified_validity.not_after) == window
            }),
            "no certificate is valid as {} is",
            certificate["subject"]
        );
    }
    Outcome::Checked
}

/// Intel's root, which is the pinned one.
pub(crate) fn root(captures: &Captures, entry: &Entry) -> Outcome {
    let root = pem("CERTIFICATE", &captures.read(&entry.path)).into_bytes();
    assert_eq!(TrustAnchors::with_roots(&[&root], &[&root]), Ok(TrustAnchors::pinned()));
    Outcome::WithoutExpectation
}

pub(crate) fn signing_certificate(captures: &Captures, entry: &Entry) -> Outcome {
    assert_eq!(Collection::new().add(&captures.read(&entry.path)), Ok(1));
    Outcome::WithoutExpectation
}

/// Used with the sample quote they belong to.
pub(crate) fn part_of_the_sample(_: &Captures, _: &Entry) -> Outcome {
    Outcome::WithoutExpectation
}

pub(crate) fn yaml(_: &Captures, _: &Entry) -> Outcome {
    Outcome::Skipped("YAML is not among the formats that are read")
}

pub(crate) fn evaluation_numbers(_: &Captures, _: &Entry) -> Outcome {
    Outcome::Skipped("the list of evaluation data numbers is not read")
}
