//! `gradgate data list`: the table of known sets.

use std::fmt::Write;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use gradgate_frames::known::{KnownFile, KnownSet, Presence, SETS};

use super::{FolderArgs, named};
use crate::output::print;

/// List known sets, and whether they are present; of one set, also addresses and digests.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// A set, to be told all about it
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// Tell all about every set
    #[arg(long, conflicts_with = "name")]
    full: bool,
    #[command(flatten)]
    folder: FolderArgs,
}

/// Runs the subcommand.
pub fn run(args: Args) -> Result<ExitCode> {
    let text = match &args.name {
        Some(name) => details(named(name)?, &args.folder)?,
        None if args.full => {
            let sets: Result<Vec<String>, _> =
                SETS.iter().map(|set| details(set, &args.folder)).collect();
            sets?.join("\n")
        }
        None => table(&args.folder)?,
    };
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn table(folder: &FolderArgs) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    writeln!(text, "{:16} {:>10}  {:24} what", "name", "MB", "here")?;
    for set in &SETS {
        let here = state(set, &folder.of(set));
        writeln!(text, "{:16} {:>10}  {here:24} {}", set.name, megabytes(set.bytes()), set.about)?;
    }
    writeln!(text, "\naddresses, digests, licence: gradgate data list NAME")?;
    Ok(text)
}

fn megabytes(bytes: Option<u64>) -> String {
    bytes.map_or("?".to_owned(), |bytes| format!("{:.1}", bytes as f64 / 1e6))
}

/// What a folder has of a set, in a few words.
fn state(set: &KnownSet, folder: &Path) -> String {
    let found: Vec<Presence> = set.files.iter().map(|file| file.presence(folder)).collect();
    let ready = |(file, presence): &(&KnownFile, &Presence)| match presence {
        Presence::Unpacked => true,
        Presence::There => file.unpacked.is_empty(),
        _ => false,
    };
    let present = set.files.iter().zip(&found).filter(ready).count();
    if present == found.len() {
        return "present".to_owned();
    }
    if let Some(at) = found.iter().position(|p| matches!(p, Presence::OtherLength(_))) {
        return format!("{} differs", set.files[at].name);
    }
    let part: u64 =
        found.iter().map(|p| if let Presence::Part(bytes) = p { *bytes } else { 0 }).sum();
    if part > 0 {
        return format!("{} MB so far", megabytes(Some(part)));
    }
    match (present, found.contains(&Presence::There)) {
        (0, false) => "absent".to_owned(),
        (0, true) => "packed".to_owned(),
        _ => format!("{present} of {} files", found.len()),
    }
}

/// All about a set.
fn details(set: &KnownSet, folder: &FolderArgs) -> Result<String, std::fmt::Error> {
    let here = folder.of(set);
    let mut text = String::new();
    writeln!(text, "{}: {}", set.name, set.about)?;
    writeln!(text, "  page     {}", set.page)?;
    writeln!(text, "  licence  {}", set.licence)?;
    writeln!(text, "  here     {} ({})", state(set, &here), here.display())?;
    for file in set.files {
        let length = file.bytes.map_or("unknown length".to_owned(), |n| format!("{n} bytes"));
        writeln!(text, "  file     {}, {length}", file.name)?;
        match file.digest {
            Some(digest) => writeln!(text, "           {digest} (stated by {})", file.stated_by)?,
            None => writeln!(text, "           no official checksum")?,
        }
        for address in file.addresses {
            writeln!(text, "           {address}")?;
        }
    }
    for frames in set.frames {
        writeln!(text, "  FRAMES   {}", here.join(frames).display())?;
    }
    Ok(text)
}
