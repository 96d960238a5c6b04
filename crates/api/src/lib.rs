//! Request and response types of the attestation HTTP contract.
