//! Everything that measured events say of a boot, and the documented claims made from it.

use serde_json::{Map, Value, json};

use super::content::Measured;
use super::error::ClaimError;
use super::linux::BootPath;
use super::secure_boot::SecureBoot;
use super::windows::WindowsBoot;
use crate::tpm::PcrSet;

/// What measured events say of a boot.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BootClaims<'a> {
    /// What PCR 7 says.
    pub secure_boot: SecureBoot<'a>,
    /// What was started.
    pub path: BootPath<'a>,
    /// What the Windows loader measured, if it did.
    pub windows: Option<WindowsBoot>,
    /// Whether all events of PCRs 12 and 13 are known, so that what is absent there did not happen.
    pub loader_covered: bool,
}

impl<'a> BootClaims<'a> {
    /// Reads measured events. Those of a [`super::MeasuredLog`] are what a TPM vouches for; claims made
    /// from others are what a log says of itself. `covered` are the PCRs whose events are all there.
    ///
    /// # Errors
    /// [`ClaimError`] if the events do not tell a coherent boot.
    pub fn of(events: &[Measured<'a>], covered: PcrSet) -> Result<Self, ClaimError> {
        Ok(Self {
            secure_boot: SecureBoot::of(events)?,
            path: BootPath::of(events),
            windows: WindowsBoot::of(events)?,
            loader_covered: covered.contains(12) && covered.contains(13),
        })
    }

    /// The fixed claims of policies before version 1.2, and the Windows claims under the names of the
    /// documented policies (Azure Attestation documentation, "Claim sets"). What was not measured is
    /// `false`, except for `notSafeMode` and `notWinPE` where the loader's PCRs show that nothing was.
    #[must_use]
    pub fn to_json(&self) -> Map<String, Value> {
        let absent = WindowsBoot { not_safe_mode: true, not_win_pe: true, ..WindowsBoot::default() };
        let windows = self.windows.as_ref().unwrap_or(&absent);
        let mut claims = Map::new();
        let mut put = |name: &str, value: Value| claims.insert(name.to_owned(), value);
        put("secureBootEnabled", json!(self.secure_boot.is_enabled()));
        put("bootDebuggingDisabled", json!(windows.boot_debugging_disabled));
        put("notSafeMode", json!(self.loader_covered && windows.not_safe_mode));
        put("notWinPE", json!(self.loader_covered && windows.not_win_pe));
        put("vbsEnabled", json!(windows.vbs_enabled));
        put("iommuEnabled", json!(windows.iommu_enabled));
        if let Some(windows) = &self.windows {
            put("codeIntegrityEnabled", json!(windows.code_integrity_enabled));
            put("osKernelDebuggingDisabled", json!(windows.os_kernel_debugging_disabled));
            put("testSigningDisabled", json!(windows.test_signing_disabled));
            put("flightSigningNotEnabled", json!(windows.flight_signing_not_enabled));
            put("depPolicy", json!(windows.dep_policy));
            put("vsmEnabled", json!(windows.vbs_enabled));
            put("hvciEnabled", json!(windows.hvci_enabled));
            put("bitlockerStatus", json!(windows.bitlocker_status));
            put("elamDriverLoaded", json!(windows.elam_driver_loaded));
            for (name, version) in
                [("bootMgrSvn", windows.boot_mgr_svn), ("bootAppSvn", windows.boot_app_svn)]
            {
                if let Some(version) = version {
                    put(name, json!(version));
                }
            }
        }
        if let Some(line) = &self.path.kernel_command_line {
            put("kernelCommandLine", json!(line));
        }
        claims
    }
}
