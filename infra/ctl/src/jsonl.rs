//! Files of JSON lines, read one line at a time.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use crate::exit::Failure;

/// The longest line, in bytes: a request has 1 MiB at most.
const LONGEST: u64 = 2 * 1024 * 1024;

/// One line that is not blank.
pub(crate) struct JsonlLine {
    /// Its number in the file, from 1.
    pub(crate) number: u64,
    /// Its text, or what is wrong with it.
    pub(crate) text: Result<String, &'static str>,
}

/// The lines of a file.
pub(crate) struct JsonlReader {
    path: PathBuf,
    reader: BufReader<File>,
    number: u64,
}

impl JsonlReader {
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        let file = File::open(path).map_err(|error| unreadable(path, &error))?;
        Ok(Self { path: path.to_owned(), reader: BufReader::new(file), number: 0 })
    }

    /// The next line that is not blank.
    pub(crate) fn next(&mut self) -> Result<Option<JsonlLine>, Failure> {
        loop {
            let mut bytes = Vec::new();
            let read = self.reader.by_ref().take(LONGEST + 1).read_until(b'\n', &mut bytes);
            if read.map_err(|error| unreadable(&self.path, &error))? == 0 {
                return Ok(None);
            }
            self.number += 1;
            if bytes.len() as u64 > LONGEST {
                self.reader.skip_until(b'\n').map_err(|error| unreadable(&self.path, &error))?;
                return Ok(Some(JsonlLine { number: self.number, text: Err("the line is longer than 2 MiB") }));
            }
            let text = match std::str::from_utf8(&bytes) {
                // Some programs put a byte order mark in front.
                Ok(text) => text.trim_start_matches('\u{feff}').trim(),
                Err(_) => return Ok(Some(JsonlLine { number: self.number, text: Err("the line is not UTF-8") })),
            };
            if !text.is_empty() {
                return Ok(Some(JsonlLine { number: self.number, text: Ok(text.to_owned()) }));
            }
        }
    }
}

/// How many lines of a file are not blank.
pub(crate) fn count(path: &Path) -> Result<u64, Failure> {
    let mut lines = JsonlReader::open(path)?;
    let mut count = 0;
    while lines.next()?.is_some() {
        count += 1;
    }
    Ok(count)
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    Failure::usage(format!("{}: {error}", path.display()))
}
