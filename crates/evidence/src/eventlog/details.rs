//! What measured events say of a boot beyond the documented claims, as JSON for people and programs.

use serde_json::{Map, Value, json};

use super::claims::BootClaims;
use super::known_keys;
use super::linux::BootPath;
use super::secure_boot::{KeyDatabase, SecureBoot};
use super::uefi::VariableData;

impl BootClaims<'_> {
    /// `secureBoot` with the key databases, and `bootPath`: images, GRUB, systemd-boot and unified kernel images.
    /// Digests are in lower-case hexadecimal.
    #[must_use]
    pub fn details(&self) -> Map<String, Value> {
        Map::from_iter([
            ("secureBoot".to_owned(), secure_boot(&self.secure_boot)),
            ("bootPath".to_owned(), boot_path(&self.path, self.loaders())),
        ])
    }

    /// Who measured what was read, in the order of a boot. A program that runs before the kernel can extend what
    /// another one would: what ran is for the digests of the images to say.
    fn loaders(&self) -> Vec<&'static str> {
        let path = &self.path;
        let grub = !path.grub_commands.is_empty();
        let found = [
            ("shim", self.secure_boot.sbat_level.is_some()),
            ("grub", grub),
            ("systemd-boot", !grub && path.kernel_command_line.is_some()),
            ("uki", !path.uki_sections.is_empty()),
            ("windows", self.windows.is_some()),
        ];
        found.into_iter().filter(|(_, found)| *found).map(|(name, _)| name).collect()
    }
}

/// Of PCR 7, or of the register that holds it.
pub(crate) fn secure_boot(found: &SecureBoot<'_>) -> Value {
    let database = |database: &Option<KeyDatabase<'_>>| database.as_ref().map_or(Value::Null, key_database);
    let authorities = |list: &[VariableData<'_>]| list.iter().map(authority).collect::<Vec<_>>();
    json!({
        "state": found.state.as_str(),
        "enabled": found.is_enabled(),
        "missing": found.missing,
        "pk": database(&found.pk),
        "kek": database(&found.kek),
        "db": database(&found.db),
        "dbx": database(&found.dbx),
        "driverAuthorities": authorities(&found.driver_authorities),
        "authorities": authorities(&found.authorities),
        "sbatLevel": found.sbat_level.and_then(|text| std::str::from_utf8(text).ok()),
        "debugMode": found.debug_mode,
        "dmaProtectionDisabled": found.dma_protection_disabled,
        "otherVariables": found.other_variables.iter().map(|variable| {
            json!({ "name": variable.name, "guid": variable.guid.to_string(), "sha256": sha256(variable.value) })
        }).collect::<Vec<_>>(),
    })
}

fn key_database(database: &KeyDatabase<'_>) -> Value {
    json!({
        "wellFormed": database.well_formed,
        "certificates": database.certificates.iter().map(|der| certificate(der)).collect::<Vec<_>>(),
        "imageHashes": database.image_hashes.len(),
        "otherEntries": database.other_entries,
    })
}

/// The certificate that allowed an image, which follows its owner (UEFI Specification, `EFI_SIGNATURE_DATA`), which
/// some versions of shim leave out.
fn authority(variable: &VariableData<'_>) -> Value {
    let candidates = [variable.value.get(16..), Some(variable.value)];
    let der = candidates.into_iter().flatten().find(|bytes| known_keys::subject(bytes).is_some());
    let sha256 = if der.is_none() { Some(sha256(variable.value)) } else { None };
    json!({
        "variable": variable.name,
        "guid": variable.guid.to_string(),
        "certificate": der.map(certificate),
        "sha256": sha256,
    })
}

fn certificate(der: &[u8]) -> Value {
    json!({ "subject": known_keys::subject(der), "sha256": sha256(der), "wellKnown": known_keys::name(der) })
}

fn boot_path(path: &BootPath<'_>, loaders: Vec<&str>) -> Value {
    let digests = |list: &[&[u8]]| list.iter().map(hex::encode).collect::<Vec<_>>();
    json!({
        "loaders": loaders,
        "images": digests(&path.images),
        "calledApplication": path.called_application,
        "exitedBootServices": path.exited_boot_services,
        "kernelCommandLine": path.kernel_command_line,
        "grubCommands": path.grub_commands,
        "unreadCommands": path.unread_commands,
        "files": digests(&path.files),
        "ukiSections": path.uki_sections.iter().map(|(name, digest)| {
            json!({ "name": name, "digest": hex::encode(digest) })
        }).collect::<Vec<_>>(),
    })
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(crypto::sha256(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn databases_and_paths_are_shown() {
        let certificate: &[u8] = b"no certificate";
        let database = KeyDatabase {
            value: &[1],
            certificates: vec![certificate],
            image_hashes: vec![&[7; 32], &[8; 32]],
            other_entries: 1,
            well_formed: true,
        };
        let authority = VariableData {
            guid: super::super::guid::IMAGE_SECURITY_DATABASE,
            name: "db".to_owned(),
            value: b"owner of 16 bytes, then no certificate",
        };
        let secure_boot = SecureBoot {
            dbx: Some(database),
            authorities: vec![authority],
            sbat_level: Some(b"sbat,1,2"),
            ..SecureBoot::default()
        };
        let path = BootPath {
            uki_sections: vec![(".linux".to_owned(), &[9])],
            images: vec![&[1, 2]],
            ..BootPath::default()
        };
        let claims = BootClaims { secure_boot, path, ..BootClaims::default() };
        let details = claims.details();
        let shown = &details["secureBoot"];
        assert_eq!(shown["dbx"]["imageHashes"], 2);
        assert_eq!(shown["dbx"]["otherEntries"], 1);
        let digest = sha256(certificate);
        assert_eq!(
            shown["dbx"]["certificates"],
            json!([{ "sha256": digest, "subject": null, "wellKnown": null }])
        );
        assert_eq!(shown["db"], Value::Null);
        assert_eq!(shown["enabled"], false);
        assert_eq!(shown["sbatLevel"], "sbat,1,2");
        assert!(shown["authorities"][0]["sha256"].is_string());
        assert_eq!(details["bootPath"]["ukiSections"], json!([{ "name": ".linux", "digest": "09" }]));
        assert_eq!(details["bootPath"]["images"], json!(["0102"]));
        assert_eq!(details["bootPath"]["loaders"], json!(["shim", "uki"]));
        let path = BootPath { kernel_command_line: Some("quiet".to_owned()), ..BootPath::default() };
        let windows = Some(super::super::WindowsBoot::default());
        let other = BootClaims { path, windows, ..BootClaims::default() };
        assert_eq!(other.details()["bootPath"]["loaders"], json!(["systemd-boot", "windows"]));
    }
}
