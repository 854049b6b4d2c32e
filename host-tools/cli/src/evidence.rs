//! A folder of pages, one for each gate event of a run.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::explanation::{Explainer, Subject};
use crate::files;
use crate::gated::Event;

/// Writes pages as events come.
pub struct Evidence<'a> {
    folder: PathBuf,
    explainer: Explainer<'a>,
    written: u64,
}

impl<'a> Evidence<'a> {
    /// Makes the folder; one that holds anything is refused, so that no page of an earlier run is
    /// lost or taken for one of this run.
    pub fn new(folder: &Path, explainer: Explainer<'a>) -> Result<Evidence<'a>> {
        let name = folder.display();
        std::fs::create_dir_all(folder)
            .with_context(|| format!("--evidence: cannot make {name}"))?;
        let mut entries =
            std::fs::read_dir(folder).with_context(|| format!("--evidence: cannot read {name}"))?;
        if entries.next().is_some() {
            bail!("--evidence: {name} is not empty: name another folder");
        }
        Ok(Evidence { folder: folder.to_owned(), explainer, written: 0 })
    }

    /// The page of one event.
    pub fn write(&mut self, event: &Event) -> Result<()> {
        self.written += 1;
        let about = event.about();
        let subject = Subject {
            name: event.name(),
            pixels: event.pixels(),
            sensor: event.sensor(),
            about: &about,
        };
        let page = self.explainer.page(&subject)?;
        let path = self.folder.join(format!("event-{:04}.html", self.written));
        files::write_atomic(&path, page.as_bytes())
    }

    /// How many pages there are, and where.
    pub fn text(&self) -> String {
        format!("evidence: {} pages in {}\n", self.written, self.folder.display())
    }
}
