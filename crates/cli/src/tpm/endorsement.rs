//! The endorsement key: which one the TPM has a certificate for, and that certificate with its issuers.
//!
//! TCG EK Credential Profile, 2.2.1.4 (NV indices of the low range) and 2.2.1.5 (certificate chains).

use std::path::Path;

use evidence::tpm::{AkCertificate, PublicArea};

use super::commands::Tpm;
use super::error::TpmError;
use super::templates::{self, KeyAlgorithm};
use crate::failure::Failure;
use crate::input;

/// An endorsement key's certificate; nothing says yet that it belongs to this TPM.
pub(crate) struct Endorsement {
    pub(crate) algorithm: KeyAlgorithm,
    /// DER, the key's own first.
    pub(crate) certificates: Vec<Vec<u8>>,
}

/// A loaded endorsement key.
pub(crate) struct EndorsementKey {
    pub(crate) handle: u32,
    /// `TPMT_PUBLIC`.
    pub(crate) public: Vec<u8>,
}

impl Endorsement {
    /// The certificate in the TPM, of the RSA key if there are several.
    pub(crate) fn of_tpm(tpm: &mut Tpm) -> Result<Self, Failure> {
        Self::all_of_tpm(tpm)?.into_iter().next().ok_or_else(|| {
            Failure::failed("the TPM holds no endorsement certificate of the low range").hint(
                "its maker may publish it; give it with `--ek-certificate FILE`, DER or PEM, issuers after it",
            )
        })
    }

    /// Every certificate in the TPM, the RSA key's first.
    pub(crate) fn all_of_tpm(tpm: &mut Tpm) -> Result<Vec<Self>, Failure> {
        let indices = tpm.handles(FIRST_INDEX, END_INDEX)?;
        let known = [(KeyAlgorithm::Rsa, RSA_CERTIFICATE), (KeyAlgorithm::Ecc, ECC_CERTIFICATE)];
        let present = known.into_iter().filter(|(_, index)| indices.contains(index));
        present.map(|(algorithm, index)| Self::of_index(tpm, &indices, algorithm, index)).collect()
    }

    fn of_index(
        tpm: &mut Tpm,
        indices: &[u32],
        algorithm: KeyAlgorithm,
        index: u32,
    ) -> Result<Self, Failure> {
        let mut certificates = certificates(&read_index(tpm, index)?);
        certificates.truncate(1);
        if certificates.is_empty() {
            return Err(Failure::failed(format!("NV index 0x{index:08x} of the TPM holds no certificate")));
        }
        // One stream of certificates over all the indices.
        let mut chain = Vec::new();
        for index in indices.iter().filter(|index| (FIRST_CHAIN_INDEX..END_INDEX).contains(*index)) {
            chain.extend(read_index(tpm, *index)?);
        }
        certificates.extend(self::certificates(&chain));
        Ok(Self { algorithm, certificates })
    }

    /// A certificate from a file, its issuers after it.
    pub(crate) fn of_file(path: &Path) -> Result<Self, Failure> {
        let bytes = input::read_file(path)?;
        let certificates = if bytes.starts_with(b"\x30") { certificates(&bytes) } else { pem(&bytes) };
        let unusable = |why: &str| Failure::usage(format!("`{}` {why}", path.display()));
        let leaf =
            certificates.first().ok_or_else(|| unusable("holds no certificate, neither DER nor PEM"))?;
        let leaf =
            AkCertificate::parse(leaf).map_err(|error| unusable(&format!("cannot be used: {error}")))?;
        let algorithm = KeyAlgorithm::of(leaf.public_key())
            .ok_or_else(|| unusable("certifies neither an RSA key of 2048 bits nor one on P-256"))?;
        Ok(Self { algorithm, certificates })
    }

    /// Lets the TPM derive the key again, and checks that it is the certified one.
    pub(crate) fn load(&self, tpm: &mut Tpm) -> Result<EndorsementKey, Failure> {
        let template = template(tpm, self.algorithm)?;
        let (handle, public) = tpm.create_primary(&template)?;
        let certificate = self.certificates.first().map(Vec::as_slice).unwrap_or_default();
        let certified = AkCertificate::parse(certificate).map_err(|error| {
            Failure::failed(format!("the endorsement certificate cannot be used: {error}"))
        })?;
        let key = PublicArea::parse(&public).ok().and_then(|area| area.public_key().ok());
        if key.as_ref() != Some(certified.public_key()) {
            return Err(Failure::failed(
                "the endorsement certificate is not that of this TPM's endorsement key",
            )
            .hint(
                "a key that was made from a template of the maker's own cannot be derived; ask the maker",
            ));
        }
        Ok(EndorsementKey { handle, public })
    }
}

/// The template with which the maker certified the key: one that the TPM holds, or the standard one with the nonce
/// that the TPM holds or without (2.2.1.4).
fn template(tpm: &mut Tpm, algorithm: KeyAlgorithm) -> Result<Vec<u8>, TpmError> {
    let (nonce, template) = match algorithm {
        KeyAlgorithm::Ecc => (ECC_NONCE, ECC_TEMPLATE),
        KeyAlgorithm::Rsa => (RSA_NONCE, RSA_TEMPLATE),
    };
    let indices = tpm.handles(nonce, template.saturating_add(1))?;
    if indices.contains(&template) {
        return read_index(tpm, template);
    }
    let nonce = if indices.contains(&nonce) { read_index(tpm, nonce)? } else { Vec::new() };
    Ok(templates::endorsement_key(algorithm, &nonce))
}

/// A whole NV index.
fn read_index(tpm: &mut Tpm, index: u32) -> Result<Vec<u8>, TpmError> {
    let public = tpm.nv_read_public(index)?;
    let size = public.size;
    let mut data = Vec::new();
    while let Ok(offset) = u16::try_from(data.len())
        && offset < size
    {
        let wanted = size.saturating_sub(offset).min(NV_CHUNK_BYTES);
        let read = tpm.nv_read(index, &public, offset, wanted)?;
        if read.len() != usize::from(wanted) {
            let reason = format!("it gave {} of {wanted} bytes", read.len());
            return Err(TpmError::Answer { command: "TPM2_NV_Read", reason });
        }
        data.extend(read);
    }
    Ok(data)
}

/// The DER structures that `bytes` start with, one after the other; what follows them is padding.
fn certificates(bytes: &[u8]) -> Vec<Vec<u8>> {
    let (mut found, mut rest) = (Vec::new(), bytes);
    // X.690 §8.1: a SEQUENCE whose length has two bytes, as every certificate's.
    while let [0x30, 0x82, high, low, ..] = rest {
        let length = usize::from(u16::from_be_bytes([*high, *low])).saturating_add(4);
        let Some((certificate, others)) = rest.split_at_checked(length) else { break };
        found.push(certificate.to_vec());
        rest = others;
    }
    found
}

fn pem(bytes: &[u8]) -> Vec<Vec<u8>> {
    let text = String::from_utf8_lossy(bytes);
    let blocks = text.split_inclusive(PEM_END).filter_map(|block| {
        let start = block.find(PEM_START)?;
        pem_rfc7468::decode_vec(block.get(start..)?.as_bytes()).ok()
    });
    blocks.map(|(_, der)| der).collect()
}

const PEM_START: &str = "-----BEGIN CERTIFICATE-----";
const PEM_END: &str = "-----END CERTIFICATE-----";
const FIRST_INDEX: u32 = 0x01c0_0002;
const RSA_CERTIFICATE: u32 = 0x01c0_0002;
const RSA_NONCE: u32 = 0x01c0_0003;
const RSA_TEMPLATE: u32 = 0x01c0_0004;
const ECC_CERTIFICATE: u32 = 0x01c0_000a;
const ECC_NONCE: u32 = 0x01c0_000b;
const ECC_TEMPLATE: u32 = 0x01c0_000c;
const FIRST_CHAIN_INDEX: u32 = 0x01c0_0100;
const END_INDEX: u32 = 0x01c0_0200;
/// Less than the smallest buffer of any TPM seen (`TPM_PT_NV_BUFFER_MAX`), and few reads for a certificate.
const NV_CHUNK_BYTES: u16 = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_are_split_and_padding_is_left() {
        let one = [&[0x30, 0x82, 0, 3][..], b"abc"].concat();
        let two = [&[0x30, 0x82, 0, 1][..], b"d"].concat();
        assert_eq!(certificates(&[&one[..], &two, &[0xff; 9]].concat()), [one.clone(), two.clone()]);
        assert_eq!(certificates(&one[..6]), Vec::<Vec<u8>>::new());
        let pem_text =
            |der: &[u8]| pem_rfc7468::encode_string("CERTIFICATE", pem_rfc7468::LineEnding::LF, der).unwrap();
        let text = format!("a comment\n{}\n{}", pem_text(&one), pem_text(&two));
        assert_eq!(pem(text.as_bytes()), [one, two]);
    }
}
