//! A file that appears under its name only when it is complete.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::failure::Failure;

/// What follows the name of a file that is not complete.
const UNFINISHED: &str = ".unfinished";

/// A file in the making, or standard output. What is not kept is removed.
pub struct NewFile {
    /// Where it is to stand and where it stands, with itself; `None`: standard output.
    file: Option<(PathBuf, PathBuf, File)>,
}

impl NewFile {
    /// Begins a file that its owner only can read; `-` is standard output.
    ///
    /// # Errors
    /// When there is a file of this name, or the folder cannot be written.
    pub fn create(path: &Path) -> Result<Self, Failure> {
        if path == Path::new("-") {
            return Ok(Self { file: None });
        }
        if path.exists() {
            return Err(Failure::Unusable(format!(
                "{} is there already: name a file that is not, or move it away first",
                path.display()
            )));
        }
        let mut name = path.as_os_str().to_owned();
        name.push(UNFINISHED);
        let unfinished = PathBuf::from(name);
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&unfinished)
            .map_err(|error| unwritable(&unfinished, &error))?;
        Ok(Self {
            file: Some((path.to_owned(), unfinished, file)),
        })
    }

    /// Returns what is written to.
    pub fn output(&self) -> Result<Box<dyn Write>, Failure> {
        Ok(match &self.file {
            None => Box::new(BufWriter::new(std::io::stdout())),
            Some((_, unfinished, file)) => {
                let file = file
                    .try_clone()
                    .map_err(|error| unwritable(unfinished, &error))?;
                Box::new(BufWriter::with_capacity(256 * 1024, file))
            }
        })
    }

    /// Keeps what was written and flushed, and gives it its name.
    pub fn keep(mut self) -> Result<(), Failure> {
        let Some((path, unfinished, file)) = self.file.take() else {
            return Ok(());
        };
        file.sync_all()
            .and_then(|()| std::fs::rename(&unfinished, &path))
            .map_err(|error| unwritable(&path, &error))
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if let Some((_, unfinished, _)) = &self.file {
            // The command already failed and says why.
            let _ = std::fs::remove_file(unfinished);
        }
    }
}

fn unwritable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::Unusable(format!("cannot write {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_appears_when_it_is_complete_and_replaces_none() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        let write = |text: &[u8]| {
            let file = NewFile::create(&path).ok().unwrap();
            let mut output = file.output().ok().unwrap();
            output.write_all(text).unwrap();
            output.flush().unwrap();
            assert!(!path.exists());
            file
        };
        drop(write(b"half"));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        write(b"whole").keep().ok().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"whole");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert!(NewFile::create(&path).is_err());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
