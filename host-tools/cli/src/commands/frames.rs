//! `gradgate frames`: what frames look like, on a contact sheet or in files.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use gradgate_frames::signs::{Spec, contact_sheet};
use gradgate_frames::{Frame, Frames, save_png, write_images_safetensors};

use crate::frames::{FramesArgs, exit_code};
use crate::output::{plain, print};
use crate::parallel::{self, ThreadsArgs};
use crate::sheet::{self, Row};
use crate::{files, interrupt, progress};

/// Look at frames, or save them: a contact sheet, safetensors or a folder of pictures.
///
/// OUT ends in .png: a contact sheet, with a row for each class or track. In .safetensors: all
/// frames with labels and sources. Anything else is a new folder of PNG files, with a sub-folder
/// for each class.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  gradgate frames signs:train -o sheet.png
  gradgate frames signs:sequence -o tracks.png
  gradgate frames photos/ --side 96 --fault lens-dirt:4 -o dirty.png
  gradgate frames signs:train:n=8000 -o train.safetensors")]
pub struct Args {
    #[command(flatten)]
    frames: FramesArgs,
    /// Where they go; the ending says as what
    #[arg(short, long, value_name = "OUT")]
    output: PathBuf,
    /// Rows and columns of a frame [default: 32; for signs what they are drawn at]
    #[arg(long, value_name = "N", allow_negative_numbers = true,
          value_parser = clap::value_parser!(u64).range(1..=4096))]
    side: Option<u64>,
    /// Most rows of a contact sheet
    #[arg(long, value_name = "N", default_value_t = 16, allow_negative_numbers = true,
          value_parser = clap::value_parser!(u64).range(1..=256))]
    rows: u64,
    /// Most frames in a row of a contact sheet
    #[arg(long, value_name = "N", default_value_t = 16, allow_negative_numbers = true,
          value_parser = clap::value_parser!(u64).range(1..=256))]
    columns: u64,
    #[command(flatten)]
    threads: ThreadsArgs,
}

/// Runs the subcommand.
pub fn run(args: Args) -> Result<ExitCode> {
    files::check_apart(&args.output, &args.frames.paths())?;
    let size = args.side.map_or_else(|| drawn_size(&args.frames.frames), |side| side as usize);
    let frames = args.frames.open([size, size, 3])?;
    match args.output.extension().and_then(|ending| ending.to_str()) {
        Some("png") => save_sheet(&args, &frames)?,
        Some("safetensors") => {
            files::check_writable(&args.output)?;
            let all = read(&frames, &(0..frames.len()).collect::<Vec<_>>(), args.threads)?;
            let _whole_files_only = interrupt::writing();
            write_images_safetensors(&args.output, &all, frames.shape())?;
        }
        _ => save_folder(&args, &frames)?,
    }
    Ok(exit_code(&frames))
}

/// The size that the first signs are drawn at.
fn drawn_size(paths: &[PathBuf]) -> usize {
    let spec = |path: &PathBuf| Spec::parse(path.to_str()?).ok();
    paths.iter().find_map(spec).map_or(32, |spec| spec.size)
}

/// Frames of these numbers, in this order.
fn read(frames: &Frames, numbers: &[usize], threads: ThreadsArgs) -> Result<Vec<Frame>> {
    let mut all = Vec::new();
    let bar = progress::frames(numbers.len(), "frames");
    let threads = threads.count(numbers.len());
    let work = |(): &mut (), frame: Result<Frame, _>| Ok(frame?);
    parallel::for_each_of(
        frames,
        numbers,
        threads,
        &bar,
        || (),
        work,
        |_, frame| {
            all.push(frame);
            Ok(())
        },
    )?;
    Ok(all)
}

fn save_sheet(args: &Args, frames: &Frames) -> Result<()> {
    files::check_writable(&args.output)?;
    let mut marks = Vec::new();
    let bar = progress::frames(frames.len(), "labels");
    let threads = args.threads.count(frames.len());
    let work = |(): &mut (), frame: Result<Frame, _>| {
        let frame: Frame = frame?;
        Ok((frame.label, frame.source))
    };
    parallel::for_each(
        frames,
        threads,
        &bar,
        || (),
        work,
        |_, mark| {
            marks.push(mark);
            Ok(())
        },
    )?;
    let columns = args.columns as usize;
    let rows = sheet::arrange(&marks, args.rows as usize, columns);
    let numbers: Vec<usize> = rows.iter().flat_map(|row| row.frames.iter().copied()).collect();
    let mut pictures = read(frames, &numbers, args.threads)?.into_iter();
    let mut cells = Vec::new();
    for row in &rows {
        let count = row.frames.len();
        cells.extend(pictures.by_ref().take(count).map(|frame| frame.pixels.to_u8()));
        // A short row ends in white.
        cells.extend((count..columns).map(|_| Vec::new()));
    }
    let sheet = contact_sheet(&cells, frames.shape()[0], columns);
    let _whole_files_only = interrupt::writing();
    save_png(&args.output, &sheet.pixels, sheet.shape)?;
    print(&describe(&rows, frames.class_names()))
}

/// The rows of a sheet in words, from top to bottom.
fn describe(rows: &[Row], classes: &[String]) -> String {
    let name = |label: i64| match usize::try_from(label).ok().and_then(|i| classes.get(i)) {
        Some(name) => plain(name),
        None => format!("class {label}"),
    };
    let words = rows.iter().filter_map(|row| match (row.source, row.label) {
        (Some(source), Some(label)) => Some(format!("source {source} ({})", name(label))),
        (Some(source), None) => Some(format!("source {source}")),
        (None, Some(label)) => Some(name(label)),
        (None, None) => None,
    });
    let words: Vec<String> = words.collect();
    if words.is_empty() { String::new() } else { format!("rows: {}\n", words.join(", ")) }
}

/// Fills a neighbour first, so that the folder is there whole or not at all.
fn save_folder(args: &Args, frames: &Frames) -> Result<()> {
    let folder = &args.output;
    let name = folder.display();
    if folder.exists() {
        bail!(
            "{name} exists already: name a new folder, or a file that ends in .png or .safetensors"
        );
    }
    let neighbour = files::neighbour(folder)?;
    std::fs::create_dir(&neighbour).with_context(|| format!("cannot write {name}"))?;
    let filled = fill(&neighbour, frames, args.threads).and_then(|()| {
        std::fs::rename(&neighbour, folder).with_context(|| format!("cannot write {name}"))
    });
    if filled.is_err() {
        // The first error is the one to report.
        let _ = std::fs::remove_dir_all(&neighbour);
    }
    filled
}

fn fill(folder: &Path, frames: &Frames, threads: ThreadsArgs) -> Result<()> {
    let bar = progress::frames(frames.len(), "pictures");
    let digits = frames.len().to_string().len();
    let shape = frames.shape();
    let threads = threads.count(frames.len());
    let work = |(): &mut (), frame: Result<Frame, _>| Ok(frame?);
    parallel::for_each(
        frames,
        threads,
        &bar,
        || (),
        work,
        |index, frame| {
            let class = match frame.label {
                None => folder.to_owned(),
                Some(label) => {
                    let names = frames.class_names();
                    let name = usize::try_from(label).ok().and_then(|i| names.get(i));
                    folder.join(name.cloned().unwrap_or_else(|| label.to_string()))
                }
            };
            std::fs::create_dir_all(&class)
                .with_context(|| format!("cannot make {}", class.display()))?;
            Ok(save_png(&class.join(format!("{index:0digits$}.png")), &frame.pixels, shape)?)
        },
    )
}
