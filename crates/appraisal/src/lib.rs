//! Joins evidence, policy and token: claim names, the baseline, the token issuer.
