//! The allow-list: the plugin files that may be loaded.
//!
//! ```toml
//! # plugins.lock
//! [plugins]
//! "/opt/acme/libacme_grabber.so" = { sha256 = "9f86d0...", signature = { key = "acme", ed25519 = "5d41..." } }
//! "vendor/libother.so" = { sha256 = "60303a..." }
//!
//! [keys]
//! acme = "d75a98..."
//! ```
//!
//! Relative paths start at the list's folder. A signature is ed25519, over the 32 bytes of the SHA-256. The
//! plugins that came with the program are always allowed: anyone who can change those can change the program.
//! A signature says where a plugin comes from, not that it is harmless: a loaded plugin may do whatever the
//! host may.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER_PERMISSIVE;
use ed25519_dalek::{Signature, VerifyingKey};
use serde::Deserialize;

use crate::error::{Refusal, toml_reason};
use crate::search::{FoundFile, shipped_folders};

pub struct AllowList {
    shipped: Vec<PathBuf>,
    list: Option<ReadList>,
}

/// The list as read from a file, with absolute paths.
struct ReadList {
    file: PathBuf,
    plugins: BTreeMap<PathBuf, Pin>,
    keys: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListFile {
    #[serde(default)]
    plugins: BTreeMap<PathBuf, Pin>,
    #[serde(default)]
    keys: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Pin {
    sha256: String,
    signature: Option<FileSignature>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileSignature {
    /// The key's name in `[keys]`.
    key: String,
    ed25519: String,
}

impl AllowList {
    /// Allows only the plugins that came with this program.
    pub fn shipped() -> Self {
        AllowList { shipped: shipped_folders(), list: None }
    }

    /// Allows the plugins that came with this program, and those that the list names.
    pub fn read(file: &Path) -> Result<Self, Refusal> {
        let unusable = |reason: String| Refusal::AllowList { path: file.to_owned(), reason };
        let text = fs::read_to_string(file).map_err(|error| unusable(error.to_string()))?;
        let read: ListFile = toml::from_str(&text).map_err(|error| unusable(toml_reason(&text, &error)))?;
        let folder = file.parent().unwrap_or(Path::new("."));
        let absolute = |path: &Path| {
            let path = folder.join(path);
            path.canonicalize().unwrap_or(path)
        };
        let plugins = read.plugins.into_iter().map(|(path, pin)| (absolute(&path), pin)).collect();
        let list = ReadList { file: file.to_owned(), plugins, keys: read.keys };
        Ok(AllowList { shipped: shipped_folders(), list: Some(list) })
    }

    /// Checks whether this file, with these bytes, may be loaded.
    pub fn check(&self, found: &FoundFile) -> Result<(), Refusal> {
        if self.shipped.iter().any(|folder| found.path.parent().is_some_and(|own| own.starts_with(folder))) {
            return Ok(());
        }
        let pin = self.list.as_ref().and_then(|list| Some((list, list.plugins.get(&found.path)?)));
        let Some((list, pin)) = pin else {
            let list = match &self.list {
                Some(list) => list.file.display().to_string(),
                None => "the file that `allow` in the pipeline file names".into(),
            };
            let line = format!("\"{}\" = {{ sha256 = \"{}\" }}", found.path.display(), found.sha256);
            return Err(Refusal::NotAllowed { list, line });
        };
        if pin.sha256 != found.sha256 {
            let (expected, found) = (pin.sha256.clone(), found.sha256.clone());
            return Err(Refusal::Changed { expected, found });
        }
        match &pin.signature {
            Some(signed) => list.verify(signed, &found.sha256),
            None => Ok(()),
        }
    }
}

impl ReadList {
    fn verify(&self, signed: &FileSignature, sha256: &str) -> Result<(), Refusal> {
        let wrong = || Refusal::Signature { key: signed.key.clone() };
        let key = self.keys.get(&signed.key).ok_or_else(|| Refusal::AllowList {
            path: self.file.clone(),
            reason: format!(
                "a plugin is signed by `{}`, which is not in [keys]; add its public key there",
                signed.key
            ),
        })?;
        let key = unhex(key).and_then(|bytes| VerifyingKey::from_bytes(&bytes).ok()).ok_or_else(|| {
            let reason = format!("the key `{}` is not 32 bytes of ed25519 in hexadecimal", signed.key);
            Refusal::AllowList { path: self.file.clone(), reason }
        })?;
        let signature = unhex(&signed.ed25519).ok_or_else(wrong)?;
        let hash: [u8; 32] = unhex(sha256).ok_or_else(wrong)?;
        key.verify_strict(&hash, &Signature::from_bytes(&signature)).map_err(|_| wrong())
    }
}

fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use ed25519_dalek::{Signer, SigningKey};

    use super::*;
    use crate::descriptor::EntryPoint;

    const SHA256: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

    /// Checks a plugin whose hash is signed by `signer`; the list has the key of [`acme`].
    fn check(signer: &SigningKey, signed_hash: &str) -> Result<(), Refusal> {
        let hash: [u8; 32] = unhex(signed_hash).unwrap();
        let signature = HEXLOWER_PERMISSIVE.encode(&signer.sign(&hash).to_bytes());
        let key = HEXLOWER_PERMISSIVE.encode(acme().verifying_key().as_bytes());
        let text = format!(
            "[plugins]\n\"/x.so\" = {{ sha256 = \"{SHA256}\", signature = {{ key = \"acme\", ed25519 = \"{signature}\" }} }}\n\
             [keys]\nacme = \"{key}\"\n"
        );
        let read: ListFile = toml::from_str(&text).unwrap();
        let list = ReadList { file: "plugins.lock".into(), plugins: read.plugins, keys: read.keys };
        let allow = AllowList { shipped: Vec::new(), list: Some(list) };
        let descriptor = Err(Refusal::NoDescriptor);
        allow.check(&FoundFile {
            path: "/x.so".into(),
            sha256: SHA256.into(),
            entry: EntryPoint::Rust,
            descriptor,
        })
    }

    fn acme() -> SigningKey {
        SigningKey::from_bytes(&[7; 32])
    }

    #[test]
    fn a_signature_must_be_by_that_key_over_that_hash() {
        let wrong = Err(Refusal::Signature { key: "acme".into() });
        assert_eq!(check(&acme(), SHA256), Ok(()));
        assert_eq!(check(&SigningKey::from_bytes(&[8; 32]), SHA256), wrong);
        assert_eq!(check(&acme(), &SHA256.replace('9', "8")), wrong);
    }

    #[test]
    fn half_a_signature_is_a_mistake() {
        let text = format!(
            "[plugins]\n\"/x.so\" = {{ sha256 = \"{SHA256}\", signature = {{ ed25519 = \"00\" }} }}\n"
        );
        assert!(toml::from_str::<ListFile>(&text).is_err());
    }
}
