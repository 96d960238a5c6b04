//! The path from boot loader to kernel: what PCRs 4, 8, 9, 11 and 12 say of shim, GRUB, systemd-boot and
//! unified kernel images (TCG PC Client Platform Firmware Profile, 3.3.4.5; GRUB manual, "Measured
//! Boot"; systemd, `TPM2_PCR_MEASUREMENTS`; UAPI.5).

use super::content::{Content, GrubText, Measured};
use super::replay::is_separator;

/// What was started, and with which arguments.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BootPath<'a> {
    /// The digests of PCR 4 that are no action or separator: Authenticode digests of the images that were
    /// loaded, in order.
    pub images: Vec<&'a [u8]>,
    /// Whether firmware called a boot application.
    pub called_application: bool,
    /// Whether the operating system took over.
    pub exited_boot_services: bool,
    /// The commands GRUB ran, in order.
    pub grub_commands: Vec<&'a str>,
    /// How many events of PCR 8 are none of GRUB whose text was measured: if there are any, commands may be
    /// missing above.
    pub unread_commands: usize,
    /// The digests of PCR 9, in order: files that GRUB read, or the initrd of the kernel's EFI stub.
    pub files: Vec<&'a [u8]>,
    /// The command line of the kernel, as it shows in `/proc/cmdline`.
    pub kernel_command_line: Option<String>,
    /// The sections of the unified kernel image, with the digests of their contents.
    pub uki_sections: Vec<(String, &'a [u8])>,
}

impl<'a> BootPath<'a> {
    /// Reads the events of PCRs 4, 5, 8, 9, 11 and 12.
    ///
    /// GRUB's command line counts only if GRUB also measured the command that sets it, and there is just
    /// one: the prefix that tells commands and command lines apart is not measured.
    #[must_use]
    pub fn of(events: &[Measured<'a>]) -> Self {
        let mut path = Self::default();
        let mut command_lines = Vec::new();
        let mut texts = Vec::new();
        let mut section = None;
        for event in events {
            let digest = event.digest;
            match (event.event.pcr, &event.content) {
                (4 | 5, Content::Action(text)) => {
                    path.called_application |= *text == "Calling EFI Application from Boot Option";
                    path.exited_boot_services |= *text == "Exit Boot Services Returned with Success";
                }
                (4, _) if !is_separator(event) => path.images.extend(digest),
                (8, Content::Grub { claimed: GrubText::KernelCommandLine, text }) => {
                    command_lines.push(*text);
                }
                (8, Content::Grub { claimed: GrubText::Command, text }) => path.grub_commands.push(text),
                (8, Content::Grub { claimed: GrubText::ModuleCommandLine, .. }) => {}
                (9, _) => path.files.extend(digest),
                (11, Content::UkiSection(name)) => {
                    section = Some(name.clone());
                    continue;
                }
                (11, Content::Unbound) => {
                    path.uki_sections.extend(section.take().zip(digest));
                }
                // Before version 251, systemd's stub measured it into PCR 8.
                (8 | 12, Content::Text(text)) => texts.push(text.clone()),
                (8, _) => path.unread_commands += 1,
                _ => {}
            }
            section = None;
        }
        path.kernel_command_line = path.command_line(&command_lines, &texts);
        path
    }

    fn command_line(&self, grub: &[&str], stub: &[String]) -> Option<String> {
        match (grub, stub) {
            ([line], _) if self.grub_commands.iter().any(|command| sets(command, line)) => {
                // The kernel sees the path of its image as `BOOT_IMAGE`.
                Some(format!("BOOT_IMAGE={line}"))
            }
            ([], [line]) => Some(line.clone()),
            // The loader and the stub measure the same line.
            ([], [first, second]) if first == second => Some(first.clone()),
            _ => None,
        }
    }
}

/// Whether a GRUB command loads a kernel with this command line, which GRUB quotes in its own way.
fn sets(command: &str, line: &str) -> bool {
    let Some((name, arguments)) = command.split_once(' ') else { return false };
    let plain = |text: &str| text.replace(['"', '\'', '\\'], "");
    ["linux", "linux16", "linuxefi"].contains(&name) && plain(arguments) == plain(line)
}
