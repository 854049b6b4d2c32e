//! `gradgate data`: published sets of images, listed, checked and fetched.

mod fetch;
mod list;
mod verify;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use gradgate_frames::known::{KnownSet, SETS};

/// Published sets of images: what there is, whether files are right, and how to get them.
///
/// A set lies in a folder of its name, as in data/svhn/train_32x32.mat.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  gradgate data list
  gradgate data list svhn
  gradgate data fetch svhn
  gradgate data verify data
  gradgate data verify svhn
  gradgate features net.onnx data/svhn/test_32x32.mat -o svhn.safetensors")]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand, Debug)]
enum Command {
    List(list::Args),
    Verify(verify::Args),
    Fetch(fetch::Args),
}

/// Where sets lie.
#[derive(clap::Args, Clone, Debug)]
struct FolderArgs {
    /// The folder that holds a folder for each set
    #[arg(short = 'o', long = "dir", value_name = "DIR", default_value = "data")]
    folder: PathBuf,
}

impl FolderArgs {
    fn of(&self, set: &KnownSet) -> PathBuf {
        self.folder.join(set.name)
    }
}

/// The set of this name.
fn named(name: &str) -> Result<&'static KnownSet> {
    KnownSet::named(name).with_context(|| {
        let names: Vec<&str> = SETS.iter().map(|set| set.name).collect();
        format!("no known set is called '{name}'; there are {}", names.join(", "))
    })
}

/// Runs the subcommand.
pub fn run(args: Args) -> Result<ExitCode> {
    match args.command {
        Command::List(args) => list::run(args),
        Command::Verify(args) => verify::run(args),
        Command::Fetch(args) => fetch::run(args),
    }
}
