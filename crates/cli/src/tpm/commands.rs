//! The commands (TPM 2.0 Library Part 3), one method each. What a command loads is flushed when the [`Tpm`] goes out
//! of use at the latest, whatever went wrong in between.

use std::thread;
use std::time::Duration;

use crypto::HashAlgorithm;
use evidence::tpm::{PcrSet, hash_id};
use evidence::{ReadError, Reader};

use super::error::TpmError;
use super::tcti::{Tcti, Transport};
use super::templates::{ALG_NULL, ALG_SHA256};
use super::wire::{Answer, Authorization, Command};
use crate::failure::Failure;

/// A TPM that is being talked to.
pub(crate) struct Tpm {
    transport: Transport,
    /// Objects and sessions to flush.
    loaded: Vec<u32>,
    /// Password of the endorsement hierarchy.
    endorsement_auth: Vec<u8>,
}

/// A key with both its parts, as a TPM gave it.
pub(crate) struct KeyBlobs {
    /// `TPMT_PUBLIC`.
    pub(crate) public: Vec<u8>,
    /// The content of a `TPM2B_PRIVATE`: encrypted, of use to this TPM alone.
    pub(crate) private: Vec<u8>,
}

/// The public data of an NV index (`TPMS_NV_PUBLIC`).
pub(super) struct NvPublic {
    pub(super) attributes: u32,
    pub(super) size: u16,
}

impl Tpm {
    pub(crate) fn open(tcti: &Tcti, endorsement_auth: Vec<u8>) -> Result<Self, Failure> {
        Ok(Self { transport: tcti.open()?, loaded: Vec::new(), endorsement_auth })
    }

    /// `TPM2_CreatePrimary` (24.1) under the endorsement hierarchy: the handle, and the `TPMT_PUBLIC`.
    pub(super) fn create_primary(&mut self, template: &[u8]) -> Result<(u32, Vec<u8>), TpmError> {
        let command = Command::new(
            "TPM2_CreatePrimary",
            0x131,
            &[RH_ENDORSEMENT],
            &[Authorization::Password(&self.endorsement_auth)],
        );
        let answer = self.execute(&creation(command, template))?;
        let (handle, public) = answer.handle_and_parameters(|r| {
            let public = r.sized("outPublic")?.to_vec();
            // Creation data, hash and ticket, and the name, which is computed from the public area.
            r.rest();
            Ok(public)
        })?;
        self.loaded.push(handle);
        Ok((handle, public))
    }

    /// `TPM2_Create` (12.1) under a loaded key with an empty password.
    pub(super) fn create(&mut self, parent: u32, template: &[u8]) -> Result<KeyBlobs, TpmError> {
        let command = Command::new("TPM2_Create", 0x153, &[parent], &[Authorization::Password(&[])]);
        let answer = self.execute(&creation(command, template))?;
        answer.parameters(|r| {
            let private = r.sized("outPrivate")?.to_vec();
            let public = r.sized("outPublic")?.to_vec();
            r.rest();
            Ok(KeyBlobs { public, private })
        })
    }

    /// `TPM2_Load` (12.2) under a loaded key with an empty password.
    pub(super) fn load(&mut self, parent: u32, key: &KeyBlobs) -> Result<u32, TpmError> {
        let command = Command::new("TPM2_Load", 0x157, &[parent], &[Authorization::Password(&[])])
            .sized(&key.private)
            .sized(&key.public);
        let answer = self.execute(&command)?;
        let (handle, ()) = answer.handle_and_parameters(|r| r.sized("name").map(drop))?;
        self.loaded.push(handle);
        Ok(handle)
    }

    /// `TPM2_StartAuthSession` (11.1): a policy session that is neither bound nor salted.
    pub(super) fn start_policy_session(&mut self) -> Result<u32, TpmError> {
        let nonce: [u8; 16] = crypto::random_bytes().map_err(|error| TpmError::Answer {
            command: "TPM2_StartAuthSession",
            reason: error.to_string(),
        })?;
        let command = Command::new("TPM2_StartAuthSession", 0x176, &[RH_NULL, RH_NULL], &[])
            .sized(&nonce)
            .sized(&[])
            .u8(SE_POLICY)
            .u16(ALG_NULL)
            .u16(ALG_SHA256);
        let (session, ()) =
            self.execute(&command)?.handle_and_parameters(|r| r.sized("nonceTPM").map(drop))?;
        self.loaded.push(session);
        Ok(session)
    }

    /// `TPM2_PolicySecret` (23.4): the session's policy includes knowing the endorsement hierarchy's password.
    pub(super) fn policy_secret(&mut self, session: u32) -> Result<(), TpmError> {
        let authorization = [Authorization::Password(&self.endorsement_auth)];
        // Neither nonce, nor command, nor qualifier, nor expiration.
        let command = Command::new("TPM2_PolicySecret", 0x151, &[RH_ENDORSEMENT, session], &authorization)
            .sized(&[])
            .sized(&[])
            .sized(&[])
            .u32(0);
        self.execute(&command)?.parameters(|r| {
            r.sized("timeout")?;
            r.rest();
            Ok(())
        })
    }

    /// `TPM2_ActivateCredential` (12.5): the secret that was made for the endorsement key `ek` and the name of `key`.
    /// The session ends.
    pub(super) fn activate_credential(
        &mut self,
        key: u32,
        ek: u32,
        session: u32,
        id_object: &[u8],
        encrypted_secret: &[u8],
    ) -> Result<Vec<u8>, TpmError> {
        let authorizations = [Authorization::Password(&[]), Authorization::Policy(session)];
        let command = Command::new("TPM2_ActivateCredential", 0x147, &[key, ek], &authorizations)
            .sized(id_object)
            .sized(encrypted_secret);
        let secret = self.execute(&command)?.parameters(|r| r.sized("certInfo").map(<[u8]>::to_vec))?;
        // The answer ended the session (continueSession was clear).
        self.loaded.retain(|handle| *handle != session);
        Ok(secret)
    }

    /// `TPM2_Quote` (18.4) with the scheme of the key: `TPMS_ATTEST` and `TPMT_SIGNATURE`.
    pub(super) fn quote(
        &mut self,
        key: u32,
        nonce: &[u8],
        bank: HashAlgorithm,
        pcrs: PcrSet,
    ) -> Result<(Vec<u8>, Vec<u8>), TpmError> {
        let command = Command::new("TPM2_Quote", 0x158, &[key], &[Authorization::Password(&[])])
            .sized(nonce)
            .u16(ALG_NULL);
        self.execute(&selection(command, bank, pcrs))?
            .parameters(|r| Ok((r.sized("quoted")?.to_vec(), r.rest().to_vec())))
    }

    /// `TPM2_PCR_Read` (22.4): the counter of changes, which PCRs of `pcrs` the TPM read (a few at a time), and their
    /// values in ascending order.
    pub(super) fn pcr_read(
        &mut self,
        bank: HashAlgorithm,
        pcrs: PcrSet,
    ) -> Result<(u32, PcrSet, Vec<Vec<u8>>), TpmError> {
        let name = "TPM2_PCR_Read";
        let command = selection(Command::new(name, 0x17e, &[], &[]), bank, pcrs);
        let (counter, read, values) = self.execute(&command)?.parameters(|r| {
            let counter = r.u32_be("pcrUpdateCounter")?;
            let mut read = PcrSet::default();
            for _ in 0..r.u32_be("count")?.min(MAX_BANKS) {
                let hash = r.u16_be("hash")?;
                let size = r.u8("sizeofSelect")?;
                let bitmap = r.take("pcrSelect", size.into())?;
                let mask = bitmap.iter().rev().fold(0_u32, |mask, byte| mask << 8 | u32::from(*byte));
                if hash == hash_id(bank) {
                    read = read.union(PcrSet::from_mask(mask));
                }
            }
            let count = r.u32_be("count")?;
            let values =
                (0..count).map(|_| r.sized("digest").map(<[u8]>::to_vec)).collect::<Result<Vec<_>, _>>()?;
            Ok((counter, read, values))
        })?;
        let wrong = |reason: &str| Err(TpmError::Answer { command: name, reason: reason.to_owned() });
        if !read.without(pcrs).is_empty() || read.iter().count() != values.len() {
            return wrong("its values are not those of the PCRs asked for");
        }
        if values.iter().any(|value| value.len() != bank.size_bytes()) {
            return wrong("a value has not the size of the bank's digests");
        }
        Ok((counter, read, values))
    }

    /// The handles in `first..end`, ascending (`TPM_CAP_HANDLES`).
    pub(super) fn handles(&mut self, first: u32, end: u32) -> Result<Vec<u32>, TpmError> {
        let (mut found, mut next) = (Vec::new(), first);
        while next < end && found.len() < MAX_HANDLES {
            let (more, handles) = self.capability(CAP_HANDLES, next, 64, |r| r.u32_be("handle"))?;
            // A TPM that gives what was not asked for has nothing more to say.
            let Some(last) = handles.last().copied().filter(|last| *last >= next) else { break };
            found.extend(handles.into_iter().filter(|handle| (next..end).contains(handle)));
            if !more {
                break;
            }
            next = last.saturating_add(1);
        }
        Ok(found)
    }

    /// Some fixed properties, each with its value (`TPM_CAP_TPM_PROPERTIES`).
    pub(super) fn properties(&mut self, first: u32, count: u32) -> Result<Vec<(u32, u32)>, TpmError> {
        let property = |r: &mut Reader<'_>| Ok((r.u32_be("property")?, r.u32_be("value")?));
        self.capability(CAP_TPM_PROPERTIES, first, count, property).map(|(_, properties)| properties)
    }

    /// The banks that have PCRs (`TPM_CAP_PCRS`), as `TPM_ALG_ID`.
    pub(super) fn banks(&mut self) -> Result<Vec<u16>, TpmError> {
        let (_, banks) = self.capability(CAP_PCRS, 0, MAX_BANKS, |r| {
            let bank = r.u16_be("hash")?;
            let size = r.u8("sizeofSelect")?;
            let used = r.take("pcrSelect", size.into())?.iter().any(|byte| *byte != 0);
            Ok(used.then_some(bank))
        })?;
        Ok(banks.into_iter().flatten().collect())
    }

    /// `TPM2_GetCapability` (30.2): whether there is more, and a list.
    fn capability<T>(
        &mut self,
        capability: u32,
        first: u32,
        count: u32,
        mut item: impl FnMut(&mut Reader<'_>) -> Result<T, ReadError>,
    ) -> Result<(bool, Vec<T>), TpmError> {
        let command =
            Command::new("TPM2_GetCapability", 0x17a, &[], &[]).u32(capability).u32(first).u32(count);
        self.execute(&command)?.parameters(|r| {
            let more = r.u8("moreData")? != 0;
            r.u32_be("capability")?;
            let found = r.u32_be("count")?;
            let items = (0..found).map(|_| item(r)).collect::<Result<Vec<_>, _>>()?;
            Ok((more, items))
        })
    }

    /// `TPM2_NV_ReadPublic` (31.6).
    pub(super) fn nv_read_public(&mut self, index: u32) -> Result<NvPublic, TpmError> {
        let command = Command::new("TPM2_NV_ReadPublic", 0x169, &[index], &[]);
        self.execute(&command)?.parameters(|r| {
            r.u16_be("size")?;
            r.u32_be("nvIndex")?;
            r.u16_be("nameAlg")?;
            let attributes = r.u32_be("attributes")?;
            r.sized("authPolicy")?;
            let size = r.u16_be("dataSize")?;
            r.sized("nvName")?;
            Ok(NvPublic { attributes, size })
        })
    }

    /// `TPM2_NV_Read` (31.13) of `size` bytes with an empty password: the index's own, or the owner's where the index
    /// has none.
    pub(super) fn nv_read(
        &mut self,
        index: u32,
        public: &NvPublic,
        offset: u16,
        size: u16,
    ) -> Result<Vec<u8>, TpmError> {
        let authority = if public.attributes & NV_AUTHREAD == 0 { RH_OWNER } else { index };
        let authorization = [Authorization::Password(&[])];
        let command =
            Command::new("TPM2_NV_Read", 0x14e, &[authority, index], &authorization).u16(size).u16(offset);
        self.execute(&command)?.parameters(|r| r.sized("data").map(<[u8]>::to_vec))
    }

    /// `TPM2_FlushContext` (28.4) of something loaded here.
    pub(crate) fn flush(&mut self, handle: u32) -> Result<(), TpmError> {
        self.loaded.retain(|loaded| *loaded != handle);
        let command = Command::new("TPM2_FlushContext", 0x165, &[], &[]).u32(handle);
        self.execute(&command)?.parameters(|_| Ok(()))
    }

    /// Sends a command, again while the TPM asks for that.
    fn execute(&mut self, command: &Command) -> Result<Answer, TpmError> {
        let name = command.name();
        let bytes = command.finish()?;
        let mut pause = FIRST_PAUSE;
        loop {
            let answer =
                self.transport.exchange(&bytes).map_err(|error| TpmError::Io { command: name, error })?;
            match Answer::parse(name, command.has_sessions(), &answer) {
                Err(TpmError::Refused { code, .. }) if code.is_transient() && pause < LONGEST_PAUSE => {
                    thread::sleep(pause);
                    pause = pause.saturating_mul(2);
                }
                result => return result,
            }
        }
    }
}

impl Drop for Tpm {
    fn drop(&mut self) {
        for handle in std::mem::take(&mut self.loaded) {
            // There is nobody left to tell; the kernel's resource manager flushes on its own.
            let _ = self.flush(handle);
        }
    }
}

/// The parameters that `TPM2_Create` and `TPM2_CreatePrimary` share: no password, no data, the template, nothing
/// from outside, no PCRs at creation.
fn creation(command: Command, template: &[u8]) -> Command {
    command.u16(4).sized(&[]).sized(&[]).sized(template).sized(&[]).u32(0)
}

/// `TPML_PCR_SELECTION` of one bank.
fn selection(command: Command, bank: HashAlgorithm, pcrs: PcrSet) -> Command {
    let [_, high, middle, low] = pcrs.mask().to_be_bytes();
    command.u32(1).u16(hash_id(bank)).u8(3).raw(&[low, middle, high])
}

const RH_OWNER: u32 = 0x4000_0001;
const RH_NULL: u32 = 0x4000_0007;
const RH_ENDORSEMENT: u32 = 0x4000_000b;
/// `TPMA_NV_AUTHREAD` (Part 2, 13.4).
const NV_AUTHREAD: u32 = 0x0004_0000;
const SE_POLICY: u8 = 1;
const CAP_HANDLES: u32 = 1;
const CAP_PCRS: u32 = 5;
const CAP_TPM_PROPERTIES: u32 = 6;
/// A TPM has at most this many banks (`HASH_COUNT` of any known one is below).
const MAX_BANKS: u32 = 16;
/// More NV indices than a range of certificates has.
const MAX_HANDLES: usize = 512;
/// Pauses double up to the longest, some six seconds in all.
const FIRST_PAUSE: Duration = Duration::from_millis(25);
const LONGEST_PAUSE: Duration = Duration::from_secs(4);
