//! Certificates that firmware of PCs comes with, by SHA-256 of their DER form, and the subjects of others.
//!
//! Digests are those of the certificates that Microsoft publishes for Secure Boot ("Windows Secure Boot Key Creation
//! and Management Guidance", 1.3.4) and that captured logs hold in their databases. A name is for people: what a
//! certificate may sign is decided by the database it stands in.

use der::Decode;

/// The name of a well-known certificate.
pub(crate) fn name(der: &[u8]) -> Option<&'static str> {
    let digest = hex::encode(crypto::sha256(der));
    KNOWN.iter().find(|(known, _)| *known == digest).map(|(_, name)| *name)
}

/// The subject of an X.509 certificate; `None` if the bytes are none.
pub(crate) fn subject(der: &[u8]) -> Option<String> {
    if der.len() > MAX_CERTIFICATE_BYTES {
        return None;
    }
    let certificate = x509_cert::Certificate::from_der(der).ok()?;
    Some(certificate.tbs_certificate().subject().to_string())
}

/// Certificates in captured databases have below 2 KiB.
const MAX_CERTIFICATE_BYTES: usize = 16 * 1024;
const KNOWN: &[(&str, &str)] = &[
    (
        "3cd3f0309edae228767a976dd40d9f4affc4fbd5218f2e8cc3c9dd97e8ac6f9d",
        "Microsoft Corporation KEK 2K CA 2023",
    ),
    ("a1117f516a32cefcba3f2d1ace10a87972fd6bbe8fe0d0b996e09e65d802a503", "Microsoft Corporation KEK CA 2011"),
    (
        "48e99b991f57fc52f76149599bff0a58c47154229b9f8d603ac40d3500248507",
        "Microsoft Corporation UEFI CA 2011",
    ),
    ("b3bd98f4777241d721a96cd584dcb9d4b2098beb269c44442bdf609adce3b6c0", "Microsoft Hyper-V Firmware PK"),
    ("e5be3e64c6e66a281457ecdece0d6d0787577aad2a3a0144262c10c14ba8d8f1", "Microsoft Option ROM UEFI CA 2023"),
    ("f6124e34125bee3fe6d79a574eaa7b91c0e7bd9d929c1a321178efd611dad901", "Microsoft UEFI CA 2023"),
    (
        "e8e95f0733a55e8bad7be0a1413ee23c51fcea64b3c8fa6a786935fddcc71961",
        "Microsoft Windows Production PCA 2011",
    ),
    ("2f569e8edaf9657dc4951c29598725255c7f821472db71374211fe44d082546f", "Windows OEM Devices PK"),
    ("076f1fea90ac29155ebf77c17682f75f1fdd1be196da302dc8461e350a9ae330", "Windows UEFI CA 2023"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_of_digests() {
        for (index, (digest, name)) in KNOWN.iter().enumerate() {
            assert_eq!(hex::decode(digest).map(|digest| digest.len()), Ok(32), "{name}");
            assert!(KNOWN[..index].iter().all(|(other, known)| other != digest && known != name), "{name}");
        }
        assert_eq!(name(b"no certificate"), None);
        assert_eq!(subject(b"no certificate"), None);
        assert_eq!(subject(&[0x30; MAX_CERTIFICATE_BYTES + 1]), None);
    }
}
