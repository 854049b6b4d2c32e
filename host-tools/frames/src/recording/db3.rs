//! Bags of rosbag2 in SQLite: the tables `topics` and `messages`.
//!
//! The file is opened as one that nobody changes, so that SQLite leaves nothing beside it.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rusqlite::{Connection, OpenFlags, OptionalExtension};

use crate::error::{FramesError, Problem};

/// Largest message.
const MESSAGE_MAX: i64 = 256 << 20;

/// A row of `topics`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TopicRow {
    pub id: i64,
    pub name: String,
    pub type_name: String,
    pub encoding: String,
}

/// A row of `messages` without its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MessageRow {
    pub id: i64,
    pub topic: i64,
    pub time_ns: i64,
}

/// An opened file.
pub(super) struct Db3 {
    path: PathBuf,
    connection: Mutex<Connection>,
}

impl Db3 {
    /// Opens a file that begins as SQLite's do.
    pub fn open(path: &Path) -> Result<Self, FramesError> {
        for ending in ["-wal", "-journal"] {
            let mut beside = path.as_os_str().to_owned();
            beside.push(ending);
            if std::fs::metadata(&beside).is_ok_and(|found| found.len() > 0) {
                let beside = Path::new(&beside).display();
                let what = format!("its last messages are still in {beside}");
                let remedy = "open the bag once with `sqlite3 FILE 'PRAGMA wal_checkpoint'`";
                return Err(FramesError::malformed(path, Problem::new("", what, remedy)));
            }
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
            | OpenFlags::SQLITE_OPEN_URI
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(uri(path), flags);
        let connection = connection.map_err(|error| broken(path, &error))?;
        let file = Db3 { path: path.to_owned(), connection: Mutex::new(connection) };
        file.ask(|connection| {
            connection.execute_batch("PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON;")
        })?;
        file.check_tables()?;
        Ok(file)
    }

    /// Views may compute for ever; only tables are read.
    fn check_tables(&self) -> Result<(), FramesError> {
        for name in ["topics", "messages"] {
            let sql = "SELECT type FROM sqlite_master WHERE name = ?1";
            let found: Option<String> = self
                .ask(|connection| connection.query_row(sql, [name], |row| row.get(0)).optional())?;
            if found.as_deref() != Some("table") {
                let what = format!("the database has no table {name:?}");
                let problem = Problem::new("", what, "give a bag that rosbag2 recorded");
                return Err(FramesError::malformed(&self.path, problem));
            }
        }
        Ok(())
    }

    fn ask<T>(
        &self,
        question: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, FramesError> {
        let connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        question(&connection).map_err(|error| broken(&self.path, &error))
    }

    /// All topics, in the order of their numbers.
    pub fn topics(&self) -> Result<Vec<TopicRow>, FramesError> {
        let sql = "SELECT id, name, type, serialization_format FROM topics ORDER BY id";
        self.ask(|connection| {
            let mut statement = connection.prepare(sql)?;
            let rows = statement.query_map([], |row| {
                let (id, name) = (row.get(0)?, row.get(1)?);
                Ok(TopicRow { id, name, type_name: row.get(2)?, encoding: row.get(3)? })
            })?;
            rows.collect()
        })
    }

    /// All messages, in the order of their times.
    pub fn messages(&self) -> Result<Vec<MessageRow>, FramesError> {
        let sql = "SELECT id, topic_id, timestamp FROM messages ORDER BY timestamp, id";
        self.ask(|connection| {
            let mut statement = connection.prepare(sql)?;
            let rows = statement.query_map([], |row| {
                Ok(MessageRow { id: row.get(0)?, topic: row.get(1)?, time_ns: row.get(2)? })
            })?;
            rows.collect()
        })
    }

    /// How messages of a type are built: the schema's encoding and text, where the bag holds it.
    pub fn definition(&self, type_name: &str) -> Result<Option<(String, String)>, FramesError> {
        let known = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?1";
        let sql = "SELECT encoding, encoded_message_definition FROM message_definitions \
                   WHERE topic_type = ?1";
        self.ask(|connection| {
            let holds = connection.query_row(known, ["message_definitions"], |_| Ok(()));
            match holds.optional()? {
                None => Ok(None),
                Some(()) => {
                    let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
                    connection.query_row(sql, [type_name], row).optional()
                }
            }
        })
    }

    /// The bytes of a message.
    pub fn read(&self, id: i64) -> Result<Vec<u8>, FramesError> {
        let size = "SELECT length(data) FROM messages WHERE id = ?1";
        let sql = "SELECT data FROM messages WHERE id = ?1";
        let found = self.ask(|connection| {
            let size: i64 = connection.query_row(size, [id], |row| row.get(0))?;
            if size > MESSAGE_MAX {
                return Ok(None);
            }
            connection.query_row(sql, [id], |row| row.get(0)).map(Some)
        })?;
        found.ok_or_else(|| {
            let problem =
                Problem::new(format!("message {id}"), "more than 256 MiB", "leave it out");
            FramesError::malformed(&self.path, problem)
        })
    }
}

fn broken(path: &Path, error: &rusqlite::Error) -> FramesError {
    let what = format!("SQLite cannot read it ({error})");
    let remedy = "copy it again; `sqlite3 FILE .recover` keeps what is whole";
    FramesError::malformed(path, Problem::new("", what, remedy))
}

/// The address by which SQLite opens a file as unchanging.
fn uri(path: &Path) -> String {
    let mut uri = String::from("file:");
    for &byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' => uri.push(byte.into()),
            _ if byte.is_ascii_alphanumeric() => uri.push(byte.into()),
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri.push_str("?mode=ro&immutable=1");
    uri
}
