//! Commands and answers as bytes (TPM 2.0 Library Part 1, 18; Part 3, 4). Big-endian.

use evidence::{ReadError, Reader};

use super::error::TpmError;
use super::response_code::ResponseCode;

/// How the use of a handle is authorised.
pub(super) enum Authorization<'a> {
    /// With the password of what the handle names; empty for most.
    Password(&'a [u8]),
    /// By a policy session, which ends with the command.
    Policy(u32),
}

/// A command being written.
pub(super) struct Command {
    name: &'static str,
    bytes: Vec<u8>,
    has_sessions: bool,
}

impl Command {
    /// Header, handles and authorisations: the first of these are for the first handles.
    pub(super) fn new(
        name: &'static str,
        code: u32,
        handles: &[u32],
        authorizations: &[Authorization<'_>],
    ) -> Self {
        let has_sessions = !authorizations.is_empty();
        let tag = if has_sessions { TAG_SESSIONS } else { TAG_NO_SESSIONS };
        // The length is known at the end.
        let mut command = Self { name, bytes: Vec::new(), has_sessions }.u16(tag).u32(0).u32(code);
        for handle in handles {
            command = command.u32(*handle);
        }
        if has_sessions {
            let mut area = Self { name, bytes: Vec::new(), has_sessions };
            for authorization in authorizations {
                let (session, password) = match authorization {
                    Authorization::Password(password) => (RS_PW, *password),
                    Authorization::Policy(session) => (*session, &[][..]),
                };
                // TPMS_AUTH_COMMAND: session, nonce, attributes (continueSession is clear), password.
                area = area.u32(session).sized(&[]).u8(0).sized(password);
            }
            command = command.u32(u32::try_from(area.bytes.len()).unwrap_or(u32::MAX)).raw(&area.bytes);
        }
        command
    }

    pub(super) fn u8(mut self, value: u8) -> Self {
        self.bytes.push(value);
        self
    }

    pub(super) fn u16(self, value: u16) -> Self {
        self.raw(&value.to_be_bytes())
    }

    pub(super) fn u32(self, value: u32) -> Self {
        self.raw(&value.to_be_bytes())
    }

    pub(super) fn raw(mut self, bytes: &[u8]) -> Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    /// A `TPM2B`. One that is too long for its length makes a command that [`Self::finish`] refuses.
    pub(super) fn sized(self, bytes: &[u8]) -> Self {
        self.u16(u16::try_from(bytes.len()).unwrap_or(u16::MAX)).raw(bytes)
    }

    /// The bytes to send.
    pub(super) fn finish(&self) -> Result<Vec<u8>, TpmError> {
        let length = self.bytes.len();
        match u32::try_from(length) {
            Ok(size) if length <= MAX_BYTES => {
                let mut bytes = self.bytes.clone();
                bytes.splice(2..6, size.to_be_bytes());
                Ok(bytes)
            }
            _ => Err(TpmError::CommandTooLong { command: self.name, length }),
        }
    }

    pub(super) const fn name(&self) -> &'static str {
        self.name
    }

    pub(super) const fn has_sessions(&self) -> bool {
        self.has_sessions
    }
}

/// The answer to a command that succeeded.
pub(super) struct Answer {
    command: &'static str,
    has_sessions: bool,
    /// What follows the header.
    body: Vec<u8>,
}

impl Answer {
    /// Takes the bytes a TPM sent as its answer to a command.
    pub(super) fn parse(command: &'static str, has_sessions: bool, bytes: &[u8]) -> Result<Self, TpmError> {
        let (tag, size, code, body) = Reader::all(bytes, "response header", |r| {
            Ok::<_, ReadError>((r.u16_be("tag")?, r.u32_be("size")?, r.u32_be("code")?, r.rest()))
        })
        .map_err(|error| TpmError::malformed(command, &error))?;
        let wrong = |reason: String| Err(TpmError::Answer { command, reason });
        if usize::try_from(size) != Ok(bytes.len()) {
            return wrong(format!("it says {size} bytes and has {}", bytes.len()));
        }
        if code != 0 {
            return Err(TpmError::Refused { command, code: ResponseCode(code) });
        }
        let expected = if has_sessions { TAG_SESSIONS } else { TAG_NO_SESSIONS };
        if tag != expected {
            return wrong(format!("its tag is 0x{tag:04x}, not 0x{expected:04x}"));
        }
        Ok(Self { command, has_sessions, body: body.to_vec() })
    }

    /// Reads the parameters, all of them.
    pub(super) fn parameters<T>(
        &self,
        fields: impl FnOnce(&mut Reader<'_>) -> Result<T, ReadError>,
    ) -> Result<T, TpmError> {
        self.read(|r| {
            let parameters = self.parameter_area(r)?;
            Reader::all(parameters, self.command, fields)
        })
    }

    /// Reads the handle of what the command made, and the parameters.
    pub(super) fn handle_and_parameters<T>(
        &self,
        fields: impl FnOnce(&mut Reader<'_>) -> Result<T, ReadError>,
    ) -> Result<(u32, T), TpmError> {
        self.read(|r| {
            let handle = r.u32_be("handle")?;
            let parameters = self.parameter_area(r)?;
            Ok((handle, Reader::all(parameters, self.command, fields)?))
        })
    }

    fn read<T>(&self, fields: impl FnOnce(&mut Reader<'_>) -> Result<T, ReadError>) -> Result<T, TpmError> {
        Reader::all(&self.body, self.command, fields)
            .map_err(|error| TpmError::malformed(self.command, &error))
    }

    /// The parameters; with sessions, their acknowledgements follow, which say nothing for passwords and policies.
    fn parameter_area<'a>(&self, r: &mut Reader<'a>) -> Result<&'a [u8], ReadError> {
        if !self.has_sessions {
            return Ok(r.rest());
        }
        let size = r.u32_be("parameterSize")?;
        let parameters = r.take_u32("parameters", size)?;
        r.rest();
        Ok(parameters)
    }
}

const TAG_NO_SESSIONS: u16 = 0x8001;
const TAG_SESSIONS: u16 = 0x8002;
/// `TPM_RS_PW`: the authorisation is a password.
const RS_PW: u32 = 0x4000_0009;
/// Of a command or an answer: what the kernel's driver takes (`TPM_BUFSIZE`).
pub(super) const MAX_BYTES: usize = 4096;
/// Tag, length and code.
pub(super) const HEADER_BYTES: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_without_authorisation() {
        // TPM2_PCR_Read of PCRs 0 and 8 of the SHA-256 bank.
        let command = Command::new("TPM2_PCR_Read", 0x17e, &[], &[]).u32(1).u16(0x0b).u8(3).raw(&[1, 1, 0]);
        assert!(!command.has_sessions());
        assert_eq!(hex::encode(command.finish().unwrap()), "8001000000140000017e00000001000b03010100");
    }

    #[test]
    fn authorisations_stand_between_handles_and_parameters() {
        // TPM2_PolicySecret of the endorsement hierarchy with the password `pw` for session 0x03000000.
        let command = Command::new(
            "TPM2_PolicySecret",
            0x151,
            &[0x4000_000b, 0x0300_0000],
            &[Authorization::Password(b"pw")],
        );
        let bytes = command.sized(&[]).sized(&[]).sized(&[]).u32(0).finish().unwrap();
        assert_eq!(
            hex::encode(bytes),
            "80020000002b000001514000000b030000000000000b4000000900000000027077\
             00000000000000000000"
        );
        let two = [Authorization::Password(&[]), Authorization::Policy(0x0300_0001)];
        let bytes = Command::new("x", 0x147, &[1, 2], &two).finish().unwrap();
        assert_eq!(
            hex::encode(bytes),
            "80020000002800000147000000010000000200000012400000090000000000030000010000000000"
        );
    }

    #[test]
    fn a_command_too_long_is_not_sent() {
        let command = Command::new("x", 1, &[], &[]).sized(&vec![0; 0x1_0000]);
        assert!(matches!(command.finish(), Err(TpmError::CommandTooLong { length: 0x1_000c, .. })));
    }

    fn answer(tag: u16, code: u32, body: &[u8]) -> Vec<u8> {
        let size = u32::try_from(10 + body.len()).unwrap();
        [&tag.to_be_bytes()[..], &size.to_be_bytes(), &code.to_be_bytes(), body].concat()
    }

    #[test]
    fn answers_with_and_without_sessions() {
        let plain = answer(TAG_NO_SESSIONS, 0, &[0, 0, 0, 7, 0, 1, 9]);
        let plain = Answer::parse("x", false, &plain).unwrap();
        let (handle, byte) = plain.handle_and_parameters(|r| r.sized("p").map(<[u8]>::to_vec)).unwrap();
        assert_eq!((handle, byte), (7, vec![9]));
        assert!(plain.parameters(|r| r.u8("p")).is_err(), "bytes are left over");
        let sessions = answer(TAG_SESSIONS, 0, &[0, 0, 0, 1, 9, 0, 0, 1, 0, 0]);
        let sessions = Answer::parse("x", true, &sessions).unwrap();
        assert_eq!(sessions.parameters(|r| r.u8("p")).unwrap(), 9);
        assert!(sessions.parameters(|r| r.u16_be("p")).is_err(), "parameters end before the session");
    }

    #[test]
    fn answers_that_are_none() {
        let refused = Answer::parse("x", true, &answer(TAG_NO_SESSIONS, 0x9a2, &[]));
        assert!(matches!(refused, Err(TpmError::Refused { code: ResponseCode(0x9a2), .. })));
        let good = answer(TAG_NO_SESSIONS, 0, &[1]);
        for length in 0..good.len() {
            assert!(matches!(Answer::parse("x", false, &good[..length]), Err(TpmError::Answer { .. })));
        }
        assert!(matches!(Answer::parse("x", true, &good), Err(TpmError::Answer { .. })));
        assert!(Answer::parse("x", false, &[&good[..], &[0]].concat()).is_err());
    }
}
