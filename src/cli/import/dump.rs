//! Reading a dump record by record, however large the file: one JSON array, on one line or many, or one object a line.

use crate::config::limits::IMPORT_RECORD_BYTES_MAX;
use clap::ValueEnum;
use serde::de::{DeserializeSeed, Deserializer, Error, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::{
    cell::Cell,
    fmt,
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::Path,
    rc::Rc,
};

const BUFFER_BYTES: usize = 256 << 10;

/// How records follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// One JSON array.
    Json,
    /// One JSON object a line.
    Jsonl,
}

/// One record: its place in the file, from 0, and how many bytes have been read so far.
pub(super) struct Item<'a> {
    pub(super) index: u64,
    pub(super) text: &'a str,
    pub(super) read: u64,
}

/// Why reading ended early.
#[derive(Debug)]
pub(super) enum ReadError<E> {
    /// The file.
    File(String),
    /// Whoever was shown the records.
    Stopped(E),
}

/// Shows each record of the file to `each`. Without a format, the first character says which it is.
pub(super) fn read<E>(
    path: &Path,
    format: Option<Format>,
    mut each: impl FnMut(Item<'_>) -> Result<(), E>,
) -> Result<(), ReadError<E>> {
    let cannot = |error: io::Error| ReadError::File(format!("{} cannot be read: {error}", path.display()));
    let file = File::open(path).map_err(cannot)?;
    let mut input = BufReader::with_capacity(BUFFER_BYTES, file);
    let format = match format {
        Some(format) => format,
        None => guess(&mut input).map_err(cannot)?,
    };
    let meter = Meter::default();
    let input = Metered { input, meter: meter.clone() };
    let mut stopped = None;
    let mut show = Show { meter, index: 0, each: &mut each, stopped: &mut stopped };
    let read = match format {
        Format::Json => {
            let mut json = serde_json::Deserializer::from_reader(input);
            json.deserialize_seq(&mut show).and_then(|()| json.end())
        }
        Format::Jsonl => {
            let records = serde_json::Deserializer::from_reader(input).into_iter::<Box<RawValue>>();
            let mut records = records.map(|record| record.and_then(|record| show.one(&record)));
            records.try_for_each(|shown| shown)
        }
    };
    match (read, stopped) {
        (_, Some(error)) => Err(ReadError::Stopped(error)),
        (Ok(()), None) => Ok(()),
        (Err(error), None) => Err(ReadError::File(format!(
            "{} is no file of dumpdata: {error}; it must be UTF-8 JSON, one array (or, with --format jsonl, one object a line)",
            path.display()
        ))),
    }
}

/// By the first character that is no space.
fn guess(input: &mut BufReader<File>) -> io::Result<Format> {
    let first = input.fill_buf()?.iter().find(|byte| !byte.is_ascii_whitespace());
    Ok(if first == Some(&b'{') { Format::Jsonl } else { Format::Json })
}

/// Bytes read, altogether and since the record before.
#[derive(Clone, Default)]
struct Meter(Rc<Cell<(u64, u64)>>);

/// A reader that gives up on a record that is too large for memory.
struct Metered {
    input: BufReader<File>,
    meter: Meter,
}

impl Read for Metered {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.input.read(buffer)?;
        let (all, record) = self.meter.0.get();
        self.meter.0.set((all + n as u64, record + n as u64));
        if record > IMPORT_RECORD_BYTES_MAX {
            return Err(io::Error::other(format!("a record has more than {IMPORT_RECORD_BYTES_MAX} bytes")));
        }
        Ok(n)
    }
}

struct Show<'a, E, F> {
    meter: Meter,
    index: u64,
    each: &'a mut F,
    stopped: &'a mut Option<E>,
}

impl<E, F: FnMut(Item<'_>) -> Result<(), E>> Show<'_, E, F> {
    fn one<Wrong: Error>(&mut self, record: &RawValue) -> Result<(), Wrong> {
        let (read, _) = self.meter.0.get();
        self.meter.0.set((read, 0));
        let shown = (self.each)(Item { index: self.index, text: record.get(), read });
        self.index += 1;
        shown.map_err(|error| {
            *self.stopped = Some(error);
            Wrong::custom("stopped")
        })
    }
}

impl<'de, E, F: FnMut(Item<'_>) -> Result<(), E>> Visitor<'de> for &mut Show<'_, E, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of records")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut records: A) -> Result<(), A::Error> {
        while let Some(record) = records.next_element_seed(OneRecord)? {
            self.one(&record)?;
        }
        Ok(())
    }
}

struct OneRecord;

impl<'de> DeserializeSeed<'de> for OneRecord {
    type Value = Box<RawValue>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Box<RawValue>, D::Error> {
        serde::Deserialize::deserialize(deserializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(text: &str, format: Option<Format>) -> Result<Vec<String>, String> {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), text).expect("written");
        let mut seen = Vec::new();
        let read = read(file.path(), format, |item| {
            assert_eq!(item.index, seen.len() as u64);
            seen.push(item.text.to_owned());
            if item.text == "\"stop\"" { Err("stopped") } else { Ok(()) }
        });
        match read {
            Ok(()) => Ok(seen),
            Err(ReadError::Stopped(error)) => Err(error.into()),
            Err(ReadError::File(error)) => Err(error),
        }
    }

    #[test]
    fn records_come_one_by_one_from_an_array_or_from_lines() {
        let two = vec![r#"{"a": [1.50, "}"]}"#.to_owned(), "{}".to_owned()];
        let table = [
            (r#"[{"a": [1.50, "}"]},{}]"#, None),
            ("\n [\n  {\"a\": [1.50, \"}\"]},\n  {}\n]\n", None),
            ("{\"a\": [1.50, \"}\"]}\n{}\n", None),
            ("{\"a\": [1.50, \"}\"]}\n\n{}", Some(Format::Jsonl)),
        ];
        for (text, format) in table {
            assert_eq!(records(text, format), Ok(two.clone()), "{text}");
        }
        assert_eq!(records("[]", None), Ok(Vec::new()));
        assert_eq!(records("", Some(Format::Jsonl)), Ok(Vec::new()));
        assert_eq!(records(r#"[1, "stop", }"#, None), Err("stopped".into()));
        for bad in ["", "[", "[{}", "[{}] x", "[{},]", "{}{", "\u{feff}[]", "nothing"] {
            assert!(records(bad, None).is_err_and(|error| error.contains("no file of dumpdata")), "{bad:?}");
        }
    }

    #[test]
    fn a_record_that_is_too_large_for_memory_is_refused() {
        let large = format!("[{{}}, \"{}\"]", "x".repeat(IMPORT_RECORD_BYTES_MAX as usize + BUFFER_BYTES * 2));
        assert!(records(&large, None).is_err_and(|error| error.contains("more than")));
    }
}
