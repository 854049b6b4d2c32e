//! What stands beside the pictures of two well-known datasets: labels, tracks, regions.
//!
//! - GTSRB (<https://benchmark.ini.rub.de>): in each folder `GT-00014.csv`, or `GT-final_test.csv`;
//!   a line a picture, fields between semicolons, named in the first line. Pictures of one track,
//!   that is of one physical sign, share what their names have before the underscore.
//! - Tiny-ImageNet (<http://cs231n.stanford.edu/tiny-imagenet-200.zip>): `val_annotations.txt`
//!   beside `val/images`, and `wnids.txt` above `train` and `val`, whose lines are the classes in
//!   the order of their labels.
//!
//! A table and its pictures must agree: a picture that is not listed, or a line without its
//! picture, is an error, for it is what half an archive looks like.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::error::{FramesError, Problem};
use crate::fit::Region;

/// Longest table in bytes; real ones have less than one million.
const TABLE_MAX: u64 = 16 << 20;
/// Folders above the pictures of the test set where its labels may lie, as the archives unpack.
const ABOVE: [&str; 4] = ["", "..", "../..", "../../.."];

/// What is said about one picture.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Annotation {
    pub label: Option<i64>,
    /// Pictures of the same folder with the same track show the same thing.
    pub track: Option<String>,
    pub region: Option<Region>,
}

/// The annotations of one folder's pictures, by name.
#[derive(Debug, Default)]
pub(crate) struct Table {
    path: PathBuf,
    rows: BTreeMap<String, Annotation>,
}

/// The classes of Tiny-ImageNet in the order of their labels.
#[derive(Debug)]
pub(crate) struct Classes {
    path: PathBuf,
    pub names: Vec<String>,
}

impl Classes {
    /// The list above a folder, when there is one.
    pub fn above(folder: &Path) -> Result<Option<Self>, FramesError> {
        let path = folder.join("..").join("wnids.txt");
        if !path.is_file() {
            return Ok(None);
        }
        let names: Vec<String> = text(&path)?.split_whitespace().map(str::to_owned).collect();
        let mut sorted = names.clone();
        sorted.sort();
        let twice = sorted.windows(2).find(|pair| pair[0] == pair[1]);
        let problem = match (twice, names.len()) {
            (Some(pair), _) => format!("the class {} stands in it twice", pair[0]),
            (None, 0) => "it names no class".to_owned(),
            (None, _) => return Ok(Some(Classes { path, names })),
        };
        Err(FramesError::malformed(&path, Problem::new("", problem, "unpack the archive again")))
    }

    /// The label of a class.
    pub fn label(&self, name: &str) -> Result<i64, Problem> {
        match self.names.iter().position(|known| known == name) {
            Some(label) => Ok(label as i64),
            None => {
                let (list, count) = (self.path.display(), self.names.len());
                let what = format!("the class {name} is none of the {count} in {list}");
                Err(Problem::new("", what, "mend its name, or add it to the list"))
            }
        }
    }
}

impl Table {
    /// The table of a folder with these entries, when it has one.
    pub fn of(folder: &Path, entries: &[PathBuf]) -> Result<Option<Self>, FramesError> {
        let beside = |entry: &&PathBuf| {
            let name = entry.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with("GT-") && name.ends_with(".csv")
        };
        if let Some(mut path) = entries.iter().find(beside).cloned() {
            // The table of the test set without its classes, and the one with them.
            if path.ends_with("GT-final_test.test.csv") {
                let whole = ABOVE.map(|above| folder.join(above).join("GT-final_test.csv"));
                path = whole.into_iter().find(|path| path.is_file()).unwrap_or(path);
            }
            return Table::signs(path).map(Some);
        }
        let list = folder.join("..").join("val_annotations.txt");
        if folder.file_name().is_some_and(|name| name == "images") && list.is_file() {
            let Some(classes) = Classes::above(&folder.join(".."))? else {
                let found = folder.join("../..").join("wnids.txt");
                let error = std::io::ErrorKind::NotFound.into();
                return Err(FramesError::io(&found, "cannot read the classes' order from", error));
            };
            return Table::validation(list, &classes).map(Some);
        }
        Ok(None)
    }

    fn signs(path: PathBuf) -> Result<Self, FramesError> {
        let text = text(&path)?;
        let named = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let class = named.strip_prefix("GT-").and_then(|digits| digits.parse().ok());
        let mut lines = text.lines().enumerate();
        let head = lines.next().map_or("", |(_, line)| line.trim_start_matches('\u{feff}'));
        let columns = Columns::read(head).map_err(|p| FramesError::malformed(&path, p))?;
        let mut table = Table { path, rows: BTreeMap::new() };
        for (at, line) in lines.filter(|(_, line)| !line.trim().is_empty()) {
            let row = columns.row(line, class).and_then(|(name, row)| table.add(name, row));
            row.map_err(|what| table.wrong(at, what))?;
        }
        Ok(table)
    }

    fn validation(path: PathBuf, classes: &Classes) -> Result<Self, FramesError> {
        let text = text(&path)?;
        let mut table = Table { path, rows: BTreeMap::new() };
        for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let fields: Vec<&str> = line.trim_end().split('\t').collect();
            let &[name, class, _, _, _, _] = fields.as_slice() else {
                let what = format!("{} fields, not 6", fields.len());
                return Err(table.wrong(at, what));
            };
            let label = classes.label(class).map_err(|problem| table.wrong(at, problem.what))?;
            let row = Annotation { label: Some(label), ..Annotation::default() };
            table.add(name, row).map_err(|what| table.wrong(at, what))?;
        }
        Ok(table)
    }

    fn add(&mut self, name: &str, row: Annotation) -> Result<(), String> {
        match self.rows.insert(name.to_owned(), row) {
            None => Ok(()),
            Some(_) => Err(format!("{name} is listed twice")),
        }
    }

    fn wrong(&self, line: usize, what: String) -> FramesError {
        let problem = Problem::new(format!("line {}", line + 1), what, "unpack the archive again");
        FramesError::malformed(&self.path, problem)
    }

    /// What is said about a picture; once.
    pub fn take(&mut self, picture: &Path) -> Result<Annotation, FramesError> {
        let name = picture.file_name().unwrap_or_default().to_string_lossy();
        self.rows.remove(name.as_ref()).ok_or_else(|| {
            let what = format!("{} does not list it", self.path.display());
            let problem = Problem::new("", what, "unpack the archive again, or take it away");
            FramesError::malformed(picture, problem)
        })
    }

    /// Every line must have had its picture.
    pub fn finish(self) -> Result<(), FramesError> {
        let Some((name, _)) = self.rows.first_key_value() else { return Ok(()) };
        let others = match self.rows.len() - 1 {
            0 => String::new(),
            n => format!(" and {n} more"),
        };
        let what = format!("it lists {name}{others}, and no such picture is there");
        let remedy = "unpack the archive again, or take those lines out";
        Err(FramesError::malformed(&self.path, Problem::new("", what, remedy)))
    }
}

/// Where the fields of a line of GTSRB stand.
struct Columns {
    count: usize,
    name: usize,
    /// Width, height, left, top, right, bottom.
    numbers: [usize; 6],
    class: Option<usize>,
}

impl Columns {
    fn read(head: &str) -> Result<Self, Problem> {
        let names: Vec<&str> = head.trim_end().split(';').collect();
        let find = |name: &str| names.iter().position(|&found| found == name);
        let place = |name: &str| {
            let what = || format!("no column {name} in the first line");
            find(name).ok_or_else(|| Problem::new("line 1", what(), "unpack the archive again"))
        };
        let mut numbers = [0; 6];
        let named = ["Width", "Height", "Roi.X1", "Roi.Y1", "Roi.X2", "Roi.Y2"];
        for (number, name) in numbers.iter_mut().zip(named) {
            *number = place(name)?;
        }
        let (name, class) = (place("Filename")?, find("ClassId"));
        Ok(Columns { count: names.len(), name, numbers, class })
    }

    /// A picture's name and what is said about it; all are of `class` where it is given.
    fn row<'a>(&self, line: &'a str, class: Option<i64>) -> Result<(&'a str, Annotation), String> {
        let fields: Vec<&str> = line.trim_end().split(';').collect();
        if fields.len() != self.count {
            return Err(format!("{} fields, not {}", fields.len(), self.count));
        }
        let number = |at: usize| {
            let field = fields[at];
            field.parse::<u32>().map_err(|_| format!("`{field}` is no whole number"))
        };
        let mut numbers = [0; 6];
        for (value, at) in numbers.iter_mut().zip(self.numbers) {
            *value = number(at)?;
        }
        let [width, height, left, top, right, bottom] = numbers;
        if left >= right || top >= bottom || right > width || bottom > height {
            return Err(format!(
                "the region {left}, {top} to {right}, {bottom} is not inside {width} x {height}"
            ));
        }
        let label = self.class.map(number).transpose()?.map(i64::from);
        if let (Some(label), Some(class)) = (label, class)
            && label != class
        {
            return Err(format!("class {label} in the table of class {class}"));
        }
        let name = fields[self.name];
        let track = name.split_once('_').map(|(track, _)| track.to_owned());
        let picture = [width, height].map(|side| side as usize);
        let [left, top, right, bottom] = [left, top, right, bottom].map(|place| place as usize);
        let region = Region { left, top, width: right - left, height: bottom - top, picture };
        Ok((name, Annotation { label, track, region: Some(region) }))
    }
}

fn text(path: &Path) -> Result<String, FramesError> {
    let read = || {
        let mut bytes = Vec::new();
        File::open(path)?.take(TABLE_MAX + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().map_err(|error| FramesError::io(path, "cannot read", error))?;
    let long = bytes.len() as u64 > TABLE_MAX;
    let text = String::from_utf8(bytes).ok().filter(|_| !long);
    text.ok_or_else(|| {
        let what = format!("it is no text in UTF-8 of at most {TABLE_MAX} bytes");
        FramesError::malformed(path, Problem::new("", what, "unpack the archive again"))
    })
}
