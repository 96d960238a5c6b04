//! `SubjectPublicKeyInfo` (RFC 5280 §4.1, RFC 3279 §2.3, RFC 5480) of the keys that TPMs have.

use crypto::{Curve, PublicKey};
use der::asn1::{AnyRef, BitString, UintRef};
use der::oid::ObjectIdentifier;
use der::{Decode, Encode, Reader as _, SliceReader};
use x509_cert::spki::{AlgorithmIdentifier, SubjectPublicKeyInfoRef};

/// The key of a DER `SubjectPublicKeyInfo`; `None` if it is none of a supported kind.
pub(crate) fn parse(der: &[u8]) -> Option<PublicKey> {
    let info = SubjectPublicKeyInfoRef::from_der(der).ok()?;
    let bits = info.subject_public_key.as_bytes()?;
    match info.algorithm.oid {
        RSA_ENCRYPTION => {
            // RSAPublicKey (RFC 8017 A.1.1).
            let mut reader = SliceReader::new(bits).ok()?;
            let (modulus, exponent) = reader
                .sequence(|numbers| {
                    Ok::<_, der::Error>((UintRef::decode(numbers)?, UintRef::decode(numbers)?))
                })
                .ok()?;
            reader.finish().ok()?;
            PublicKey::rsa(modulus.as_bytes(), exponent.as_bytes()).ok()
        }
        EC_PUBLIC_KEY => {
            let curve = info.algorithm.parameters?.decode_as::<ObjectIdentifier>().ok()?;
            let curve = CURVES.iter().find(|(oid, _)| *oid == curve)?.1;
            PublicKey::ec_point(curve, bits).ok()
        }
        _ => None,
    }
}

/// The DER encoding, which is empty only for keys too large to exist.
pub(crate) fn encode(key: &PublicKey) -> Vec<u8> {
    try_encode(key).unwrap_or_default()
}

fn try_encode(key: &PublicKey) -> der::Result<Vec<u8>> {
    let (oid, parameters, bits) = match (key.rsa_numbers(), key.curve().zip(key.point())) {
        (Some((modulus, exponent)), _) => {
            let mut body = UintRef::new(modulus)?.to_der()?;
            UintRef::new(exponent)?.encode_to_vec(&mut body)?;
            let sequence = AnyRef::new(der::Tag::Sequence, &body)?.to_der()?;
            (RSA_ENCRYPTION, AnyRef::NULL.to_der()?, sequence)
        }
        (None, Some((curve, point))) => {
            let oid = CURVES.iter().find(|(_, known)| *known == curve).map(|(oid, _)| *oid);
            (EC_PUBLIC_KEY, oid.ok_or(der::ErrorKind::Failed)?.to_der()?, point.to_vec())
        }
        (None, None) => return Err(der::ErrorKind::Failed.into()),
    };
    let algorithm = AlgorithmIdentifier { oid, parameters: Some(AnyRef::from_der(&parameters)?) };
    let mut body = algorithm.to_der()?;
    BitString::from_bytes(&bits)?.encode_to_vec(&mut body)?;
    AnyRef::new(der::Tag::Sequence, &body)?.to_der()
}

const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const CURVES: &[(ObjectIdentifier, Curve)] = &[
    (ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7"), Curve::P256),
    (ObjectIdentifier::new_unwrap("1.3.132.0.34"), Curve::P384),
    (ObjectIdentifier::new_unwrap("1.3.132.0.35"), Curve::P521),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_what_it_reads() {
        for algorithm in [crypto::SigningAlgorithm::Rs256, crypto::SigningAlgorithm::Es256] {
            let der = crypto::SigningKey::generate(algorithm).unwrap().public_key_der().unwrap();
            let key = parse(&der).unwrap();
            assert_eq!(encode(&key), der);
            assert!(parse(&der[1..]).is_none());
        }
    }
}
