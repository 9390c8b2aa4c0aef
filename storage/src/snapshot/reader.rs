//! Reading snapshot files: each record checked as it comes, the whole file once the trailer is reached.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use crc32fast::Hasher;

use super::SnapshotError;
use super::format::{DATA, HEADER_BYTES, Header, MAGIC, META, PART_BYTES_MAX, TRAILER, Trailer};
use crate::digest::Digest;

const BUFFER_BYTES: usize = 1 << 20;

/// A snapshot on disk. Its beginning has been read; [`SnapshotFile::verify`] reads all of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotFile {
    /// Where it is. To send it to another node, send the file as it stands.
    pub path: PathBuf,
    /// The caller's bytes, given when it was created.
    pub meta: Vec<u8>,
    /// Its size.
    pub bytes: u64,
}

impl SnapshotFile {
    /// Reads the beginning of the snapshot at `path`.
    ///
    /// # Errors
    /// When it is no snapshot, or of another version.
    pub fn open(path: &Path) -> Result<Self, SnapshotError> {
        let (_, meta, bytes) = Reader::open(path)?;
        Ok(Self { path: path.to_owned(), meta, bytes })
    }

    /// The records, in the order in which they were written. The last item is an error if the file is not exactly what
    /// was written: use nothing before the iterator has ended without one.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn records(&self) -> Result<Records, SnapshotError> {
        let (reader, _, _) = Reader::open(&self.path)?;
        Ok(Records { reader: Some(reader) })
    }

    /// Reads the whole file and checks every byte.
    ///
    /// # Errors
    /// [`SnapshotError::Damaged`] with the place.
    pub fn verify(&self) -> Result<(), SnapshotError> {
        self.records()?.try_for_each(|record| record.map(|_| ()))
    }
}

/// Key and value.
pub type Pair = (Vec<u8>, Vec<u8>);

/// The records of a snapshot.
#[derive(Debug)]
pub struct Records {
    reader: Option<Reader>,
}

impl Iterator for Records {
    type Item = Result<Pair, SnapshotError>;

    fn next(&mut self) -> Option<Self::Item> {
        let item = self.reader.as_mut()?.record().transpose();
        if !matches!(item, Some(Ok(_))) {
            self.reader = None;
        }
        item
    }
}

#[derive(Debug)]
struct Reader {
    path: PathBuf,
    input: BufReader<File>,
    offset: u64,
    checksum: Hasher,
    count: u64,
    digest: Digest,
}

impl Reader {
    fn open(path: &Path) -> Result<(Self, Vec<u8>, u64), SnapshotError> {
        let file = File::open(path).map_err(SnapshotError::io("open", path))?;
        let bytes = file.metadata().map_err(SnapshotError::io("read", path))?.len();
        let mut reader = Self {
            path: path.to_owned(),
            input: BufReader::with_capacity(BUFFER_BYTES, file),
            offset: 0,
            checksum: Hasher::new(),
            count: 0,
            digest: Digest::default(),
        };
        let magic = reader.take(MAGIC.len())?;
        reader.checksum.update(&magic);
        match magic.split_last() {
            Some((_, name)) if name != &MAGIC[..name.len()] => {
                return Err(reader.damaged("it does not begin like a snapshot"));
            }
            Some((&found, _)) if found != MAGIC[MAGIC.len() - 1] => {
                return Err(SnapshotError::Newer { file: path.to_owned(), found });
            }
            _ => {}
        }
        match reader.next()? {
            (META, _, meta) => Ok((reader, meta, bytes)),
            (kind, ..) => {
                Err(reader.damaged(&format!("a record of kind {kind} stands where the meta record should be")))
            }
        }
    }

    /// The next data record; `None` once the trailer was reached and everything fits.
    fn record(&mut self) -> Result<Option<Pair>, SnapshotError> {
        let crc = self.checksum.clone().finalize();
        match self.next()? {
            (DATA, key, value) => {
                self.count += 1;
                self.digest.add(&key, &value);
                Ok(Some((key, value)))
            }
            (TRAILER, _, found) => {
                let trailer = Trailer { count: self.count, digest: self.digest.0, crc };
                if found != trailer.to_bytes() {
                    return Err(self.damaged(&format!("its trailer does not fit the {} records before it", self.count)));
                }
                let mut rest = [0];
                match self.input.read(&mut rest) {
                    Ok(0) => Ok(None),
                    Ok(_) => Err(self.damaged("there are bytes behind its trailer")),
                    Err(error) => Err(SnapshotError::io("read", &self.path)(error)),
                }
            }
            (kind, ..) => Err(self.damaged(&format!("a record of kind {kind} stands among the data records"))),
        }
    }

    /// Any record, its checksum checked.
    fn next(&mut self) -> Result<(u8, Vec<u8>, Vec<u8>), SnapshotError> {
        let mut raw = [0; HEADER_BYTES];
        raw.copy_from_slice(&self.take(HEADER_BYTES)?);
        let header = Header::parse(&raw);
        if header.key > PART_BYTES_MAX || header.value > PART_BYTES_MAX {
            return Err(self.damaged("a record's length is not believable"));
        }
        let key = self.take(header.key)?;
        let value = self.take(header.value)?;
        if !header.fits(&key, &value) {
            return Err(self.damaged("the checksum of the record that ends here is wrong"));
        }
        for part in [&raw[..], &key, &value] {
            self.checksum.update(part);
        }
        Ok((header.kind, key, value))
    }

    fn take(&mut self, bytes: usize) -> Result<Vec<u8>, SnapshotError> {
        let mut out = vec![0; bytes];
        match self.input.read_exact(&mut out) {
            Ok(()) => {
                self.offset += bytes as u64;
                Ok(out)
            }
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Err(self.damaged("it ends too early")),
            Err(error) => Err(SnapshotError::io("read", &self.path)(error)),
        }
    }

    fn damaged(&self, what: &str) -> SnapshotError {
        SnapshotError::Damaged { file: self.path.clone(), offset: self.offset, what: what.to_owned() }
    }
}
