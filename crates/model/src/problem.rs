//! What is wrong, where, and what to do about it: one shape for files, imports, the command line and the API.

use std::{borrow::Cow, fmt};

use serde::{Deserialize, Serialize};

/// A position in a text file, both from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Place {
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}

/// How bad.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing; nothing is refused.
    Warning,
    /// Refused.
    #[default]
    Error,
}

/// One problem: a stable code, a sentence, and as much of field, value, place and cure as is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Stable and documented, as in `slug.invalid`.
    pub code: Cow<'static, str>,
    /// How bad.
    #[serde(default)]
    pub severity: Severity,
    /// What is wrong, in one sentence without a final full stop.
    pub message: String,
    /// The file, where there are several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Where in the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
    /// The field or path, as in `nodes.mail_up.template`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// The value that was refused, shortened to [`Problem::VALUE_LEN_MAX`] characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// What to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cure: Option<String>,
}

/// Several problems, in the order in which they were found.
pub type Problems = Vec<Problem>;

impl Problem {
    /// The longest value that is repeated back, in characters.
    pub const VALUE_LEN_MAX: usize = 120;

    /// An error.
    #[must_use]
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code: Cow::Borrowed(code),
            severity: Severity::Error,
            message: message.into(),
            file: None,
            place: None,
            field: None,
            value: None,
            cure: None,
        }
    }

    /// A warning.
    #[must_use]
    pub fn warning(code: &'static str, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::new(code, message) }
    }

    /// With the field or path.
    #[must_use]
    pub fn field(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// With the refused value.
    #[must_use]
    #[expect(clippy::needless_pass_by_value, reason = "callers hand in numbers and texts alike")]
    pub fn value(mut self, value: impl ToString) -> Self {
        let text = value.to_string();
        let short: String = text.chars().take(Self::VALUE_LEN_MAX).collect();
        self.value = Some(if short.len() < text.len() { format!("{short}…") } else { short });
        self
    }

    /// With what to do.
    #[must_use]
    pub fn cure(mut self, cure: impl Into<String>) -> Self {
        self.cure = Some(cure.into());
        self
    }

    /// With "did you mean …" when one of the candidates is near, else with the list of them.
    #[must_use]
    pub fn suggest<'a>(self, word: &str, candidates: impl IntoIterator<Item = &'a str> + Clone) -> Self {
        if let Some(near) = crate::text::nearest(word, candidates.clone()) {
            return self.cure(format!("did you mean `{near}`?"));
        }
        let all: Vec<&str> = candidates.into_iter().take(30).collect();
        if all.is_empty() { self } else { self.cure(format!("use one of: {}", all.join(", "))) }
    }

    /// With a place in the file.
    #[must_use]
    pub fn at(mut self, place: Place) -> Self {
        self.place = Some(place);
        self
    }

    /// With the file, unless one is known already.
    #[must_use]
    pub fn in_file(mut self, file: impl Into<String>) -> Self {
        self.file.get_or_insert_with(|| file.into());
        self
    }

    /// Whether it refuses (a warning does not).
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

/// `error[slug.invalid] journey.yaml:3:7: nodes.x: … — did you mean …?`
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.is_error() { "error" } else { "warning" };
        write!(f, "{kind}[{}]", self.code)?;
        match (&self.file, self.place) {
            (Some(file), Some(place)) => write!(f, " {file}:{}:{}", place.line, place.column)?,
            (Some(file), None) => write!(f, " {file}")?,
            (None, Some(place)) => write!(f, " {}:{}", place.line, place.column)?,
            (None, None) => {}
        }
        f.write_str(": ")?;
        if let Some(field) = &self.field {
            write!(f, "{field}: ")?;
        }
        f.write_str(&self.message)?;
        if let Some(cure) = &self.cure {
            write!(f, " — {cure}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problem {}
