//! JSON Web Signatures, keys and tokens: unverified in, verified out.
