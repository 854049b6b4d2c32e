//! A whole set, file by file: fetched, checked, unpacked, whatever of that is not done yet.

use std::path::Path;

use anyhow::{Context, Result};
use gradgate_frames::known::{KnownFile, KnownSet, Presence};

use super::{by_hand, download, unpack};
use crate::output::print;
use crate::progress;

/// Fetches what is missing of a set.
pub fn fetch(set: &KnownSet, folder: &Path, mirror: Option<&str>) -> Result<()> {
    std::fs::create_dir_all(folder)
        .with_context(|| format!("cannot make the folder {}", folder.display()))?;
    for file in set.files {
        one(set, file, folder, mirror)?;
    }
    for frames in set.frames {
        print(&format!("ready: {}\n", folder.join(frames).display()))?;
    }
    Ok(())
}

fn one(set: &KnownSet, file: &KnownFile, folder: &Path, mirror: Option<&str>) -> Result<()> {
    let path = folder.join(file.name);
    if file.presence(folder) == Presence::Unpacked {
        return print(&format!("{}: unpacked already\n", file.name));
    }
    if path.exists() {
        let bar = progress::bytes(file.bytes, 0, file.name);
        let result = file.check(&path, |count| bar.inc(count));
        bar.finish_and_clear();
        result?;
    } else {
        let mirrored = mirror.map(|at| format!("{}/{}", at.trim_end_matches('/'), file.name));
        let addresses = match &mirrored {
            Some(address) => vec![address.as_str()],
            None => file.addresses.to_vec(),
        };
        download::download(file, &addresses, folder).map_err(|error| {
            let advice = by_hand(set, file, folder);
            anyhow::anyhow!("{error:#}; {advice}")
        })?;
    }
    let digest = file.digest.map_or("no official checksum".to_owned(), |d| d.to_string());
    print(&format!("{}: right, {digest}\n", file.name))?;
    if !file.unpacked.is_empty() {
        let count = unpack::unpack(&path, folder)?;
        print(&format!("{}: {count} files unpacked\n", file.name))?;
    }
    Ok(())
}
