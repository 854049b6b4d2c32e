//! `cargo xtask qemu`: one image on an emulated Cortex-M4F and M7 against the host, bit for bit.
//!
//! `--device` boots the whole device instead, and `--bits N` compares N frames on it (device.rs).
//! The board reads a bundle and a frame through semihosting, so one image serves every model. A
//! case is a folder with `bundle.gate`, `frame.bin` and `expected.txt`, written by the engine on
//! the host; lines that open with `#` are not compared. Counts are instructions, never cycles; a
//! case may have a ceiling for them. `--kernels` prints the convolution kernels' own counts.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::process::{self, End};
use crate::stage::{Outcome, Stage};
use crate::{device, repo, setup, size, test};

/// The board's package and binary.
pub const PACKAGE: &str = "gradgate-mps2-an386";
/// What it is built for.
pub const TARGET: &str = "thumbv7em-none-eabihf";
/// What emulates all boards.
pub const EMULATOR: &str = "qemu-system-arm";
/// What it is built for on a Cortex-M55, without Helium.
const TARGET_ARMV8: &str = "thumbv8m.main-none-eabihf";

/// A machine that a case runs on.
#[derive(Clone, Copy)]
struct Machine {
    /// Its name in QEMU.
    name: &'static str,
    target: &'static str,
}

/// Cortex-M4F and M7, whose memories lie alike, and M55, whose image is another.
const MACHINES: [Machine; 3] = [
    Machine { name: "mps2-an386", target: TARGET },
    Machine { name: "mps2-an500", target: TARGET },
    Machine { name: "mps3-an547", target: TARGET_ARMV8 },
];
/// One frame of ResNet-20 takes some ten seconds of emulation.
const RUN_LIMIT: Duration = Duration::from_secs(300);
/// Instructions that a case's frame may take: some of these are for growth, none for a kernel that
/// lost its registers.
const INSTRUCTIONS_MAX: &[(&str, u64)] = &[("resnet8", 96_000_000)];
/// The image that counts instructions per multiply-add.
const KERNELS: &str = "kernels";
/// The program that writes the cases, built as the tests are so that nothing is built twice.
const CASE_WRITER: [&str; 6] = [
    "run",
    "--locked",
    "--profile=test",
    "--package=gradgate-tests",
    "--example=board_cases",
    "--",
];

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Request {
    /// Every case.
    All,
    /// A person's.
    One(Case),
    /// The table of kernels.
    Kernels,
    /// The whole device, by hand, with this flash.
    Device(Option<PathBuf>),
    /// The bits of so many frames on the whole device.
    Bits(String),
}

/// What a run is given.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Case {
    bundle: PathBuf,
    frame: Option<PathBuf>,
    expected: Option<PathBuf>,
}

/// The subcommand.
pub fn run(args: &[String]) -> Result<bool> {
    let request = parse(args)?;
    if !process::is_installed(EMULATOR) {
        bail!("no {EMULATOR}: run `cargo xtask setup`");
    }
    match request {
        Request::Device(flash) => return device::boot(flash.as_deref()),
        Request::Bits(frames) => return device::bits(&frames),
        Request::All | Request::One(_) | Request::Kernels => {}
    }
    let image = build()?;
    let cases = match request {
        Request::Device(_) | Request::Bits(_) => return Ok(false),
        Request::Kernels => return kernels(&image.with_file_name(KERNELS)),
        Request::One(case) => vec![case],
        Request::All => write_cases()?,
    };
    let mut good = true;
    for (machine, case) in on_machines(&cases) {
        let output = execute(machine, case)?;
        match case.expected {
            // A person asked for this one.
            None => print!("{}", output.text),
            Some(_) => println!("{}, {}", machine.name, summary(case, &output)),
        }
        good &= output.verdict.is_none();
        if let Some(difference) = output.verdict {
            println!("FAILED: {difference}");
        }
    }
    Ok(good)
}

/// Prints instructions per multiply-add of each convolution kernel.
fn kernels(image: &Path) -> Result<bool> {
    let semihosting = "enable=on,target=native,arg=kernels";
    let (end, text) =
        process::run_captured(&mut emulator(MACHINES[0].name, image, semihosting), RUN_LIMIT)?;
    print!("{text}");
    Ok(matches!(end, End::Exited(status) if status.success()))
}

/// Every case on every machine.
fn on_machines(cases: &[Case]) -> impl Iterator<Item = (Machine, &Case)> {
    MACHINES.into_iter().flat_map(move |machine| cases.iter().map(move |case| (machine, case)))
}

/// The case's name and the board's remarks.
fn summary(case: &Case, output: &Output) -> String {
    let name = case.name();
    let remarks = output.text.lines().filter_map(|line| line.strip_prefix("# "));
    let remarks: Vec<&str> = remarks.collect();
    format!("{name}: {}", remarks.join(", "))
}

impl Case {
    /// The name of its folder.
    fn name(&self) -> String {
        let folder = self.bundle.parent().and_then(Path::file_name).unwrap_or_default();
        folder.to_string_lossy().into_owned()
    }
}

/// The stage of the test command.
pub fn stage(stage: &Stage) -> Result<Outcome> {
    if !process::is_installed(EMULATOR) {
        return Ok(Outcome::Skipped(format!("no {EMULATOR}: run `cargo xtask setup`")));
    }
    clear(&cases_folder())?;
    let mut writer = Command::new("cargo");
    writer.args(CASE_WRITER).arg(cases_folder()).current_dir(repo::root());
    let outcome = stage.run(&mut [board_build(TARGET), board_build(TARGET_ARMV8), writer])?;
    if outcome != Outcome::Passed {
        return Ok(outcome);
    }
    let sizes = size::read(&image(TARGET))?;
    stage.note(&size::table(PACKAGE, sizes))?;
    let mut failures = Vec::from_iter(size::excess(sizes));
    for (machine, case) in on_machines(&find_cases(&cases_folder())?) {
        let output = execute(machine, case)?;
        stage.note(&format!("{}, {}\n", machine.name, summary(case, &output)))?;
        if let Some(difference) = output.verdict {
            stage.note(&output.text)?;
            let name = machine.name;
            failures.push(format!("{name}, {}: {difference}", case.bundle.display()));
        }
    }
    match failures.is_empty() {
        true => Ok(Outcome::Passed),
        false => Ok(Outcome::Failed(failures.join("\n    "))),
    }
}

/// Builds the board and returns its image.
pub fn build() -> Result<PathBuf> {
    setup::step(&mut board_build(TARGET_ARMV8))?;
    setup::step(&mut board_build(TARGET))?;
    Ok(image(TARGET))
}

fn board_build(target: &str) -> Command {
    test::boards_cargo(&[
        "build",
        "--release",
        "--locked",
        "--package",
        PACKAGE,
        "--target",
        target,
    ])
}

fn image(target: &str) -> PathBuf {
    repo::boards_target().join(target).join("release").join(PACKAGE)
}

/// Where the cases are.
pub fn cases_folder() -> PathBuf {
    repo::target().join("board-cases")
}

/// What writes the cases, where no stage before did.
pub fn missing_cases() -> Option<Command> {
    let mut writer = Command::new("cargo");
    writer.args(CASE_WRITER).arg(cases_folder()).current_dir(repo::root());
    (!cases_folder().is_dir()).then_some(writer)
}

fn write_cases() -> Result<Vec<Case>> {
    let folder = cases_folder();
    clear(&folder)?;
    setup::step(Command::new("cargo").args(CASE_WRITER).arg(&folder))?;
    find_cases(&folder)
}

/// Removes cases of earlier runs, which may be of no case any more.
fn clear(folder: &Path) -> Result<()> {
    match folder.exists() {
        true => fs::remove_dir_all(folder).with_context(|| format!("{}", folder.display())),
        false => Ok(()),
    }
}

fn find_cases(folder: &Path) -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    for entry in folder.read_dir().with_context(|| format!("{}", folder.display()))? {
        let case = entry?.path();
        if !case.join("bundle.gate").is_file() {
            continue;
        }
        cases.push(Case {
            bundle: case.join("bundle.gate"),
            frame: Some(case.join("frame.bin")),
            expected: Some(case.join("expected.txt")),
        });
    }
    cases.sort_by(|a, b| a.bundle.cmp(&b.bundle));
    if cases.is_empty() {
        bail!("{} holds no case", folder.display());
    }
    Ok(cases)
}

/// What the board printed, and what is wrong with it.
struct Output {
    text: String,
    verdict: Option<String>,
}

fn execute(machine: Machine, case: &Case) -> Result<Output> {
    let expected = match &case.expected {
        Some(file) => {
            Some(fs::read_to_string(file).with_context(|| format!("{}", file.display()))?)
        }
        None => None,
    };
    let mut emulator = emulator(machine.name, &image(machine.target), &semihosting(case)?);
    let (end, text) = process::run_captured(&mut emulator, RUN_LIMIT)?;
    let verdict = match end {
        End::TimedOut => Some(format!("no end within {} s", RUN_LIMIT.as_secs())),
        End::Exited(status) if !status.success() => Some(format!("the board ended with {status}")),
        End::Exited(_) => expected.and_then(|expected| {
            let ceiling = INSTRUCTIONS_MAX.iter().find(|(name, _)| *name == case.name());
            let excess = ceiling.and_then(|(_, limit)| excess(&text, *limit));
            difference(&expected, &text).or(excess)
        }),
    };
    Ok(Output { text, verdict })
}

/// What is wrong with the board's count of instructions.
fn excess(text: &str, limit: u64) -> Option<String> {
    let count = text.lines().find_map(|line| line.strip_prefix("# instructions "));
    match count.and_then(|count| count.trim().parse::<u64>().ok()) {
        Some(count) if count <= limit => None,
        Some(count) => Some(format!("{count} instructions, {limit} at most")),
        None => Some("the board counted no instructions".to_owned()),
    }
}

/// Arguments of the board, through semihosting.
fn semihosting(case: &Case) -> Result<String> {
    let mut semihosting = "enable=on,target=native,arg=board".to_owned();
    for path in [Some(&case.bundle), case.frame.as_ref()].into_iter().flatten() {
        let path = path.canonicalize().with_context(|| format!("{}", path.display()))?;
        let path = path.to_str().context("a path is not UTF-8")?;
        // A comma parts QEMU's options; a doubled one is a comma.
        semihosting += &format!(",arg={}", path.replace(',', ",,"));
    }
    Ok(semihosting)
}

fn emulator(machine: &str, image: &Path, semihosting: &str) -> Command {
    let mut emulator = Command::new(EMULATOR);
    emulator.args(["-M", machine, "-display", "none", "-monitor", "none", "-serial", "none"]);
    // One instruction a nanosecond of the board's clock: the count is exact and repeatable.
    emulator.args(["-icount", "shift=0", "-semihosting-config", semihosting]);
    emulator.arg("-kernel").arg(image);
    emulator
}

fn difference(expected: &str, seen: &str) -> Option<String> {
    let lines = |text: &str| -> Vec<String> {
        text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
    };
    let (expected, seen) = (lines(expected), lines(seen));
    if expected.is_empty() {
        return Some("the expectation is empty".to_owned());
    }
    for (index, line) in expected.iter().enumerate() {
        match seen.get(index) {
            Some(other) if other == line => {}
            Some(other) => return Some(format!("the board says `{other}`, the host `{line}`")),
            None => return Some(format!("the board stopped before `{line}`")),
        }
    }
    let more = seen.get(expected.len())?;
    Some(format!("the board goes on with `{more}`"))
}

fn parse(args: &[String]) -> Result<Request> {
    if args == ["--kernels"] {
        return Ok(Request::Kernels);
    }
    match args {
        [device] if device == "--device" => return Ok(Request::Device(None)),
        [device, option, file] if device == "--device" && option == "--flash" => {
            return Ok(Request::Device(Some(file.into())));
        }
        [bits, frames] if bits == "--bits" => return Ok(Request::Bits(frames.clone())),
        _ => {}
    }
    let (mut bundle, mut frame) = (None, None);
    let mut rest = args.iter();
    while let Some(option) = rest.next() {
        let value = rest.next().with_context(|| format!("{option} wants a file"))?;
        match option.as_str() {
            "--bundle" => bundle = Some(PathBuf::from(value)),
            "--frame" => frame = Some(PathBuf::from(value)),
            other => {
                bail!(
                    "qemu takes --kernels, --device, --bits N, or --bundle FILE and --frame FILE, \
                     not '{other}'"
                )
            }
        }
    }
    match (bundle, frame) {
        (Some(bundle), frame) => Ok(Request::One(Case { bundle, frame, expected: None })),
        (None, Some(_)) => bail!("--frame wants --bundle with it"),
        (None, None) => Ok(Request::All),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_is_compared_line_by_line_but_for_remarks() {
        let expected = "self-test ok\nlogit 0 3f800000\n";
        let seen = "# board\nself-test ok\nlogit 0 3f800000\n# instructions 7\n";
        assert_eq!(difference(expected, seen), None);
        let cases = [
            "self-test ok\n",
            "self-test ok\nlogit 0 3f800001\n",
            "self-test ok\nlogit 0 3f800000\nlogit 1 0\n",
            "",
        ];
        for seen in cases {
            assert!(difference(expected, seen).is_some(), "{seen:?}");
        }
        assert!(difference("# nothing\n", "").is_some());
    }

    #[test]
    fn a_count_above_its_ceiling_or_no_count_is_a_failure() {
        let seen = |count| format!("# board\nlogit 0 0\n# instructions {count}\n");
        assert_eq!(excess(&seen("130"), 130), None);
        for (text, what) in [
            (seen("131"), "131 instructions, 130 at most"),
            (seen("many"), "the board counted no instructions"),
            ("logit 0 0\n".to_owned(), "the board counted no instructions"),
        ] {
            assert_eq!(excess(&text, 130).as_deref(), Some(what));
        }
    }

    #[test]
    fn options_are_checked() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let case = Case { bundle: "a".into(), frame: Some("b".into()), expected: None };
        let request = parse(&words("--bundle a --frame b")).expect("valid");
        assert_eq!(request, Request::One(case));
        assert_eq!(parse(&words("--kernels")).expect("valid"), Request::Kernels);
        let kept = Request::Device(Some("f".into()));
        assert_eq!(parse(&words("--device")).expect("valid"), Request::Device(None));
        assert_eq!(parse(&words("--device --flash f")).expect("valid"), kept);
        assert_eq!(parse(&words("--bits 7")).expect("valid"), Request::Bits("7".to_owned()));
        for bad in ["--device --flash", "--frame b", "--bundle", "--image x", "--kernels x"] {
            assert!(parse(&words(bad)).is_err(), "{bad}");
        }
        assert_eq!(parse(&[]).expect("valid"), Request::All);
    }
}
