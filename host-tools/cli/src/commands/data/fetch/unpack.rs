//! Archives into a folder: unpacked beside it, moved into place once that was done to the end.

use std::fs::{self, File};
use std::io::{self, BufReader};
use std::path::Path;

use anyhow::{Context, Result, bail};
use flate2::read::GzDecoder;
use tar::EntryType;
use zip::ZipArchive;

/// Unpacks a .tar.gz or .zip; how many files that were.
///
/// # Errors
/// When the archive is damaged or has names that lead out of the folder; the folder is then as
/// before.
pub fn unpack(archive: &Path, folder: &Path) -> Result<usize> {
    let name = archive.file_name().unwrap_or_default().to_string_lossy();
    let aside = folder.join(format!(".{name}.unpacking"));
    // What a killed run left.
    let _ = fs::remove_dir_all(&aside);
    let attempt = || -> Result<usize> {
        fs::create_dir_all(&aside)?;
        let file = BufReader::new(File::open(archive)?);
        let count = if name.ends_with(".zip") { zip(file, &aside)? } else { tar(file, &aside)? };
        merge(&aside, folder)?;
        Ok(count)
    };
    let result = attempt().with_context(|| format!("cannot unpack {}", archive.display()));
    // The first error is the one to report.
    let _ = fs::remove_dir_all(&aside);
    result
}

fn tar(file: BufReader<File>, folder: &Path) -> Result<usize> {
    let mut archive = tar::Archive::new(GzDecoder::new(file));
    archive.set_preserve_mtime(false);
    let mut count = 0;
    for entry in archive.entries()? {
        let mut entry = entry?;
        let kind = entry.header().entry_type();
        match kind {
            EntryType::Regular | EntryType::Directory => {}
            EntryType::XGlobalHeader => continue,
            _ => bail!("{} is a link or a device", entry.path()?.display()),
        }
        if !entry.unpack_in(folder)? {
            bail!("{} leads out of the folder", entry.path()?.display());
        }
        count += usize::from(kind == EntryType::Regular);
    }
    Ok(count)
}

fn zip(file: BufReader<File>, folder: &Path) -> Result<usize> {
    let mut archive = ZipArchive::new(file)?;
    let mut count = 0;
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index)?;
        let Some(name) = entry.enclosed_name().filter(|_| !entry.is_symlink()) else {
            bail!("{} is a link or leads out of the folder", entry.name()?);
        };
        let path = folder.join(name);
        if entry.is_dir() {
            fs::create_dir_all(&path)?;
            continue;
        }
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        io::copy(&mut entry, &mut File::create(&path)?)?;
        count += 1;
    }
    Ok(count)
}

/// Moves what is in one folder into another, folder by folder; files there are replaced.
fn merge(from: &Path, to: &Path) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() && target.is_dir() {
            merge(&entry.path(), &target)?;
        } else {
            fs::rename(entry.path(), target)?;
        }
    }
    Ok(())
}
