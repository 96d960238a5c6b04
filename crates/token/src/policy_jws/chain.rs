//! The way from a policy signer's certificate to what is relied on.

use time::OffsetDateTime;

use super::certificate::Certificate;
use super::signer::Trust;

/// Why certificates are no chain that may be relied on. `position` counts from the leaf at 0. The sender
/// must act.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// The next certificate is not the issuer of this one.
    #[error(
        "the certificate at position {position} of `x5c` was not issued by the next one: send leaf first, then each issuer"
    )]
    Issuer {
        /// Which certificate.
        position: usize,
    },
    /// The chain ends before an authority was found.
    #[error(
        "unable to find issuer certificate CN={common_name}: the chain must end in a self-signed certificate \
         with basic constraints CA:TRUE, or lead to a configured signer"
    )]
    IssuerNotFound {
        /// The common name of the issuer that is missing.
        common_name: String,
    },
    /// A key is neither RSA of 2048 to 8192 bits nor on P-256, P-384 or P-521.
    #[error("the certificate at position {position} of `x5c` has a key of a kind that is not supported")]
    Key {
        /// Which certificate.
        position: usize,
    },
    /// Not a DER certificate.
    #[error("the certificate at position {position} of `x5c` is not DER of an X.509 certificate")]
    Malformed {
        /// Which certificate.
        position: usize,
    },
    /// An issuer is no certificate authority, or not for so long a chain.
    #[error(
        "the certificate at position {position} of `x5c` may not issue certificates: it needs basic \
         constraints CA:TRUE, a path length that fits, and the key usage keyCertSign"
    )]
    NotAuthority {
        /// Which certificate.
        position: usize,
    },
    /// A signature does not verify under the issuer's key.
    #[error("the signature of the certificate at position {position} of `x5c` does not verify")]
    Signature {
        /// Which certificate.
        position: usize,
    },
    /// A signature is of a kind that is not accepted.
    #[error(
        "the certificate at position {position} of `x5c` is signed with the algorithm {found}: use RSA \
         (PKCS #1) or ECDSA, with SHA-256, SHA-384 or SHA-512"
    )]
    SignatureAlgorithm {
        /// Which certificate.
        position: usize,
        /// The algorithm's object identifier.
        found: String,
    },
    /// A critical extension that is not understood (RFC 5280 §4.2).
    #[error("the certificate at position {position} of `x5c` has the unknown critical extension {found}")]
    UnknownCriticalExtension {
        /// Which certificate.
        position: usize,
        /// The extension's object identifier.
        found: String,
    },
    /// The chain is sound, but nobody relies on where it leads.
    #[error("the chain of `CN={common_name}` leads to none of the configured signers")]
    Untrusted {
        /// The common name at its end.
        common_name: String,
    },
    /// A certificate is not valid now.
    #[error("the certificate at position {position} of `x5c` is valid from {not_before} to {not_after} only")]
    Validity {
        /// Which certificate.
        position: usize,
        /// Start of its validity.
        not_before: OffsetDateTime,
        /// End of its validity.
        not_after: OffsetDateTime,
    },
}

/// Verifies a chain, leaf first:
///
/// 1. every certificate is valid at `now`, and none that is self-signed lacks CA:TRUE (where `trust` lets a
///    single one pass nevertheless, it need only be signed by itself);
/// 2. each is issued by the next one, which is an authority for that;
/// 3. one of them is a configured signer, or the last is issued by one, or the last is a self-signed
///    authority and `trust` takes any.
pub(super) fn verify(chain: &[Vec<u8>], trust: &Trust<'_>, now: OffsetDateTime) -> Result<(), ChainError> {
    let certificates = chain
        .iter()
        .enumerate()
        .map(|(position, der)| Certificate::parse(der, position))
        .collect::<Result<Vec<_>, _>>()?;
    for (position, certificate) in certificates.iter().enumerate() {
        check_validity(certificate, position, now)?;
        if certificate.is_self_issued() && !certificate.is_authority_over(0) {
            if !trust.accepts_plain_self_signed() || certificates.len() != 1 {
                return Err(not_found(certificate));
            }
            return match certificate.is_signed_by(certificate) {
                true => Ok(()),
                false => Err(ChainError::Signature { position }),
            };
        }
    }
    let issuers = certificates.iter().skip(1);
    for (position, (certificate, issuer)) in certificates.iter().zip(issuers).enumerate() {
        if certificate.issuer != issuer.subject {
            return Err(ChainError::Issuer { position });
        }
        check_issued(certificate, issuer, position)?;
    }
    let anchors = trust.anchors()?;
    let is_anchor = |certificate: &Certificate| anchors.iter().any(|anchor| anchor.der == certificate.der);
    if certificates.iter().any(is_anchor) {
        return Ok(());
    }
    let Some((position, last)) = certificates.iter().enumerate().next_back() else {
        return Err(ChainError::Malformed { position: 0 });
    };
    if last.is_self_issued() {
        if !last.is_signed_by(last) {
            return Err(ChainError::Signature { position });
        }
        if trust.accepts_any_root() {
            return Ok(());
        }
        return Err(ChainError::Untrusted { common_name: last.issuer_common_name.clone() });
    }
    let mut found = Err(not_found(last));
    for anchor in anchors.iter().filter(|anchor| anchor.subject == last.issuer) {
        let issued =
            check_validity(anchor, position, now).and_then(|()| check_issued(last, anchor, position));
        match issued {
            Ok(()) => return Ok(()),
            Err(error) => found = Err(error),
        }
    }
    found
}

fn not_found(certificate: &Certificate) -> ChainError {
    ChainError::IssuerNotFound { common_name: certificate.issuer_common_name.clone() }
}

fn check_validity(certificate: &Certificate, position: usize, now: OffsetDateTime) -> Result<(), ChainError> {
    let Certificate { not_before, not_after, .. } = *certificate;
    if now < not_before || not_after < now {
        return Err(ChainError::Validity { position, not_before, not_after });
    }
    Ok(())
}

/// Authority and signature. The leaf counts for no path length (RFC 5280 §4.2.1.9).
fn check_issued(certificate: &Certificate, issuer: &Certificate, position: usize) -> Result<(), ChainError> {
    if !issuer.is_authority_over(position) {
        return Err(ChainError::NotAuthority { position: position.saturating_add(1) });
    }
    if !certificate.is_signed_by(issuer) {
        return Err(ChainError::Signature { position });
    }
    Ok(())
}
