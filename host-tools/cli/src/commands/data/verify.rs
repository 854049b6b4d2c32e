//! `gradgate data verify`: whether files are what was published.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, bail};
use gradgate_frames::known::{KnownFile, KnownSet, Presence, SETS};

use super::{FolderArgs, named};
use crate::output::print;
use crate::progress;

/// Compare lengths and digests of files with those that are published.
///
/// Exit code 2 when a file is wrong or missing, or nothing is there.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// A known set, or a folder: of one set, or of folders for each
    #[arg(value_name = "NAME|DIR")]
    what: String,
    #[command(flatten)]
    folder: FolderArgs,
}

/// Runs the subcommand.
pub fn run(args: Args) -> Result<ExitCode> {
    let sets = match KnownSet::named(&args.what) {
        Some(set) => vec![(set, args.folder.of(set))],
        None if Path::new(&args.what).is_dir() => sets_in(Path::new(&args.what)),
        None => vec![(named(&args.what)?, PathBuf::new())],
    };
    if sets.is_empty() {
        let hint = "gradgate data list NAME says where each file belongs";
        bail!("{}: no file of a known set is there; {hint}", args.what);
    }
    let (mut text, mut wrong) = (String::new(), 0);
    for (set, folder) in &sets {
        text.push_str(&format!("{} in {}\n", set.name, folder.display()));
        for file in set.files {
            let (line, right) = check(set, file, folder);
            wrong += usize::from(!right);
            text.push_str(&format!("  {line}\n"));
        }
    }
    print(&text)?;
    match wrong {
        0 => Ok(ExitCode::SUCCESS),
        1 => bail!("a file is wrong or missing: see above"),
        _ => bail!("{wrong} files are wrong or missing: see above"),
    }
}

/// Known sets in a folder: its folders of their names, or the set that it is itself.
fn sets_in(folder: &Path) -> Vec<(&'static KnownSet, PathBuf)> {
    let in_folders = SETS.iter().map(|set| (set, folder.join(set.name)));
    let found: Vec<_> = in_folders.filter(|(_, folder)| folder.is_dir()).collect();
    if !found.is_empty() {
        return found;
    }
    // Two sets have files of the same names: the folder's name decides, then how many lengths fit.
    let name = folder.canonicalize().ok();
    let name = name.as_deref().and_then(Path::file_name).unwrap_or_default();
    let fitting = |set: &&KnownSet| {
        let fits = |file: &&KnownFile| {
            matches!(file.presence(folder), Presence::There | Presence::Unpacked)
        };
        set.files.iter().filter(fits).count()
    };
    let present =
        |set: &&KnownSet| set.files.iter().any(|file| file.presence(folder) != Presence::Absent);
    let all = || SETS.iter().filter(present);
    let own = all().find(|set| name == set.name).or_else(|| all().max_by_key(fitting));
    own.map(|set| (set, folder.to_owned())).into_iter().collect()
}

/// A line on one file, and whether it is right.
fn check(set: &KnownSet, file: &KnownFile, folder: &Path) -> (String, bool) {
    let name = file.name;
    let fetch = format!("gradgate data fetch {}", set.name);
    let path = folder.join(name);
    if path.is_file() {
        let bar = progress::bytes(file.bytes, 0, name);
        let result = file.check(&path, |count| bar.inc(count));
        bar.finish_and_clear();
        return match (result, file.digest) {
            (Ok(()), Some(digest)) => (format!("{name}: right, {digest}"), true),
            (Ok(()), None) => (format!("{name}: right length, no official checksum"), true),
            (Err(error), _) => (format!("WRONG {error} ({fetch})"), false),
        };
    }
    match file.presence(folder) {
        Presence::Unpacked => {
            (format!("{name}: unpacked and not kept; the files that it holds are there"), true)
        }
        Presence::Part(bytes) => {
            (format!("MISSING {name}: {bytes} bytes so far; {fetch} goes on"), false)
        }
        _ => (format!("MISSING {name}: {fetch}"), false),
    }
}
