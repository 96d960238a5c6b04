//! The attestation policy language: text in, decision and claims out.
