//! The evidence as files, in the layout that `vouchsafe evidence verify --kind tpm-evidence` reads.

use std::fs;
use std::path::Path;

use pem_rfc7468::LineEnding;

use super::enrolment::Enrolment;
use super::message::Evidence;
use crate::failure::Failure;

/// Writes quote, key, certificates and logs to a directory, which may exist.
pub(super) fn evidence(
    directory: &Path,
    evidence: &Evidence<'_>,
    nonce: &[u8],
    enrolment: &Enrolment,
) -> Result<(), Failure> {
    let pcrs = evidence.quoted.pcrs.iter().flat_map(|(_, value)| value.iter().copied());
    let issuers = enrolment.chain.iter();
    let issuers = issuers
        .map(|der| pem_rfc7468::encode_string("CERTIFICATE", LineEnding::LF, der))
        .collect::<Result<String, _>>()
        .map_err(|error| Failure::failed(format!("the issuers cannot be written as PEM: {error}")))?;
    let files = [
        ("quote.msg", Some(evidence.quoted.attest.clone())),
        ("quote.sig", Some(evidence.quoted.signature.clone())),
        ("nonce", Some(nonce.to_vec())),
        ("pcrs", Some(pcrs.collect())),
        ("ak.pub", Some(evidence.key.to_vec())),
        ("ak.crt", Some(evidence.certificate.to_vec())),
        ("ca.pem", Some(issuers.into_bytes()).filter(|issuers| !issuers.is_empty())),
        ("ek.crt", enrolment.ek_certificate.clone()),
        ("eventlog", evidence.event_log.map(<[u8]>::to_vec)),
        ("ima.bin", evidence.ima_log.map(<[u8]>::to_vec)),
    ];
    let unwritable =
        |path: &Path, error| Failure::failed(format!("`{}` cannot be written: {error}", path.display()));
    fs::create_dir_all(directory).map_err(|error| unwritable(directory, error))?;
    for (name, content) in files {
        let path = directory.join(name);
        if let Some(content) = content {
            fs::write(&path, content).map_err(|error| unwritable(&path, error))?;
        }
    }
    Ok(())
}
