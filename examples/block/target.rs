//! The file that is there whole, or not at all.

use std::fs;
use std::io::{self, Seek, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::shared::Failure;

/// A file that is written under a name of its own beside its place, and gone when this is dropped without [`Target::keep`]. Errors name the
/// place.
pub(crate) struct Target {
    place: PathBuf,
    file: NamedTempFile,
}

impl Target {
    /// Nothing is written yet, but somebody has tried.
    pub(crate) fn create(place: &Path) -> Result<Self, Failure> {
        // Where a link leads to, so that it stays one.
        let place = fs::canonicalize(place).unwrap_or_else(|_| place.to_owned());
        let named = |error| name(&place, error);
        if fs::metadata(&place).is_ok_and(|there| !there.is_file()) {
            // A device or a folder must not be replaced.
            return Err(format!("{}: it is there, and is no file", place.display()).into());
        }
        let folder = match place.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        };
        let mut builder = tempfile::Builder::new();
        builder.prefix(".block-").suffix(".part");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            // Whoever may read other files of this user may read this one.
            builder.permissions(fs::Permissions::from_mode(0o666));
        }
        let file = builder.tempfile_in(folder).map_err(named)?;
        Ok(Self { place, file })
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let written = self.file.as_file_mut().write_all(bytes);
        written.map_err(|error| name(&self.place, error))
    }

    /// Forgets what has been written.
    pub(crate) fn clear(&mut self) -> Result<(), Failure> {
        let file = self.file.as_file_mut();
        let cleared = file.set_len(0).and_then(|()| file.rewind());
        cleared.map_err(|error| name(&self.place, error))
    }

    /// Gives the file its name.
    pub(crate) fn keep(self) -> Result<(), Failure> {
        let synced = self.file.as_file().sync_all();
        synced.map_err(|error| name(&self.place, error))?;
        match self.file.persist(&self.place) {
            Ok(_) => Ok(()),
            Err(error) => Err(name(&self.place, error.error)),
        }
    }
}

fn name(place: &Path, error: io::Error) -> Failure {
    format!("{}: {error}", place.display()).into()
}
