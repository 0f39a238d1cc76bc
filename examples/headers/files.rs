//! The files that `headers` reads and writes.

use std::fmt::Display;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use bsv_p2p::wire::HeaderChain;
use bsv_p2p::{HeaderStore, HeaderStoreError, Network};

use crate::folder::check_folder;
use crate::plural::plural;

/// The file from which the download continues.
pub(crate) struct ChainFile {
    store: HeaderStore,
    loaded: u32,
}

impl ChainFile {
    /// Opens or creates the file and verifies its headers. Reports the number of headers, and
    /// damage, on standard error.
    pub(crate) fn open(
        path: &Path,
        network: &Network,
    ) -> Result<(Self, HeaderChain), HeaderStoreError> {
        let (store, chain, report) = HeaderStore::open(path, network)?;
        let loaded = report.headers;
        let headers = plural(loaded, "header");
        warn(format_args!("{}: loaded {headers}", path.display()));
        if let Some(damaged) = report.damaged {
            warn(format_args!("{}: {damaged} (removed)", path.display()));
        }
        Ok((Self { store, loaded }, chain))
    }

    /// Returns the canonical path.
    pub(crate) fn path(&self) -> &Path {
        self.store.path()
    }

    /// Returns the number of headers in the file when it was opened.
    pub(crate) fn loaded(&self) -> u32 {
        self.loaded
    }

    pub(crate) fn update(&mut self, chain: &HeaderChain) -> Result<(), HeaderStoreError> {
        self.store.update(chain)
    }

    pub(crate) fn sync(&mut self) -> Result<(), HeaderStoreError> {
        self.store.sync()
    }
}

/// A file to which the chain is written at the end. Errors contain the path.
pub(crate) struct OutputFile {
    path: PathBuf,
}

impl OutputFile {
    /// Checks that the file can be written. Creates a missing file; an existing one is unchanged.
    pub(crate) fn open(path: PathBuf) -> Result<Self, String> {
        check_folder(&path)?;
        let mut options = File::options();
        options.write(true).create(true).truncate(false);
        match options.open(&path) {
            Ok(_) => Ok(Self { path }),
            Err(error) => Err(format!("{}: {error}", path.display())),
        }
    }

    pub(crate) fn write(self, chain: &HeaderChain) -> Result<(), String> {
        let write = || {
            let mut file = BufWriter::new(File::create(&self.path)?);
            for header in chain.headers(..) {
                file.write_all(&header.to_bytes())?;
            }
            file.flush()
        };
        write().map_err(|error| format!("{}: {error}", self.path.display()))
    }
}

/// Prints a line on standard error.
fn warn(line: impl Display) {
    // Standard error may be closed.
    let _ = writeln!(io::stderr(), "{line}");
}
