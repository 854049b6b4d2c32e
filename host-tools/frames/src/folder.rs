//! Folders of pictures: which files, in which order, of which class.
//!
//! Files are taken in the order of their paths, compared byte by byte and folder by folder, so the
//! order is the same on every system. The direct sub-folders of a folder that was named are classes
//! when they hold pictures. Their labels are the numbers that their names are, when all of them are
//! whole numbers ("00014" is 14), and else their places in the sorted list of all class names over
//! all folders of one opening.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use crate::error::FramesError;
use crate::frames::OpenOptions;
use crate::kind::{head, named_as_picture, picture_kind};

/// Deepest nesting of folders; more is a loop of links.
const DEPTH: usize = 32;

/// A list of picture files.
pub(crate) struct Pictures {
    pub files: Vec<PictureFile>,
    pub group: Option<usize>,
    pub max_pixels: u64,
}

/// One picture file.
pub(crate) struct PictureFile {
    pub path: PathBuf,
    pub label: Option<i64>,
}

impl Pictures {
    /// A single picture, of no class.
    pub fn one(path: &Path, options: &OpenOptions) -> Self {
        let files = vec![PictureFile { path: path.to_owned(), label: None }];
        Pictures { files, group: options.group, max_pixels: options.max_pixels }
    }
}

/// The folders of one opening, searched one after the other.
pub(crate) struct Scan<'a> {
    options: &'a OpenOptions,
    found: Vec<(PathBuf, Vec<Found>)>,
    ignored: usize,
}

struct Found {
    path: PathBuf,
    class: Option<String>,
}

/// The pictures of each folder that was searched.
pub(crate) struct Scanned(Vec<(PathBuf, Option<Pictures>)>);

impl Scanned {
    /// The pictures of `path`, once for each time that it was searched.
    pub fn remove_first(&mut self, path: &Path) -> Option<Pictures> {
        let slot = self.0.iter_mut().find(|(p, pictures)| p == path && pictures.is_some())?;
        slot.1.take()
    }
}

impl<'a> Scan<'a> {
    /// Nothing searched yet.
    pub fn new(options: &'a OpenOptions) -> Self {
        Scan { options, found: Vec::new(), ignored: 0 }
    }

    /// Searches one folder to the bottom.
    pub fn add(&mut self, root: &Path) -> Result<(), FramesError> {
        let mut search = Search { found: Vec::new(), ignored: 0, other: None };
        search.folder(root, None, 0)?;
        if search.found.is_empty() {
            let found = match search.other {
                Some(other) => format!(
                    "{} files, none of them a picture; datasets are given by file, as in {}",
                    search.ignored,
                    other.display()
                ),
                None => "the folder is empty".to_owned(),
            };
            return Err(FramesError::Empty { path: root.to_owned(), found });
        }
        self.ignored += search.ignored;
        self.found.push((root.to_owned(), search.found));
        Ok(())
    }

    /// The pictures of every folder, the class names by label, and the number of files passed over.
    pub fn finish(self) -> (Scanned, Vec<String>, usize) {
        let all = self.found.iter().flat_map(|(_, files)| files);
        let names: BTreeSet<String> = if self.options.folder_labels {
            all.filter_map(|file| file.class.clone()).collect()
        } else {
            BTreeSet::new()
        };
        let numbers: Option<Vec<i64>> = names.iter().map(|name| whole_number(name)).collect();
        let labels: HashMap<&str, i64> = match &numbers {
            Some(numbers) => {
                names.iter().map(String::as_str).zip(numbers.iter().copied()).collect()
            }
            None => names.iter().map(String::as_str).zip(0..).collect(),
        };
        let mut scanned = Vec::new();
        for (root, files) in self.found {
            let labelled = |file: Found| {
                let label = file.class.and_then(|class| labels.get(class.as_str()).copied());
                PictureFile { path: file.path, label }
            };
            let files = files.into_iter().map(labelled).collect();
            let (group, max_pixels) = (self.options.group, self.options.max_pixels);
            scanned.push((root, Some(Pictures { files, group, max_pixels })));
        }
        let classes = if numbers.is_some() { Vec::new() } else { names.into_iter().collect() };
        (Scanned(scanned), classes, self.ignored)
    }
}

/// Digits only, so that "1e3" and "-1" are names.
fn whole_number(name: &str) -> Option<i64> {
    let digits = !name.is_empty() && name.bytes().all(|b| b.is_ascii_digit());
    if digits { name.parse().ok() } else { None }
}

struct Search {
    found: Vec<Found>,
    ignored: usize,
    other: Option<PathBuf>,
}

impl Search {
    fn folder(
        &mut self,
        folder: &Path,
        class: Option<&str>,
        depth: usize,
    ) -> Result<(), FramesError> {
        let refused = |error| FramesError::io(folder, "cannot list", error);
        if depth > DEPTH {
            let text = format!("more than {DEPTH} folders deep; is there a loop of links?");
            return Err(refused(std::io::Error::other(text)));
        }
        let mut entries = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(refused)? {
            entries.push(entry.map_err(refused)?.path());
        }
        entries
            .sort_by(|a, b| a.as_os_str().as_encoded_bytes().cmp(b.as_os_str().as_encoded_bytes()));
        for path in entries {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let hidden = name.starts_with('.');
            let is_folder = match std::fs::metadata(&path) {
                Ok(found) => found.is_dir(),
                Err(error) if !hidden && named_as_picture(&path) => {
                    return Err(FramesError::io(&path, "cannot read", error));
                }
                Err(_) => false,
            };
            if hidden {
                self.ignored += usize::from(!is_folder);
            } else if is_folder {
                self.folder(&path, Some(class.unwrap_or(&name)), depth + 1)?;
            } else {
                self.file(path, class)?;
            }
        }
        Ok(())
    }

    fn file(&mut self, path: PathBuf, class: Option<&str>) -> Result<(), FramesError> {
        let promised = named_as_picture(&path);
        let kind = match head(&path) {
            Ok((head, _)) => picture_kind(&head),
            Err(error) if promised => return Err(error),
            Err(_) => None,
        };
        if kind.is_some() {
            self.found.push(Found { path, class: class.map(str::to_owned) });
        } else if promised {
            let hint = "its content is no PNG, JPEG or PPM; repair it or take it away".to_owned();
            return Err(FramesError::Unrecognised { path, hint });
        } else {
            self.ignored += 1;
            self.other.get_or_insert(path);
        }
        Ok(())
    }
}
