//! A journey's folder: `journey.yaml` (or another name), `fields.yaml`, `segments/`, `templates/`, `coupons/`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use engine::rules::{Folder, SourceFile};
use model::{Problem, Slug};

use crate::context::Failure;

/// Largest file that is read, in bytes.
const FILE_LEN_MAX: u64 = 4 * 1024 * 1024;
/// Endings of files that are read.
const ENDINGS: [&str; 3] = ["yaml", "yml", "json"];

/// Reads a journey's file, or the one in a folder, with what lies beside it.
///
/// # Errors
/// `file.unreadable`, `file.too_large`, `file.encoding`, `file.twice`, each with the file.
pub(super) fn read(path: &Path) -> Result<Folder, Failure> {
    let file = if path.is_dir() { inside(path)? } else { path.to_path_buf() };
    let folder = file.parent().map_or_else(|| PathBuf::from("."), Path::to_path_buf);
    let fields =
        ENDINGS.iter().map(|ending| folder.join(format!("fields.{ending}"))).find(|path| path.exists());
    Ok(Folder {
        journey: source(&file)?,
        fields: fields.map(|path| source(&path)).transpose()?,
        segments: all(&folder.join("segments"))?,
        templates: all(&folder.join("templates"))?,
        coupons: all(&folder.join("coupons"))?,
    })
}

fn inside(folder: &Path) -> Result<PathBuf, Failure> {
    let found =
        ENDINGS.iter().map(|ending| folder.join(format!("journey.{ending}"))).find(|path| path.exists());
    found.ok_or_else(|| {
        Problem::new("file.unreadable", "the folder holds no journey.yaml")
            .in_file(folder.display().to_string())
            .cure("name the journey's file")
            .into()
    })
}

fn source(path: &Path) -> Result<SourceFile, Failure> {
    let file = path.display().to_string();
    let problem = |code, message: String| Problem::new(code, message).in_file(file.clone());
    let unreadable = |error: std::io::Error| problem("file.unreadable", format!("cannot be read: {error}"));
    let length = fs::metadata(path).map_err(unreadable)?.len();
    if length > FILE_LEN_MAX {
        return Err(problem("file.too_large", format!("is larger than {FILE_LEN_MAX} bytes")).into());
    }
    let bytes = fs::read(path).map_err(unreadable)?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        problem("file.encoding", format!("is not UTF-8 (byte {at})")).cure("save it as UTF-8")
    })?;
    let slug = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    Ok(SourceFile { file, slug, text })
}

/// The YAML and JSON files of a folder, by name; none when there is no folder.
fn all(folder: &Path) -> Result<Vec<SourceFile>, Failure> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(Vec::new()) };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let ending = path.extension().map(|ending| ending.to_string_lossy().into_owned());
        if path.is_file() && ending.is_some_and(|ending| ENDINGS.contains(&ending.as_str())) {
            paths.push(path);
        }
    }
    paths.sort();
    let files: Vec<SourceFile> = paths.iter().map(|path| source(path)).collect::<Result<_, _>>()?;
    if let Some(twice) = files.windows(2).find(|pair| pair[0].slug == pair[1].slug) {
        return Err(Problem::new("file.twice", format!("`{}` stands twice", twice[1].slug))
            .in_file(twice[1].file.clone())
            .cure("keep one of the files")
            .into());
    }
    Ok(files)
}

/// The slug of a journey given as a file, a folder, or the slug itself.
///
/// # Errors
/// As [`read`]; `slug.invalid`.
pub(super) fn slug_of(journey: &str) -> Result<Slug, Failure> {
    let path = Path::new(journey);
    if !path.exists() {
        return Ok(Slug::parse(journey)?);
    }
    let file = if path.is_dir() { inside(path)? } else { path.to_path_buf() };
    let text = source(&file)?.text;
    let named = |problem: Problem| problem.in_file(file.display().to_string());
    let tree = model::doc::parse(&text).map_err(named)?;
    let slug = tree.get("journey").and_then(model::doc::Node::scalar).unwrap_or_default();
    Ok(Slug::parse(&slug).map_err(named)?)
}
