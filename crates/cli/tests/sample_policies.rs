//! The policies in `docs/policies` are ones that the service takes, read claims that there are, and pass their cases.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::path::Path;

use support::run;

#[test]
fn sample_policies_are_sound_and_pass_their_cases() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/policies");
    let mut found = 0;
    for entry in std::fs::read_dir(&directory).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "policy") {
            continue;
        }
        found += 1;
        let path = path.to_str().unwrap();
        let checked = run(["policy", "check", "--attestation-type", "Tpm", path], "");
        assert_eq!(checked.status, 0, "{checked:?}");
        assert_eq!(checked.stdout.lines().count(), 1, "a warning: {checked:?}");
        let tested = run(["policy", "test", path], "");
        assert_eq!(tested.status, 0, "{tested:?}");
    }
    assert_eq!(found, 2);
}
