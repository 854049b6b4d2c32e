//! `gradgate evidence`: the frames at which a device's gate closed.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use gradgate_bundle::Bundle;
use gradgate_bundle::align::AlignedBytes;
use gradgate_field::evidence::{Closing, read};
use gradgate_field::words;
use gradgate_frames::{Pixels, png};
use serde_json::{Value, json};

use crate::board::{BoardArgs, at};
use crate::files;
use crate::output::print;

/// Fetch what a device keeps of the last 8 times that its gate closed.
///
/// For each: the model's input as PNG, features as CSV, and why as JSON.
#[derive(clap::Args, Debug)]
#[command(after_help = "Example:
  gradgate evidence --device dock-7 -o monday --bundle net.gate
Exit code: 0 done, 2 an error here, 4 the device refused, 5 no answer or another key,
130 interrupted.")]
pub struct Args {
    /// Folder to be made, or an empty one
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    /// The bundle that ran: names of features and classes, and the picture's shape
    #[arg(long, value_name = "BUNDLE")]
    bundle: Option<PathBuf>,
    #[command(flatten)]
    board: BoardArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// What a bundle tells of evidence.
#[derive(Default)]
struct Known {
    shape: Option<[usize; 3]>,
    features: Vec<String>,
    classes: Vec<String>,
}

/// Runs the subcommand.
pub fn run(args: Args) -> Result<ExitCode> {
    let known = match &args.bundle {
        Some(path) => known(&files::read_bundle(path)?).with_context(|| path.display().to_string()),
        None => Ok(Known::default()),
    }?;
    let folder = files::empty_folder(&args.output)?;
    let (address, mut client) = args.board.client()?;
    let closings = read(&mut client).map_err(|error| at(&address, error))?;
    let written: Vec<Value> =
        closings.iter().map(|closing| write(&folder, closing, &known)).collect::<Result<_>>()?;
    if args.json {
        let device = address.to_string();
        print(&format!("{:#}\n", json!({"device": device, "closings": written})))?;
    } else {
        print(&text(&closings, &args.output))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn known(bytes: &AlignedBytes) -> Result<Known> {
    let bundle = Bundle::parse(bytes)?;
    let (schema, header) = (&bundle.header().schema, bundle.header());
    let names = |list: &str| -> Vec<String> {
        gradgate_bundle::header::names(list).map(str::to_owned).collect()
    };
    let numbered = |what: &str, count: u32| -> Vec<String> {
        (0..count).map(|at| format!("{what}:{at}")).collect()
    };
    let titled = |what: &str, list: &str| -> Vec<String> {
        names(list).into_iter().map(|name| format!("{what}:{name}")).collect()
    };
    let features = [
        numbered("logit", schema.classes),
        titled("squared-norm", schema.parameters),
        titled("activation-norm", schema.layers),
        numbered("penultimate", schema.penultimate),
        titled("alignment", schema.alignments),
    ];
    let input = bundle.manifest().input.map(|side| side.get() as usize);
    Ok(Known { shape: Some(input), features: features.concat(), classes: names(header.classes) })
}

fn write(folder: &Path, closing: &Closing, known: &Known) -> Result<Value> {
    let stem = format!("event-{:04}", closing.event);
    let file = |ending: &str| folder.join(format!("{stem}.{ending}"));
    let picture = match shape(closing, known)? {
        Some(shape) => {
            let bytes =
                png(&Pixels::U8(closing.input.clone()), shape).map_err(anyhow::Error::msg)?;
            files::write_atomic(&file("png"), &bytes)?;
            format!("{stem}.png")
        }
        None => {
            files::write_atomic(&file("raw"), &closing.input)?;
            format!("{stem}.raw")
        }
    };
    files::write_atomic(&file("csv"), csv(closing, known).as_bytes())?;
    let class = usize::from(closing.class);
    let value = json!({
        "event": closing.event,
        "time_us": closing.time_us,
        "closed": words::closed(closing.closed),
        "frame": closing.frame,
        "verdict": words::verdict(closing.verdict),
        "reason": words::judged(closing.reason),
        "class": closing.class,
        "class_name": known.classes.get(class),
        "score": closing.score,
        "features": closing.features,
        "picture": picture,
    });
    files::write_atomic(&file("json"), format!("{value:#}\n").as_bytes())?;
    Ok(value)
}

/// The picture's shape: the bundle's, or a square of grey or colour; `None`: not known.
fn shape(closing: &Closing, known: &Known) -> Result<Option<[usize; 3]>> {
    let length = closing.input.len();
    if let Some(shape) = known.shape {
        if shape.iter().product::<usize>() != length {
            bail!("the picture has {length} bytes, --bundle has {shape:?}: the device ran another");
        }
        return Ok(Some(shape));
    }
    let square = |channels: usize| {
        let side = (length / channels).isqrt();
        (side > 0 && side * side * channels == length).then_some([side, side, channels])
    };
    Ok(square(3).or(square(1)))
}

fn csv(closing: &Closing, known: &Known) -> String {
    let mut text = "number,name,value\n".to_owned();
    let named = known.features.len() == closing.features.len();
    for (at, value) in closing.features.iter().enumerate() {
        let name = if named { known.features[at].replace([',', '"'], "_") } else { String::new() };
        let _ = writeln!(text, "{at},{name},{value}");
    }
    text
}

fn text(closings: &[Closing], folder: &Path) -> String {
    let mut text = String::new();
    for closing in closings {
        let _ = writeln!(
            text,
            "event {:>4} at {:>9.1} s: gate closed ({}), frame {} {} score {}",
            closing.event,
            closing.time_us as f64 / 1e6,
            words::closed(closing.closed),
            closing.frame,
            words::verdict(closing.verdict),
            closing.score,
        );
    }
    let _ = writeln!(text, "{} closings in {}", closings.len(), folder.display());
    text
}
