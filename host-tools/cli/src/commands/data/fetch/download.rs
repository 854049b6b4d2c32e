//! One file by HTTP, resumed where it was cut off, under its name only once its digest is right.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use gradgate_frames::known::KnownFile;
use indicatif::ProgressBar;
use ureq::Agent;
use ureq::http::StatusCode;

use crate::progress;

/// Tries in a row that bring nothing, at one address.
const TRIES: u32 = 3;
/// Between them.
const PAUSE: Duration = Duration::from_millis(500);
/// A server that says nothing for so long is not there.
const PATIENCE: Duration = Duration::from_secs(30);

/// Fetches a file into a folder from the first address that has it.
pub fn download(file: &KnownFile, addresses: &[&str], folder: &Path) -> Result<()> {
    let part = folder.join(file.part_name());
    let agent: Agent = Agent::config_builder()
        .timeout_connect(Some(PATIENCE))
        .timeout_recv_response(Some(PATIENCE))
        .user_agent(concat!("gradgate/", env!("CARGO_PKG_VERSION")))
        .build()
        .into();
    let bar = progress::bytes(file.bytes, length(&part), file.name);
    let mut failed = anyhow!("no address is known");
    for address in addresses {
        match from(&agent, address, file, &part, &bar) {
            Ok(()) => return finish(file, &part, folder, &bar),
            Err(error) => failed = error.context(format!("cannot fetch {address}")),
        }
    }
    bar.finish_and_clear();
    Err(failed)
}

fn length(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |found| found.len())
}

/// The digest decides whether the part becomes the file; a wrong one is removed.
fn finish(file: &KnownFile, part: &Path, folder: &Path, bar: &ProgressBar) -> Result<()> {
    bar.finish_and_clear();
    if let Err(error) = file.check(part, |_| ()) {
        fs::remove_file(part).with_context(|| format!("cannot remove {}", part.display()))?;
        return Err(anyhow!(error).context("what was fetched is not the published file"));
    }
    let path = folder.join(file.name);
    fs::rename(part, &path).with_context(|| format!("cannot write {}", path.display()))
}

/// Goes on until the part is whole, as long as tries bring something.
fn from(
    agent: &Agent,
    address: &str,
    file: &KnownFile,
    part: &Path,
    bar: &ProgressBar,
) -> Result<()> {
    let mut fruitless = 0;
    loop {
        let before = length(part);
        if file.bytes.is_some_and(|bytes| bytes == before) {
            return Ok(());
        }
        match attempt(agent, address, file, part, bar) {
            Ok(()) => return Ok(()),
            Err(Failure::Final(error)) => return Err(error),
            Err(Failure::Cut(error)) => {
                fruitless = if length(part) > before { 0 } else { fruitless + 1 };
                if fruitless >= TRIES {
                    return Err(error);
                }
                std::thread::sleep(PAUSE);
            }
        }
    }
}

/// Why a try ended early.
enum Failure {
    /// The connection; another try may help.
    Cut(anyhow::Error),
    /// Anything else.
    Final(anyhow::Error),
}

fn attempt(
    agent: &Agent,
    address: &str,
    file: &KnownFile,
    part: &Path,
    bar: &ProgressBar,
) -> Result<(), Failure> {
    let have = length(part);
    // Bytes are counted as they are stored, not as they would be packed for the way.
    let mut request = agent.get(address).header("Accept-Encoding", "identity");
    if have > 0 {
        request = request.header("Range", format!("bytes={have}-"));
    }
    let response = match request.call() {
        Ok(response) => response,
        Err(ureq::Error::StatusCode(416)) => {
            // It ends before the part does: the part is of another file.
            fs::remove_file(part).map_err(|error| Failure::Final(error.into()))?;
            return Err(Failure::Cut(anyhow!("the server has less than was fetched before")));
        }
        Err(error @ ureq::Error::StatusCode(_)) => return Err(Failure::Final(error.into())),
        Err(error) => return Err(Failure::Cut(error.into())),
    };
    let resumed = response.status() == StatusCode::PARTIAL_CONTENT;
    let start = if resumed { have } else { 0 };
    let header = |name: &str| response.headers().get(name)?.to_str().ok().map(str::to_owned);
    if let Some(range) = header("content-range").filter(|_| resumed)
        && !range.starts_with(&format!("bytes {start}-"))
    {
        return Err(Failure::Final(anyhow!("byte {start} on was asked for, {range} came")));
    }
    let promised = header("content-length").and_then(|n| n.parse::<u64>().ok()).map(|n| start + n);
    check_length(file, promised).map_err(Failure::Final)?;
    if let Some(total) = promised {
        bar.set_length(total);
    }
    bar.set_position(start);
    let body = response.into_body().into_with_config().limit(u64::MAX).reader();
    append(body, part, resumed, bar)?;
    match promised {
        Some(total) if length(part) < total => {
            Err(Failure::Cut(anyhow!("the connection ended after {} bytes", length(part))))
        }
        _ => Ok(()),
    }
}

fn check_length(file: &KnownFile, promised: Option<u64>) -> Result<()> {
    match (file.bytes, promised) {
        (Some(expected), Some(promised)) if expected != promised => {
            bail!("the server has {promised} bytes, the published file {expected}")
        }
        _ => Ok(()),
    }
}

/// Writes what comes behind the part, or in its place.
fn append(
    mut body: impl Read,
    part: &Path,
    resumed: bool,
    bar: &ProgressBar,
) -> Result<(), Failure> {
    let unwritable = |error: io::Error| {
        Failure::Final(anyhow!(error).context(format!("cannot write {}", part.display())))
    };
    let mut options = OpenOptions::new();
    options.create(true).write(true).append(resumed).truncate(!resumed);
    let mut out: File = options.open(part).map_err(unwritable)?;
    let mut buffer = vec![0; 1 << 16];
    loop {
        let count = match body.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) => return Err(Failure::Cut(error.into())),
        };
        out.write_all(&buffer[..count]).map_err(unwritable)?;
        bar.inc(count as u64);
    }
    out.sync_all().map_err(unwritable)
}
