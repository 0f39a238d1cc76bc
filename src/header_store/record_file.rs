//! A file of 80-byte records.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::HeaderStoreError;
use crate::files::failed;
use crate::wire::BlockHeader;

const RECORD: usize = BlockHeader::LEN;

/// A file of headers, addressed by index from 0.
#[derive(Debug)]
pub(super) struct RecordFile {
    path: PathBuf,
    file: File,
    /// The bytes of the last read or write.
    buffer: Vec<u8>,
}

impl RecordFile {
    /// Opens a file for reading and writing. Creates it if there is none.
    pub(super) fn open(path: &Path) -> Result<Self, HeaderStoreError> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        Self::open_with(path, &options)
    }

    /// Opens an existing file for reading.
    pub(super) fn open_read_only(path: &Path) -> Result<Self, HeaderStoreError> {
        Self::open_with(path, OpenOptions::new().read(true))
    }

    fn open_with(path: &Path, options: &OpenOptions) -> Result<Self, HeaderStoreError> {
        // Opening a named pipe could wait without limit, and a device has no end.
        if fs::metadata(path).is_ok_and(|found| !found.is_file()) {
            return Err(HeaderStoreError::NotRegularFile { path: path.into() });
        }
        Ok(Self {
            path: path.into(),
            file: options.open(path).map_err(failed("opening", path))?,
            buffer: Vec::new(),
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the length of the file in bytes.
    pub(super) fn byte_len(&self) -> Result<u64, HeaderStoreError> {
        let metadata = self
            .file
            .metadata()
            .map_err(failed("reading", &self.path))?;
        Ok(metadata.len())
    }

    /// Reads up to `max` complete records from `index` on and appends them to `headers`. Returns
    /// the number of records read, which is less than `max` only at the end of the file.
    pub(super) fn read(
        &mut self,
        index: u32,
        max: usize,
        headers: &mut Vec<BlockHeader>,
    ) -> Result<usize, HeaderStoreError> {
        let bytes = self.read_bytes(offset_of(index), max * RECORD)?;
        let (records, _) = bytes.as_chunks::<RECORD>();
        headers.extend(records.iter().map(BlockHeader::from_bytes));
        Ok(records.len())
    }

    /// Returns the record at `index`, if the file has it completely.
    pub(super) fn record(&mut self, index: u32) -> Result<Option<BlockHeader>, HeaderStoreError> {
        let bytes = self.read_bytes(offset_of(index), RECORD)?;
        Ok(bytes.as_array().map(BlockHeader::from_bytes))
    }

    /// Reads up to `max` bytes at `offset`; fewer only at the end of the file.
    pub(super) fn read_bytes(
        &mut self,
        offset: u64,
        max: usize,
    ) -> Result<&[u8], HeaderStoreError> {
        self.buffer.resize(max, 0);
        let mut len = 0;
        let mut read = || {
            self.file.seek(SeekFrom::Start(offset))?;
            while len < max {
                match self.file.read(&mut self.buffer[len..]) {
                    Ok(0) => break,
                    Ok(read) => len += read,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
                    Err(error) => return Err(error),
                }
            }
            Ok(())
        };
        read().map_err(failed("reading", &self.path))?;
        Ok(&self.buffer[..len])
    }

    /// Writes records at `index`, where the file must end. If that fails, as many bytes as possible
    /// are removed again.
    pub(super) fn append(
        &mut self,
        index: u32,
        headers: &[BlockHeader],
    ) -> Result<(), HeaderStoreError> {
        self.buffer.clear();
        for header in headers {
            self.buffer.extend_from_slice(&header.to_bytes());
        }
        let offset = offset_of(index);
        let mut write = || {
            self.file.seek(SeekFrom::Start(offset))?;
            self.file.write_all(&self.buffer)
        };
        write().map_err(|error| {
            // The next update repeats this, if it fails.
            let _ = self.file.set_len(offset);
            failed("writing", &self.path)(error).into()
        })
    }

    /// Shortens the file to `len` records.
    pub(super) fn truncate(&mut self, len: u32) -> Result<(), HeaderStoreError> {
        let truncated = self.file.set_len(offset_of(len));
        Ok(truncated.map_err(failed("truncating", &self.path))?)
    }

    /// Writes the content and the length to the disk.
    pub(super) fn sync(&mut self) -> Result<(), HeaderStoreError> {
        Ok(self
            .file
            .sync_all()
            .map_err(failed("syncing", &self.path))?)
    }
}

/// Returns the position of a record, or the length of as many records, in bytes.
pub(super) fn offset_of(index: u32) -> u64 {
    u64::from(index) * RECORD as u64
}
