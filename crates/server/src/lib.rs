//! The attestation service: HTTP, endorsement fetching, storage, configuration.
