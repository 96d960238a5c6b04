//! The binary formats: Open Enclave endorsements, and `sgx_ql_qve_collateral_t` serialised or dumped.

use super::recognise::blob;
use super::{FormatError, Item};
use crate::read::{ReadError, Reader};

/// The items of `bytes`, or `None` if they are of none of these formats.
pub(super) fn items(bytes: &[u8]) -> Result<Option<Vec<Item>>, FormatError> {
    let Some(start) = bytes.first_chunk::<8>() else { return Ok(None) };
    match start {
        // Version 1, TEE type 2 (SGX) of Open Enclave.
        [1, 0, 0, 0, 2, 0, 0, 0] => open_enclave(bytes).map(Some),
        // Version 3.0 or 3.1 (big-endian), TEE type SGX or TDX.
        [0, 3, 0, 0 | 1, 0, 0, 0, 0 | 0x81] => collateral(&serialised(bytes)?).map(Some),
        // Version 3 or 4 (little-endian u32, or u16 pair), TEE type SGX or TDX.
        [3 | 4, 0, 0 | 1, 0, 0 | 0x81, 0, 0, 0] => collateral(&dumped(bytes)?).map(Some),
        _ => Ok(None),
    }
}

/// `oe_sgx_endorsements_t` (openenclave `common/sgx/endorsements.h`): version, type, size of what
/// follows, number of elements, their offsets, their bytes.
fn open_enclave(bytes: &[u8]) -> Result<Vec<Item>, FormatError> {
    let malformed = || FormatError::Part { format: "Open Enclave endorsements", part: "elements" };
    let (offsets, data) = Reader::all(bytes, "Open Enclave endorsements", |r| {
        r.take("version and type", 8)?;
        r.u32_le("size")?;
        let count = r.u32_le("count")?;
        let mut offsets = Vec::new();
        for _ in 0..count.min(OE_ELEMENTS) {
            offsets.push(r.u32_le("offset")?);
        }
        Ok::<_, ReadError>((offsets, r.rest()))
    })
    .map_err(|_| malformed())?;
    let offset = |index: usize| offsets.get(index).and_then(|offset| usize::try_from(*offset).ok());
    let element = |index: usize| {
        let end = offset(index + 1).unwrap_or(data.len());
        data.get(offset(index)?..end)
    };
    // 0: version, 1: TCB info, 2: its chain, 3: PCK CRL, 4: root CRL, 5: chain of the CRLs,
    // 6: QE identity, 7: its chain, 8: time of creation.
    let required = |index| element(index).ok_or_else(malformed);
    let mut items = blob(required(1)?, Some(required(2)?))?;
    items.extend(blob(required(3)?, Some(required(5)?))?);
    items.extend(blob(required(4)?, None)?);
    items.extend(blob(required(6)?, Some(required(7)?))?);
    Ok(items)
}

/// Version and TEE type, then seven times a big-endian 64-bit length and as many bytes.
fn serialised(bytes: &[u8]) -> Result<[&[u8]; 7], FormatError> {
    Reader::all(bytes, "collateral", |r| {
        r.take("version and TEE type", 8)?;
        let mut fields: [&[u8]; 7] = [&[]; 7];
        for field in &mut fields {
            let length = usize::try_from(r.u64_be("length")?).unwrap_or(usize::MAX);
            *field = r.take("field", length)?;
        }
        Ok::<_, ReadError>(fields)
    })
    .map_err(|_| FormatError::Part { format: "serialised sgx_ql_qve_collateral_t", part: "fields" })
}

/// The structure as it lay in memory: version and TEE type, seven times a pointer and a little-endian
/// 64-bit length, then the fields themselves.
fn dumped(bytes: &[u8]) -> Result<[&[u8]; 7], FormatError> {
    Reader::all(bytes, "collateral", |r| {
        r.take("version and TEE type", 8)?;
        let mut lengths = [0; 7];
        for length in &mut lengths {
            r.u64_le("pointer")?;
            *length = usize::try_from(r.u64_le("length")?).unwrap_or(usize::MAX);
        }
        let mut fields: [&[u8]; 7] = [&[]; 7];
        for (field, length) in fields.iter_mut().zip(lengths) {
            *field = r.take("field", length)?;
        }
        Ok::<_, ReadError>(fields)
    })
    .map_err(|_| FormatError::Part { format: "dumped sgx_ql_qve_collateral_t", part: "fields" })
}

/// The fields in the order of `sgx_ql_qve_collateral_t`.
fn collateral(fields: &[&[u8]; 7]) -> Result<Vec<Item>, FormatError> {
    let [pck_crl_chain, root_crl, pck_crl, tcb_chain, tcb_info, qe_chain, qe_identity] = fields;
    let mut items = blob(root_crl, None)?;
    items.extend(blob(pck_crl, Some(pck_crl_chain))?);
    items.extend(blob(tcb_info, Some(tcb_chain))?);
    items.extend(blob(qe_identity, Some(qe_chain))?);
    Ok(items)
}

/// `OE_SGX_ENDORSEMENT_COUNT`.
const OE_ELEMENTS: u32 = 9;
