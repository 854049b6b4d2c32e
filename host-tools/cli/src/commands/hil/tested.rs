//! The bundle under test: the suite's, or a copy with another policy, signed as on the device.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use gradgate_bundle::Bundle;
use gradgate_bundle::align::AlignedBytes;
use gradgate_bundle::events::EventEvidence;
use gradgate_bundle::keys::parse_secret;
use gradgate_bundle::write::{BundleParts, sign, write};
use gradgate_field::hil::expected::content;

use crate::{enforce, files, policy};

/// See the module.
pub struct Tested {
    /// Where the bundle was read.
    pub path: PathBuf,
    /// What must lie on the device.
    pub bytes: AlignedBytes,
    /// What expectations are of: scores do not depend on the policy.
    pub content: String,
}

/// What becomes different in a copy.
pub struct Changes<'a> {
    pub policy: Option<&'a Path>,
    pub enforce_on_dataset: Option<&'a str>,
    pub sign: Option<&'a Path>,
}

impl Tested {
    /// Reads a bundle and makes the changes.
    pub fn read(path: PathBuf, changes: &Changes<'_>) -> Result<Tested> {
        let mut bytes = files::read_bundle(&path)?;
        let content = content(&bytes);
        if let Some(file) = changes.policy {
            let other = with_policy(&bytes, file, changes.enforce_on_dataset);
            bytes = other.with_context(|| path.display().to_string())?;
        }
        if let Some(key) = changes.sign {
            let secret = parse_secret(&files::read_text(key)?);
            let secret = secret.with_context(|| key.display().to_string())?;
            sign(&mut bytes, &secret).with_context(|| path.display().to_string())?;
        }
        Ok(Tested { path, bytes, content })
    }
}

fn with_policy(bytes: &AlignedBytes, file: &Path, named: Option<&str>) -> Result<AlignedBytes> {
    let policy = policy::read(Some(file))?;
    let mut parts = BundleParts::of(&Bundle::parse(bytes)?).context("the bundle's device class")?;
    // Events that were counted show nothing of another policy.
    let (frames, _) = EventEvidence::of(parts.header.evidence.source);
    enforce::check(&policy, frames, named)?;
    parts.header.policy = policy;
    Ok(AlignedBytes::from(&write(&parts)?[..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_changes_the_policy_alone_and_enforces_only_by_name() {
        let folder = tempfile::tempdir().expect("a folder");
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/bundles/signs.gate");
        let policy = folder.path().join("policy.toml");
        let read = |text: &str, enforce_on_dataset: Option<&str>| {
            std::fs::write(&policy, text).expect("written");
            let policy = Some(policy.as_path());
            Tested::read(shipped.clone(), &Changes { policy, enforce_on_dataset, sign: None })
        };
        let own = read("", None).expect("a bundle");
        let slow = read("frame_period_us = 900000", None).expect("a bundle");
        assert_eq!(own.content, slow.content);
        assert_ne!(own.bytes[..], slow.bytes[..]);
        let bundle = Bundle::parse(&slow.bytes).expect("a bundle");
        assert_eq!(bundle.header().policy.frame_period_us, 900_000);
        let mut back = BundleParts::of(&bundle).expect("known");
        back.header.policy = Bundle::parse(&own.bytes).expect("a bundle").header().policy;
        assert_eq!(write(&back).expect("a bundle")[..], own.bytes[..]);

        let frames = "signs:calibration:n=6000";
        for (named, good) in [(None, false), (Some("others"), false), (Some(frames), true)] {
            assert_eq!(read("mode = \"enforce\"", named).is_ok(), good, "{named:?}");
        }
    }
}
