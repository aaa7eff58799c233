//! `relance dkim`: keys that sign outgoing mail. They lie in a folder beside the database, never in it, so that a copy of
//! the base signs nothing.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Subcommand, ValueEnum};
use delivery::dkim::{Key, encode_pem, new_ed25519};
use model::Problem;
use rsa::pkcs8::EncodePrivateKey;

use crate::{
    context::{Common, Failure},
    output::Listing,
};

/// Bits of an RSA key that we make: what every verifier takes (RFC 8301 §3.2), and a record of less than 512 bytes.
const RSA_BITS: usize = 2_048;

/// Options of `relance dkim`.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

/// Which kind of key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// RSA of 2048 bits: understood everywhere
    Rsa,
    /// Ed25519: short and quick, not understood everywhere
    Ed25519,
    /// One of each: both sign every mail
    Both,
}

/// What to do.
#[derive(Subcommand)]
enum What {
    /// Make a key, and print the record to publish
    Create {
        /// The domain of the sender's address
        domain: String,
        /// What tells the key apart; an Ed25519 key beside an RSA one gets an `e` behind it
        #[arg(long, default_value = "relance", value_name = "NAME")]
        selector: String,
        /// Which kind
        #[arg(long, value_enum, default_value_t = Kind::Rsa)]
        kind: Kind,
    },
    /// List the keys with their records
    Show,
}

/// The folder of the keys.
fn folder(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(".dkim");
    name.into()
}

/// The keys beside a database.
///
/// # Errors
/// `dkim.*` with the file, and what the disk says.
pub(crate) fn load(database: &Path) -> Result<Vec<Key>, Failure> {
    let folder = folder(database);
    let told = |path: &Path, error: &io::Error| Failure::Other(format!("{}: {error}", path.display()));
    let files = match fs::read_dir(&folder) {
        Ok(files) => files,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(told(&folder, &error)),
    };
    let mut keys = Vec::new();
    for file in files {
        let path = file.map_err(|error| told(&folder, &error))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let Some((selector, domain)) = name.strip_suffix(".pem").and_then(|name| name.split_once('.')) else {
            continue;
        };
        let pem = fs::read_to_string(&path).map_err(|error| told(&path, &error))?;
        let key = Key::parse(domain, selector, &pem)
            .map_err(|problem| Failure::from(problem.in_file(path.display().to_string())))?;
        keys.push(key);
    }
    keys.sort_by_key(Key::name);
    Ok(keys)
}

fn new_rsa() -> Result<String, Problem> {
    let failed =
        |error: &dyn std::fmt::Display| Problem::new("dkim.random", format!("no key can be made: {error}"));
    let key = rsa::PrivateKey::new(&mut getrandom::SysRng, RSA_BITS).map_err(|error| failed(&error))?;
    let der = key.to_pkcs8_der().map_err(|error| failed(&error))?;
    Ok(encode_pem(der.as_bytes()))
}

/// Writes a key that only its owner can read. One that is there is never overwritten: mails on their way need it.
fn write(folder: &Path, domain: &str, selector: &str, pem: &str) -> Result<(), Failure> {
    let path = folder.join(format!("{selector}.{}.pem", domain.trim_end_matches('.').to_ascii_lowercase()));
    let told = |error: io::Error| Failure::Other(format!("{}: {error}", path.display()));
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    }
    builder.create(folder).map_err(told)?;
    let mut file = match options.open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let problem = Problem::new("dkim.exists", format!("there is a key {} already", path.display()));
            let cure =
                "give another --selector: publish the new record, then remove the old key a week later";
            return Err(problem.value(selector).cure(cure).into());
        }
        Err(error) => return Err(told(error)),
    };
    file.write_all(pem.as_bytes()).and_then(|()| file.sync_all()).map_err(told)?;
    eprintln!("made {}", path.display());
    Ok(())
}

/// Runs it.
///
/// # Errors
/// See [`Failure`].
pub fn run(args: &Args, common: &Common) -> Result<ExitCode, Failure> {
    let database = common.path()?;
    let folder = folder(&database);
    if let What::Create { domain, selector, kind } = &args.what {
        let wanted: &[(Kind, &str)] = match kind {
            Kind::Rsa => &[(Kind::Rsa, "")],
            Kind::Ed25519 => &[(Kind::Ed25519, "")],
            Kind::Both => &[(Kind::Rsa, ""), (Kind::Ed25519, "e")],
        };
        for (kind, ending) in wanted {
            let selector = format!("{selector}{ending}");
            let pem = if *kind == Kind::Rsa { new_rsa()? } else { new_ed25519()? };
            Key::parse(domain, &selector, &pem)?;
            write(&folder, domain, &selector, &pem)?;
        }
    }
    let mut list = Listing::new(&["name", "type", "record"], &[]);
    for key in load(&database)? {
        list.rows.push(vec![key.name(), "TXT".to_owned(), key.record()]);
    }
    if list.rows.is_empty() {
        eprintln!("there is no key yet; make one with `relance dkim create DOMAIN --kind both`");
    }
    list.print(common.format)?;
    Ok(ExitCode::SUCCESS)
}
