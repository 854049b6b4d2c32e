//! Folders of pictures: which files, in which order, of which class.
//!
//! Files are taken in the order of their paths, compared byte by byte and folder by folder, so the
//! order is the same on every system. The direct sub-folders of a folder that was named are classes
//! when they hold pictures. Their labels are the numbers that their names are, when all of them are
//! whole numbers ("00014" is 14), and else their places in the sorted list of all class names over
//! all folders of one opening. What stands beside the pictures of known datasets goes before.

mod annotations;

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use crate::error::{FramesError, Problem};
use crate::fit::{Region, crop};
use crate::frames::{Entry, Part, grouped};
use crate::kind::{head, named_as_picture, picture_kind};
use crate::options::{Crop, OpenOptions};
use crate::picture;
use annotations::{Annotation, Classes, Table};

/// Deepest nesting of folders; more is a loop of links.
const DEPTH: usize = 32;

/// A list of picture files.
pub(crate) struct Pictures {
    pub files: Vec<PictureFile>,
    pub sources: usize,
    /// The folder and track that each source is, where a dataset states tracks.
    pub tracks: Vec<String>,
    pub max_pixels: u64,
    /// Whether pictures are cut to their regions.
    pub cut: bool,
}

/// One picture file.
pub(crate) struct PictureFile {
    pub path: PathBuf,
    pub label: Option<i64>,
    pub source: i64,
    pub region: Option<Region>,
}

impl Pictures {
    /// A single picture, of no class.
    pub fn one(path: &Path, options: &OpenOptions) -> Self {
        let found = Found { path: path.to_owned(), class: None, annotation: Annotation::default() };
        Pictures::new(vec![found], &HashMap::new(), options)
    }

    fn new(found: Vec<Found>, labels: &HashMap<&str, i64>, options: &OpenOptions) -> Self {
        let tracked = found.iter().any(|file| file.annotation.track.is_some());
        let mut tracks = HashMap::new();
        let mut names = Vec::new();
        let mut sources = 0;
        let mut files = Vec::new();
        for (index, Found { path, class, annotation }) in found.into_iter().enumerate() {
            let source = match annotation.track {
                _ if !tracked => grouped(index, options.group),
                None => {
                    names.push(path.display().to_string());
                    sources
                }
                Some(track) => {
                    let folder = path.parent().map(Path::to_owned).unwrap_or_default();
                    let name = format!("{} track {track}", folder.display());
                    *tracks.entry((folder, track)).or_insert_with(|| {
                        names.push(name);
                        sources
                    })
                }
            };
            sources = sources.max(source + 1);
            let named = || labels.get(class?.as_str()).copied();
            let label = annotation.label.or_else(named);
            files.push(PictureFile { path, label, source, region: annotation.region });
        }
        let cut = options.crop == Crop::Region;
        let (sources, max_pixels) = (sources as usize, options.max_pixels);
        Pictures { files, sources, tracks: names, max_pixels, cut }
    }
}

/// The folders of one opening, searched one after the other.
pub(crate) struct Scan<'a> {
    options: &'a OpenOptions,
    found: Vec<(PathBuf, Vec<Found>)>,
    /// Classes whose order a dataset states.
    classes: Vec<String>,
    ignored: usize,
}

struct Found {
    path: PathBuf,
    class: Option<String>,
    annotation: Annotation,
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
        Scan { options, found: Vec::new(), classes: Vec::new(), ignored: 0 }
    }

    /// Searches one folder to the bottom.
    pub fn add(&mut self, root: &Path) -> Result<(), FramesError> {
        if root.join("wnids.txt").is_file() {
            let what = "the folder of Tiny-ImageNet holds several sets";
            let problem = Problem::new("", what, "name its folder train, val or test");
            return Err(FramesError::malformed(root, problem));
        }
        let classes = if self.options.folder_labels { Classes::above(root)? } else { None };
        let mut search = Search { classes: classes.as_ref(), ..Search::default() };
        search.folder(root, None, 0)?;
        let Search { found, ignored, other, empty, .. } = search;
        if found.is_empty() {
            let found = match other {
                Some(other) => format!(
                    "{ignored} files, none of them a picture; datasets are given by file, as in {}",
                    other.display()
                ),
                None => "the folder is empty".to_owned(),
            };
            return Err(FramesError::Empty { path: root.to_owned(), found });
        }
        let nested = found.iter().any(|file| file.path.parent() != Some(root));
        if let Some(path) = empty.filter(|_| nested && self.options.folder_labels) {
            let found = "a class without files; add its pictures or remove the folder".to_owned();
            return Err(FramesError::Empty { path, found });
        }
        if let Some(classes) = classes {
            self.classes = classes.names;
        }
        self.ignored += ignored;
        self.found.push((root.to_owned(), found));
        Ok(())
    }

    /// The pictures of every folder, the class names by label, and the number of files passed over.
    pub fn finish(self) -> (Scanned, Vec<String>, usize) {
        let all = self.found.iter().flat_map(|(_, files)| files);
        let named = all.filter(|file| file.annotation.label.is_none());
        let names: BTreeSet<String> = if self.options.folder_labels {
            named.filter_map(|file| file.class.clone()).collect()
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
            scanned.push((root, Some(Pictures::new(files, &labels, self.options))));
        }
        let classes = match numbers {
            Some(numbers) if numbers.is_empty() => self.classes,
            Some(_) => Vec::new(),
            None => names.into_iter().collect(),
        };
        (Scanned(scanned), classes, self.ignored)
    }
}

/// Digits only, so that "1e3" and "-1" are names.
fn whole_number(name: &str) -> Option<i64> {
    let digits = !name.is_empty() && name.bytes().all(|b| b.is_ascii_digit());
    if digits { name.parse().ok() } else { None }
}

/// A search through one folder.
#[derive(Default)]
struct Search<'a> {
    classes: Option<&'a Classes>,
    found: Vec<Found>,
    ignored: usize,
    /// A file that is no picture.
    other: Option<PathBuf>,
    /// A class without files.
    empty: Option<PathBuf>,
}

impl Search<'_> {
    fn folder(
        &mut self,
        folder: &Path,
        class: Option<&str>,
        depth: usize,
    ) -> Result<(), FramesError> {
        let entries = entries(folder, depth)?;
        let mut table = Table::of(folder, &entries)?;
        let before = self.found.len() + self.ignored;
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
                self.file(path, class, &mut table)?;
            }
        }
        if depth == 1 && self.found.len() + self.ignored == before {
            self.empty.get_or_insert(folder.to_owned());
        }
        table.map_or(Ok(()), Table::finish)
    }

    fn file(
        &mut self,
        path: PathBuf,
        class: Option<&str>,
        table: &mut Option<Table>,
    ) -> Result<(), FramesError> {
        let promised = named_as_picture(&path);
        let kind = match head(&path) {
            Ok((head, _)) => picture_kind(&head),
            Err(error) if promised => return Err(error),
            Err(_) => None,
        };
        if kind.is_some() {
            let annotation = self.annotation(&path, class, table)?;
            // Where a dataset states the labels, folders are no classes.
            let stated = table.is_some() || self.classes.is_some();
            let class = class.filter(|_| !stated).map(str::to_owned);
            self.found.push(Found { path, class, annotation });
        } else if promised {
            let hint = "its content is no PNG, JPEG or PPM; repair it or take it away".to_owned();
            return Err(FramesError::Unrecognised { path, hint });
        } else {
            self.ignored += 1;
            self.other.get_or_insert(path);
        }
        Ok(())
    }

    fn annotation(
        &self,
        path: &Path,
        class: Option<&str>,
        table: &mut Option<Table>,
    ) -> Result<Annotation, FramesError> {
        match (table, self.classes, class) {
            (Some(table), ..) => table.take(path),
            // The pictures of the test set lie in a folder that is no class.
            (None, Some(classes), Some(class)) if class != "images" => {
                let label = classes.label(class);
                let label = label.map_err(|problem| FramesError::malformed(path, problem))?;
                Ok(Annotation { label: Some(label), ..Annotation::default() })
            }
            _ => Ok(Annotation::default()),
        }
    }
}

/// What a folder holds, in the order of the names.
fn entries(folder: &Path, depth: usize) -> Result<Vec<PathBuf>, FramesError> {
    let refused = |error| FramesError::io(folder, "cannot list", error);
    if depth > DEPTH {
        let text = format!("more than {DEPTH} folders deep; is there a loop of links?");
        return Err(refused(std::io::Error::other(text)));
    }
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(refused)? {
        entries.push(entry.map_err(refused)?.path());
    }
    entries.sort_by(|a, b| a.as_os_str().as_encoded_bytes().cmp(b.as_os_str().as_encoded_bytes()));
    Ok(entries)
}

/// Why nothing can be cut to its region.
pub(crate) fn without_region() -> Problem {
    let what = "no region is stated for it";
    Problem::new("", what, "only GTSRB's folders with their tables have regions: crop otherwise")
}

impl Part for Pictures {
    fn len(&self) -> usize {
        self.files.len()
    }

    fn sources(&self) -> usize {
        self.sources
    }

    fn sequence(&self, source: i64) -> Option<String> {
        self.tracks.get(source as usize).cloned()
    }

    fn read(&self, index: usize) -> Result<Entry, FramesError> {
        let file = &self.files[index];
        let malformed = |problem| FramesError::malformed(&file.path, problem);
        let mut raw = picture::read(&file.path, self.max_pixels)?;
        if self.cut {
            let region = file.region.ok_or_else(|| malformed(without_region()))?;
            let remedy = "unpack the archive again";
            raw = crop(raw, region).map_err(|what| malformed(Problem::new("", what, remedy)))?;
        }
        Ok(Entry {
            raw,
            label: file.label,
            source: file.source,
            name: file.path.display().to_string(),
            time_ns: None,
        })
    }
}
