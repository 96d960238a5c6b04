//! Every cryptographic primitive Vouchsafe uses, over one library (AWS-LC).
//!
//! No type of that library is in a public signature, so that the stage crates can be built on
//! another one for a platform it does not reach. Nothing here decides anything: callers say which
//! bytes were received and which key must have signed them.
//!
//! - hashes: [`digest`], chosen at run time: [`hash`].
//! - public keys and the signatures checked with them: [`verify`], chosen at run time: [`public_key`].
//! - what TPMs derive and encrypt: [`tpm_kdf`].
//! - private keys of this service: [`sign`].
//! - what is kept by others for this service: [`seal`].
//! - bytes of the system generator: [`random`]; secrets compared: [`compare`].
#![forbid(unsafe_code)]

pub mod compare;
pub mod digest;
pub mod hash;
pub mod public_key;
pub mod random;
pub mod seal;
pub mod sign;
pub mod tpm_kdf;
pub mod verify;

pub use compare::equal_in_constant_time;
pub use digest::{sha1, sha256, sha256_of_parts, sha384, sha512};
pub use hash::{Digest, HashAlgorithm};
pub use public_key::{Curve, PublicKey, SignatureScheme};
pub use random::random_bytes;
pub use seal::SealingKey;
pub use sign::{SigningAlgorithm, SigningKey};
pub use verify::{BadKey, BadSignature, P256PublicKey, RsaPublicKey, verify_p256_fixed_once};
