//! `TPM_RC` (TPM 2.0 Library Part 2, 6.6): what a TPM says instead of doing something, in words.

use std::fmt;

/// A response code that is not success.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ResponseCode(pub(crate) u32);

impl ResponseCode {
    /// The code without what it says of the place: `TPM_RC_VALUE` is the same for every parameter.
    const fn kind(self) -> u32 {
        if self.is_format_one() { self.0 & 0xbf } else { self.0 & 0xfff }
    }

    /// Format-one codes name a handle, session or parameter (Part 2, 6.6.2).
    const fn is_format_one(self) -> bool {
        self.0 & 0x80 != 0
    }

    /// Which argument of the command is meant.
    fn place(self) -> Option<String> {
        let number = self.0 >> 8 & 0xf;
        if !self.is_format_one() || number == 0 {
            return None;
        }
        Some(match (self.0 & 0x40 != 0, number >= 8) {
            (true, _) => format!("parameter {number}"),
            (false, true) => format!("session {}", number - 8),
            (false, false) => format!("handle {number}"),
        })
    }

    fn entry(self) -> Option<&'static Entry> {
        CODES.iter().find(|entry| entry.code == self.kind())
    }

    /// Whether the same command may succeed when it is sent again (Part 2, 6.6.3: warnings).
    pub(crate) const fn is_transient(self) -> bool {
        matches!(self.kind(), RC_NV_RATE | RC_RETRY | RC_TESTING | RC_YIELDED)
    }

    /// Whether the blobs of a key are of another TPM, or of this one before it was cleared.
    pub(crate) const fn is_foreign_key(self) -> bool {
        matches!(self.kind(), RC_BINDING | RC_INTEGRITY | RC_SENSITIVE)
    }

    /// What a person can do about it.
    pub(crate) fn advice(self) -> Option<&'static str> {
        self.entry().map(|entry| entry.advice).filter(|advice| !advice.is_empty())
    }
}

impl fmt::Display for ResponseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.entry() {
            Some(entry) => write!(f, "{} ({}, 0x{:03x}", entry.words, entry.name, self.0)?,
            None => write!(f, "it answered with a code that is not known here (0x{:03x}", self.0)?,
        }
        match self.place() {
            Some(place) => write!(f, ", {place})"),
            None => f.write_str(")"),
        }
    }
}

struct Entry {
    code: u32,
    name: &'static str,
    words: &'static str,
    advice: &'static str,
}

const fn entry(code: u32, name: &'static str, words: &'static str, advice: &'static str) -> Entry {
    Entry { code, name, words, advice }
}

const RC_BINDING: u32 = 0x0a5;
const RC_INTEGRITY: u32 = 0x09f;
const RC_NV_RATE: u32 = 0x920;
const RC_RETRY: u32 = 0x922;
const RC_SENSITIVE: u32 = 0x155;
const RC_TESTING: u32 = 0x90a;
const RC_YIELDED: u32 = 0x908;

const PASSWORD: &str =
    "the endorsement hierarchy of this TPM has a password; give it with `--endorsement-auth-file`";
const CROWDED: &str = "use a resource manager (`/dev/tpmrm0`, not `/dev/tpm0`), or flush what others left with `tpm2_flushcontext -t`";
const UNSUPPORTED: &str =
    "this TPM does not have an algorithm that is needed; try the other `--key-algorithm`";

/// Those that the commands used here can meet.
const CODES: &[Entry] = &[
    entry(0x081, "TPM_RC_ASYMMETRIC", "the asymmetric algorithm is not supported", UNSUPPORTED),
    entry(0x082, "TPM_RC_ATTRIBUTES", "the attributes do not fit", ""),
    entry(0x083, "TPM_RC_HASH", "the hash algorithm is not supported", UNSUPPORTED),
    entry(0x084, "TPM_RC_VALUE", "a value is out of range or not consistent", ""),
    entry(
        0x085,
        "TPM_RC_HIERARCHY",
        "the hierarchy is disabled or wrong",
        "enable the endorsement hierarchy of the TPM",
    ),
    entry(0x08a, "TPM_RC_TYPE", "the type of the object does not fit", ""),
    entry(0x08b, "TPM_RC_HANDLE", "the handle names nothing", ""),
    entry(0x08e, "TPM_RC_AUTH_FAIL", "the authorisation failed", PASSWORD),
    entry(0x092, "TPM_RC_SCHEME", "the scheme is not supported", UNSUPPORTED),
    entry(0x095, "TPM_RC_SIZE", "a structure has the wrong size", ""),
    entry(0x096, "TPM_RC_SYMMETRIC", "the symmetric algorithm is not supported", UNSUPPORTED),
    entry(0x09a, "TPM_RC_INSUFFICIENT", "the command ends too early", ""),
    entry(0x09d, "TPM_RC_POLICY_FAIL", "the policy of the key was not satisfied", ""),
    entry(RC_INTEGRITY, "TPM_RC_INTEGRITY", "the data was not made for this key or TPM", ""),
    entry(0x0a2, "TPM_RC_BAD_AUTH", "the password is wrong", PASSWORD),
    entry(RC_BINDING, "TPM_RC_BINDING", "the two parts of a key do not belong together", ""),
    entry(0x0a6, "TPM_RC_CURVE", "the curve is not supported", UNSUPPORTED),
    entry(
        0x100,
        "TPM_RC_INITIALIZE",
        "the TPM was not started",
        "firmware or kernel does that; start swtpm with `--flags not-need-init,startup-clear`",
    ),
    entry(0x101, "TPM_RC_FAILURE", "the TPM is in failure mode", "only a power cycle ends that"),
    entry(0x120, "TPM_RC_DISABLED", "the command is disabled", ""),
    entry(0x143, "TPM_RC_COMMAND_CODE", "the command is not supported", "the TPM is too old"),
    entry(0x146, "TPM_RC_NV_RANGE", "the NV index ends earlier", ""),
    entry(0x148, "TPM_RC_NV_LOCKED", "the NV index is locked", ""),
    entry(0x149, "TPM_RC_NV_AUTHORIZATION", "the NV index cannot be read this way", ""),
    entry(0x14a, "TPM_RC_NV_UNINITIALIZED", "the NV index was never written", ""),
    entry(RC_SENSITIVE, "TPM_RC_SENSITIVE", "the private part of a key cannot be read", ""),
    entry(0x902, "TPM_RC_OBJECT_MEMORY", "there is no room for another key", CROWDED),
    entry(0x903, "TPM_RC_SESSION_MEMORY", "there is no room for another session", CROWDED),
    entry(0x904, "TPM_RC_MEMORY", "the TPM has no memory left", CROWDED),
    entry(0x905, "TPM_RC_SESSION_HANDLES", "there is no session handle left", CROWDED),
    entry(0x906, "TPM_RC_OBJECT_HANDLES", "there is no object handle left", CROWDED),
    entry(0x907, "TPM_RC_LOCALITY", "the locality does not fit", ""),
    entry(RC_YIELDED, "TPM_RC_YIELDED", "the TPM was busy with something else", "try again"),
    entry(0x909, "TPM_RC_CANCELED", "the command was cancelled", "try again"),
    entry(RC_TESTING, "TPM_RC_TESTING", "the TPM is testing itself", "try again"),
    entry(RC_NV_RATE, "TPM_RC_NV_RATE", "the TPM writes its memory no faster", "try again in a minute"),
    entry(
        0x921,
        "TPM_RC_LOCKOUT",
        "the TPM is locked after wrong passwords",
        "wait for it to end, or end it with `tpm2_dictionarylockout --clear-lockout`",
    ),
    entry(RC_RETRY, "TPM_RC_RETRY", "the TPM was not able to start the command", "try again"),
    entry(0x923, "TPM_RC_NV_UNAVAILABLE", "the TPM's memory is not available", "try again"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_words_with_their_place() {
        let shown = |code| ResponseCode(code).to_string();
        assert_eq!(shown(0x9a2), "the password is wrong (TPM_RC_BAD_AUTH, 0x9a2, session 1)");
        assert_eq!(shown(0x18b), "the handle names nothing (TPM_RC_HANDLE, 0x18b, handle 1)");
        assert_eq!(
            shown(0x2c4),
            "a value is out of range or not consistent (TPM_RC_VALUE, 0x2c4, parameter 2)"
        );
        assert_eq!(shown(0x921), "the TPM is locked after wrong passwords (TPM_RC_LOCKOUT, 0x921)");
        assert_eq!(shown(0x07f), "it answered with a code that is not known here (0x07f)");
        assert_eq!(ResponseCode(0x9a2).advice(), Some(PASSWORD));
        assert_eq!(ResponseCode(0x98e).advice(), Some(PASSWORD));
        assert_eq!(ResponseCode(0x18b).advice(), None);
    }

    #[test]
    fn warnings_that_pass_are_told_from_errors() {
        for code in [0x908, 0x90a, 0x920, 0x922] {
            assert!(ResponseCode(code).is_transient());
        }
        for code in [0x921, 0x100, 0x9a2, 0x902] {
            assert!(!ResponseCode(code).is_transient());
        }
        assert!(ResponseCode(0x1df).is_foreign_key());
        assert!(!ResponseCode(0x9a2).is_foreign_key());
    }

    #[test]
    fn no_code_is_listed_twice() {
        for (index, entry) in CODES.iter().enumerate() {
            assert!(CODES.iter().skip(index + 1).all(|other| other.code != entry.code), "{}", entry.name);
        }
    }
}
