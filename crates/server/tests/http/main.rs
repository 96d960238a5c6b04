//! The service over its real HTTPS front door, with evidence forged under a throw-away root that only the
//! configuration of the test names. Modules mirror the URL paths.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests fail a test where they fail"
)]

mod managed;
mod support;

mod attest;
mod attest_2018;
mod attest_tpm;
mod audit;
mod authorization;
mod certificates;
mod certs;
mod endorsements;
mod healthz;
mod limits;
mod log;
mod operations_policy;
mod policies;
mod providers;
mod recorded_management;
mod tcbbaselines;
mod tpm_enrolment;
mod well_known;
