//! The bundle to be sent, and why a device would refuse it: asked before anything is sent.

use gradgate_bundle::Bundle;
use gradgate_bundle::align::AlignedBytes;
use gradgate_bundle::digest::sha256;
use gradgate_bundle::manifest::{CONTAINER_VERSION, DeviceClass, Manifest, PREFIX_BYTES};
use gradgate_bundle::signature::{VerifyingKey, verify};
use gradgate_link::message::Digest;

use crate::device::{Identity, Status, class_name, hex};
use crate::error::Error;

/// A bundle that this host has read whole: parts, digests, and the signature if a key was given.
pub struct Package {
    bytes: AlignedBytes,
    manifest: Manifest,
    identity: Digest,
    model: String,
}

impl Package {
    /// Reads a bundle; with `key`, also its signature.
    ///
    /// # Errors
    /// [`Error::File`], to be read behind the file's name.
    pub fn read(bytes: AlignedBytes, key: Option<&VerifyingKey>) -> Result<Package, Error> {
        let refused = |message: String| Error::File { message };
        let bundle = Bundle::parse(&bytes).map_err(|error| refused(error.to_string()))?;
        let (manifest, model) = (*bundle.manifest(), bundle.header().provenance.model.to_owned());
        if manifest.key_id == [0; 8] {
            let advice = "devices take signed bundles: `gradgate pack .. --sign KEY`";
            return Err(refused(format!("it is not signed, and {advice}")));
        }
        if let Some(key) = key {
            verify(&bytes, key).map_err(|error| refused(error.to_string()))?;
        }
        let identity = sha256(bytes.get(..PREFIX_BYTES).unwrap_or_default());
        Ok(Package { bytes, manifest, identity, model })
    }

    /// All bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Their number.
    pub fn total_bytes(&self) -> u32 {
        self.manifest.total_bytes.get()
    }

    /// Names the bundle: SHA-256 of its first 320 bytes.
    pub fn identity(&self) -> &Digest {
        &self.identity
    }

    /// The model's name.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// First bytes of the SHA-256 of the key that signed it.
    pub fn key_id(&self) -> [u8; 8] {
        self.manifest.key_id
    }

    /// Why this device would refuse it, each with what to do; empty: it suits.
    pub fn problems(&self, device: &Identity, status: &Status) -> Vec<String> {
        let manifest = &self.manifest;
        let class = manifest.device_class.get();
        let (arena, counter) = (manifest.arena_bytes.get(), manifest.security_counter.get());
        let total = self.total_bytes();
        let fits = class == DeviceClass::Any.number() || class == device.device_class;
        let table = [
            (manifest.key_id != status.key_id).then(|| signer(&manifest.key_id, status)),
            (CONTAINER_VERSION > device.container_version).then(|| {
                format!(
                    "it has container version {CONTAINER_VERSION}, the firmware reads up to {}: \
                     update the firmware",
                    device.container_version
                )
            }),
            (!fits).then(|| {
                format!(
                    "it is for {}, the device is {}: pack it with --device-class {}",
                    class_name(class),
                    device.class(),
                    device.class()
                )
            }),
            (arena > device.arena_bytes).then(|| {
                format!(
                    "it needs an arena of {arena} bytes, the device has {}: fewer taps, or \
                     `pack --ram-budget`",
                    device.arena_bytes
                )
            }),
            (total > device.slot_bytes).then(|| {
                format!("it has {total} bytes, a slot holds {}: a smaller model", device.slot_bytes)
            }),
            (counter < device.security_counter).then(|| {
                format!(
                    "its security counter is {counter}, the device takes {} and above: pack it \
                     with a higher --release",
                    device.security_counter
                )
            }),
        ];
        table.into_iter().flatten().collect()
    }
}

/// Whose bundles it takes, and how that is changed.
fn signer(bundle: &[u8; 8], status: &Status) -> String {
    let ours = hex(bundle);
    match status.provisioned {
        true => format!(
            "it is signed by key {ours}, the device takes bundles of key {}: sign it with that \
             one, or `provision` the device with the public half of {ours}",
            hex(&status.key_id)
        ),
        false => format!(
            "the device is new and takes no bundle yet: tell it first to take those of key {ours}: \
             `gradgate provision --device DEVICE --name NAME --key RELEASE.pub --site-key SITE` \
             (`gradgate keygen --site` makes the site's key)"
        ),
    }
}
