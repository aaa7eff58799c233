//! `relance backup` and `relance restore`: a folder with the base, the keys beside it, and a manifest that says what it
//! holds. A backup is taken while everything goes on; a restore never writes over a base unless told to.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
    process::ExitCode,
};

use model::Problem;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use storage::upkeep::UpkeepStore;
use storage_sqlite::{Options, Sqlite};

use super::deliver::lock;
use crate::context::{Common, Failure};

/// The base in a backup.
const BASE: &str = "relance.db";
/// What a backup holds.
const MANIFEST: &str = "manifest.json";
/// Files beside the base that belong to it, by what follows the base's name.
const BESIDE: &[&str] = &[".signing-key", ".dkim"];

/// Options of `relance backup`.
#[derive(clap::Args)]
pub struct Backup {
    /// The folder to write; it must not exist yet
    folder: PathBuf,
}

/// Options of `relance restore`.
#[derive(clap::Args)]
pub struct Restore {
    /// The folder that `relance backup` wrote
    folder: PathBuf,
    /// Replace the base that is there; it is kept beside, under another name
    #[arg(long)]
    replace: bool,
}

#[derive(Debug, Serialize, Deserialize)]
struct Manifest {
    /// The program that wrote it.
    version: String,
    /// When.
    taken_at: String,
    /// Steps of the schema.
    schema: u32,
    /// Its files.
    files: Vec<Listed>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Listed {
    name: String,
    bytes: u64,
    sha256: String,
}

fn told(path: &Path) -> impl Fn(io::Error) -> Failure + '_ {
    move |error| Failure::Other(format!("{}: {error}", path.display()))
}

fn beside(base: &Path, ending: &str) -> PathBuf {
    let mut name = base.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// Takes a backup.
///
/// # Errors
/// See [`Failure`].
pub async fn backup(args: &Backup, common: &Common) -> Result<ExitCode, Failure> {
    let store = common.open()?;
    if args.folder.exists() {
        return Err(Problem::new("backup.exists", "there is something already")
            .field("FOLDER")
            .value(args.folder.display())
            .cure("name a folder that does not exist yet")
            .into());
    }
    // Written under another name and renamed: a folder of this name is a whole backup.
    let unfinished = beside(&args.folder, ".unfinished");
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished).map_err(told(&unfinished))?;
    }
    private_folder(&unfinished)?;
    store.copy_to(unfinished.join(BASE)).await?;
    let mut names = vec![BASE.to_owned()];
    for ending in BESIDE {
        let source = beside(store.path(), ending);
        let name = format!("{BASE}{ending}");
        if source.is_dir() {
            fs::create_dir(unfinished.join(&name)).map_err(told(&source))?;
            for entry in fs::read_dir(&source).map_err(told(&source))? {
                let entry = entry.map_err(told(&source))?;
                let inside = format!("{name}/{}", entry.file_name().to_string_lossy());
                fs::copy(entry.path(), unfinished.join(&inside)).map_err(told(&entry.path()))?;
                names.push(inside);
            }
        } else if source.is_file() {
            fs::copy(&source, unfinished.join(&name)).map_err(told(&source))?;
            names.push(name);
        }
    }
    let files = names.iter().map(|name| listed(&unfinished, name)).collect::<Result<Vec<_>, _>>()?;
    let bytes: u64 = files.iter().map(|file| file.bytes).sum();
    let copy = Sqlite::open(unfinished.join(BASE), Options::default())?;
    let health = copy.health().await?;
    drop(copy);
    if !health.faults.is_empty() {
        return Err(Failure::Other(format!("the copy is not sound: {}", health.faults.join("; "))));
    }
    let manifest = Manifest {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        taken_at: common.clock()?.now().to_string(),
        schema: health.schema,
        files: names.iter().map(|name| listed(&unfinished, name)).collect::<Result<Vec<_>, _>>()?,
    };
    let text = serde_json::to_string_pretty(&manifest).map_err(|error| Failure::Other(error.to_string()))?;
    fs::write(unfinished.join(MANIFEST), text + "\n").map_err(told(&unfinished))?;
    File::open(&unfinished).and_then(|folder| folder.sync_all()).map_err(told(&unfinished))?;
    fs::rename(&unfinished, &args.folder).map_err(told(&args.folder))?;
    eprintln!("{} files, {bytes} bytes, in {}", manifest.files.len(), args.folder.display());
    Ok(ExitCode::SUCCESS)
}

/// A folder that only its owner reads: it holds keys.
fn private_folder(path: &Path) -> Result<(), Failure> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(told(path))
}

fn listed(folder: &Path, name: &str) -> Result<Listed, Failure> {
    let path = folder.join(name);
    let mut file = File::open(&path).map_err(told(&path))?;
    let (mut hash, mut bytes, mut block) = (Sha256::new(), 0, vec![0; 1 << 20]);
    loop {
        match file.read(&mut block).map_err(told(&path))? {
            0 => break,
            read => {
                hash.update(&block[..read]);
                bytes += read as u64;
            }
        }
    }
    let sha256 = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Listed { name: name.to_owned(), bytes, sha256 })
}

/// Brings a backup back.
///
/// # Errors
/// See [`Failure`].
pub fn restore(args: &Restore, common: &Common) -> Result<ExitCode, Failure> {
    let manifest = read_manifest(&args.folder)?;
    let database = common.path()?;
    for work in ["engine", "deliver"] {
        if database.exists() && lock(&database, work)?.is_none() {
            return Err(Problem::new("engine.running", "another process works on this database")
                .cure("stop the server first")
                .into());
        }
    }
    if database.exists() && !args.replace {
        return Err(Problem::new("restore.exists", "there is a base already")
            .field("--database")
            .value(database.display())
            .cure("name another with --database, or give --replace: the one that is there is kept beside")
            .into());
    }
    let old = beside(&database, ".before-restore");
    if database.exists() {
        if old.exists() {
            return Err(Problem::new(
                "restore.exists",
                "the base from before an earlier restore is still there",
            )
            .value(old.display())
            .cure("move it away first")
            .into());
        }
        // Whatever stands in the log of the old base belongs to it: opened and closed, it has none.
        drop(Sqlite::open(&database, Options::default())?);
    }
    // The base comes last: without it nothing opens, so a restore that broke off is seen.
    let new = beside(&database, ".restoring");
    fs::copy(args.folder.join(BASE), &new).map_err(told(&new))?;
    File::open(&new).and_then(|file| file.sync_all()).map_err(told(&new))?;
    for file in manifest.files.iter().filter(|file| file.name != BASE) {
        let target = beside(&database, file.name.trim_start_matches(BASE));
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder).map_err(told(folder))?;
        }
        fs::copy(args.folder.join(&file.name), &target).map_err(told(&target))?;
        #[cfg(unix)]
        {
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
            fs::set_permissions(&target, mode).map_err(told(&target))?;
        }
    }
    if database.exists() {
        fs::rename(&database, &old).map_err(told(&old))?;
    }
    fs::rename(&new, &database).map_err(told(&database))?;
    eprintln!("{} is as of {}", database.display(), manifest.taken_at);
    Ok(ExitCode::SUCCESS)
}

/// Reads the manifest and compares every file with it.
fn read_manifest(folder: &Path) -> Result<Manifest, Failure> {
    let path = folder.join(MANIFEST);
    let bad = |why: String| -> Failure {
        Problem::new("restore.backup", why)
            .field("FOLDER")
            .value(folder.display())
            .cure("name a folder that `relance backup` wrote")
            .into()
    };
    let text = fs::read_to_string(&path).map_err(|error| bad(format!("{MANIFEST}: {error}")))?;
    let manifest: Manifest =
        serde_json::from_str(&text).map_err(|error| bad(format!("{MANIFEST}: {error}")))?;
    if !manifest.files.iter().any(|file| file.name == BASE) {
        return Err(bad(format!("the manifest names no {BASE}")));
    }
    for file in &manifest.files {
        let strange = file.name.starts_with('/') || file.name.split('/').any(|part| part == "..");
        if strange || !file.name.starts_with(BASE) {
            return Err(bad(format!("`{}` is none of ours", file.name)));
        }
        let found = listed(folder, &file.name)?;
        if (found.bytes, &found.sha256) != (file.bytes, &file.sha256) {
            return Err(bad(format!("`{}` is not what was written", file.name)));
        }
    }
    Ok(manifest)
}
