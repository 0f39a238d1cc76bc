//! The output file, which is either complete or absent.

use std::fs;
use std::io::{self, Seek, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::folder::{check_folder, folder};
use crate::shared::Failure;

/// A temporary file that [`Target::keep`] moves to its final path.
///
/// The temporary file is in the same folder as the final path. Dropping the target without
/// [`Target::keep`] deletes it. Error messages contain the final path.
pub(crate) struct Target {
    /// The final path.
    place: PathBuf,
    file: NamedTempFile,
}

impl Target {
    /// Creates the temporary file for the final path `place`.
    ///
    /// Fails if `place` exists and is not a file, or if its folder is not writable.
    pub(crate) fn create(place: &Path) -> Result<Self, Failure> {
        // Resolves symbolic links, so that `persist` replaces the file and not the link.
        let place = fs::canonicalize(place).unwrap_or_else(|_| place.to_owned());
        let named = |error| name(&place, error);
        if fs::metadata(&place).is_ok_and(|there| !there.is_file()) {
            // `persist` must not replace a device or a folder.
            return Err(format!("{}: already exists and is not a file", place.display()).into());
        }
        check_folder(&place)?;
        let mut builder = tempfile::Builder::new();
        builder.prefix(".block-").suffix(".part");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            // The default of `tempfile` is 0600. The umask applies, as to any other new file.
            builder.permissions(fs::Permissions::from_mode(0o666));
        }
        let file = builder.tempfile_in(folder(&place)).map_err(named)?;
        Ok(Self { place, file })
    }

    /// Appends `bytes` to the temporary file.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let written = self.file.as_file_mut().write_all(bytes);
        written.map_err(|error| name(&self.place, error))
    }

    /// Discards the content of the temporary file.
    pub(crate) fn clear(&mut self) -> Result<(), Failure> {
        let file = self.file.as_file_mut();
        let cleared = file.set_len(0).and_then(|()| file.rewind());
        cleared.map_err(|error| name(&self.place, error))
    }

    /// Syncs the temporary file and moves it to its final path. Replaces an existing file.
    pub(crate) fn keep(self) -> Result<(), Failure> {
        let synced = self.file.as_file().sync_all();
        synced.map_err(|error| name(&self.place, error))?;
        match self.file.persist(&self.place) {
            Ok(_) => Ok(()),
            Err(error) => Err(name(&self.place, error.error)),
        }
    }
}

/// Returns `error` with the final path as a prefix, without the path of the temporary file.
fn name(place: &Path, error: io::Error) -> Failure {
    let system = error.get_ref().and_then(|error| error.source());
    let error = system.map_or_else(|| error.to_string(), ToString::to_string);
    format!("{}: {error}", place.display()).into()
}
