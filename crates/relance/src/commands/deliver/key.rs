//! Files beside the database: the key that signs links, and locks that say who works on it.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, Write},
    path::{Path, PathBuf},
};

use delivery::Keys;

use crate::context::Failure;

/// A file beside the database, with another ending.
fn beside(database: &Path, ending: &str) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// Reads the signing key; makes one that only its owner can read when there is none.
///
/// # Errors
/// `key.invalid`, and what the disk says.
pub(crate) fn load_keys(file: Option<&Path>, database: &Path) -> Result<Keys, Failure> {
    let path = file.map_or_else(|| beside(database, ".signing-key"), Path::to_path_buf);
    let told = |error: &io::Error| Failure::Other(format!("signing key {}: {error}", path.display()));
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => make(&path).map_err(|error| told(&error))?,
        Err(error) => return Err(told(&error)),
    };
    Keys::parse(&text).map_err(|problem| problem.in_file(path.display().to_string()).into())
}

/// Makes a key file. Written under another name and then linked: two processes at the same time end with one key.
fn make(path: &Path) -> io::Result<String> {
    let mut key = [0; Keys::LEN];
    getrandom::fill(&mut key).map_err(io::Error::other)?;
    let text = format!(
        "# signs the links in mails: keep it, or links in mails that were sent stop working\n{}\n",
        Keys::line(&key)
    );
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let new = beside(path, &format!(".{}.new", std::process::id()));
    let mut file = options.open(&new)?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    let linked = written.and_then(|()| std::fs::hard_link(&new, path));
    std::fs::remove_file(&new)?;
    match linked {
        Ok(()) => {
            eprintln!("made a signing key in {}", path.display());
            Ok(text)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => std::fs::read_to_string(path),
        Err(error) => Err(error),
    }
}

/// The lock of whoever does this kind of work (`deliver`, `engine`) on this base; none when somebody else holds it. It
/// goes with the process, however that ends.
pub(crate) fn lock(database: &Path, work: &str) -> Result<Option<File>, Failure> {
    let path = beside(database, &format!(".{work}-lock"));
    let told = |error: io::Error| Failure::Other(format!("{}: {error}", path.display()));
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(told)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        // A file system without locks: leases alone decide.
        Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => Ok(None),
        Err(TryLockError::Error(error)) => Err(told(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_only_its_owner_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("shop.db");
        let link = |keys: Keys| {
            let links = delivery::Links::new("https://a.example", keys).unwrap();
            links.token(&delivery::links::Link {
                kind: delivery::links::LinkKind::View,
                contact: model::ContactId(1),
                message: storage::outbox::MessageId([0; 16]),
                purpose: model::Slug::parse("p").unwrap(),
                issued_day: 0,
            })
        };
        let first = link(load_keys(None, &database).unwrap());
        assert_eq!(first, link(load_keys(None, &database).unwrap()));
        let other = folder.path().join("other.key");
        assert_ne!(first, link(load_keys(Some(&other), &database).unwrap()));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = std::fs::metadata(&other).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        std::fs::write(&other, "junk").unwrap();
        assert!(load_keys(Some(&other), &database).is_err());
        let names: Vec<_> =
            std::fs::read_dir(folder.path()).unwrap().map(|f| f.unwrap().file_name()).collect();
        assert_eq!(names.len(), 2, "{names:?}");
    }

    #[test]
    fn only_one_holds_the_lock() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("shop.db");
        let held = lock(&database, "deliver").unwrap();
        assert!(held.is_some());
        assert!(lock(&database, "deliver").unwrap().is_none());
        drop(held);
        assert!(lock(&database, "deliver").unwrap().is_some());
    }
}
