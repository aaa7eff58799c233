//! Versions of what is read and written: `ETag`, `If-Match`, `If-None-Match` (RFC 9110 §8.8, §13.1).

use axum::{
    Json,
    body::Bytes,
    extract::FromRequestParts,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use model::Problem;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::ApiError;

/// A version of something: a strong entity tag without its quotes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag(String);

impl Tag {
    /// A hash or another text of ours: letters, digits, `-`.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Of a value that has no version of its own: what it looks like.
    #[must_use]
    pub fn of(value: &impl Serialize) -> Self {
        Self::of_bytes(&serde_json::to_vec(value).unwrap_or_default())
    }

    /// Of what is sent as it is.
    #[must_use]
    pub fn of_bytes(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).iter().take(16).map(|byte| format!("{byte:02x}")).collect())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn header(&self) -> Option<HeaderValue> {
        HeaderValue::try_from(format!("\"{}\"", self.0)).ok()
    }
}

/// A JSON answer with its version.
#[derive(Clone, Debug)]
pub struct Tagged<T>(pub Tag, pub T);

impl<T: Serialize> IntoResponse for Tagged<T> {
    fn into_response(self) -> Response {
        let mut response = Json(self.1).into_response();
        if let Some(value) = self.0.header() {
            response.headers_mut().insert(header::ETAG, value);
        }
        response
    }
}

/// What a header of conditions asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Wanted {
    /// There was no such header.
    #[default]
    Nothing,
    /// `*`.
    Any,
    /// One of these. Weak ones are compared like strong ones: all of ours are strong.
    These(Vec<String>),
}

impl Wanted {
    fn read(headers: &HeaderMap, name: &HeaderName) -> Result<Self, ApiError> {
        let mut tags = Vec::new();
        let mut any = false;
        let mut some = false;
        for value in headers.get_all(name) {
            some = true;
            let text = value.to_str().unwrap_or_default();
            for part in text.split(',').map(str::trim) {
                let quoted = part.strip_prefix("W/").unwrap_or(part);
                let inner = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
                match inner {
                    Some(tag) if !tag.contains('"') => tags.push(tag.to_owned()),
                    _ if part == "*" => any = true,
                    _ => {
                        let problem =
                            Problem::new("precondition.invalid", format!("`{part}` is no entity tag"))
                                .field(name.as_str().to_owned())
                                .value(part)
                                .cure("send the ETag of an answer with its quotes, or *");
                        return Err(ApiError::new(StatusCode::BAD_REQUEST, problem));
                    }
                }
            }
        }
        Ok(match (some, any) {
            (false, _) => Self::Nothing,
            (true, true) => Self::Any,
            (true, false) => Self::These(tags),
        })
    }

    fn means(&self, tag: &Tag) -> bool {
        match self {
            Self::Nothing => false,
            Self::Any => true,
            Self::These(tags) => tags.contains(&tag.0),
        }
    }
}

/// `If-Match` and `If-None-Match` of a request that changes something.
#[derive(Clone, Debug, Default)]
pub struct Precondition {
    matches: Wanted,
    none: Wanted,
}

impl<St: Send + Sync> FromRequestParts<St> for Precondition {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &St) -> Result<Self, ApiError> {
        Ok(Self {
            matches: Wanted::read(&parts.headers, &header::IF_MATCH)?,
            none: Wanted::read(&parts.headers, &header::IF_NONE_MATCH)?,
        })
    }
}

impl Precondition {
    /// Refuses when what is there (none: nothing) is not what the client knows. Without a condition anything goes.
    ///
    /// # Errors
    /// 412 `precondition.failed`.
    pub fn check(&self, there: Option<&Tag>) -> Result<(), ApiError> {
        let wrong = match there {
            None => self.matches != Wanted::Nothing,
            Some(tag) => {
                (self.matches != Wanted::Nothing && !self.matches.means(tag)) || self.none.means(tag)
            }
        };
        if !wrong {
            return Ok(());
        }
        let problem = Problem::new("precondition.failed", "it was changed since you read it").cure(
            "read it again, put your change into what you find, and send that with its ETag as If-Match",
        );
        Err(ApiError::new(StatusCode::PRECONDITION_FAILED, problem))
    }

    /// As [`Precondition::check`]; and what is there may not be overwritten unseen.
    ///
    /// # Errors
    /// 428 `precondition.required`; 412 `precondition.failed`.
    pub fn require(&self, there: Option<&Tag>) -> Result<(), ApiError> {
        if there.is_some() && self.matches == Wanted::Nothing && self.none == Wanted::Nothing {
            let problem = Problem::new("precondition.required", "this would overwrite what is there unseen")
                .field("If-Match")
                .cure("send the ETag of what you read as If-Match, or If-Match: * to overwrite whatever is there");
            return Err(ApiError::new(StatusCode::PRECONDITION_REQUIRED, problem));
        }
        self.check(there)
    }
}

/// `If-None-Match` of a request that reads.
#[derive(Clone, Debug, Default)]
pub struct Known(Wanted);

impl<St: Send + Sync> FromRequestParts<St> for Known {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &St) -> Result<Self, ApiError> {
        Wanted::read(&parts.headers, &header::IF_NONE_MATCH).map(Self)
    }
}

impl Known {
    /// The answer; 304 without a body when the client has this version already.
    pub fn answer<T: Serialize>(&self, tag: Tag, body: T) -> Response {
        if !self.0.means(&tag) {
            return Tagged(tag, body).into_response();
        }
        not_modified(&tag)
    }

    /// As [`Known::answer`], of JSON that is written already.
    pub fn answer_written(&self, tag: &Tag, json: Bytes) -> Response {
        if self.0.means(tag) {
            return not_modified(tag);
        }
        let kind = HeaderValue::from_static("application/json");
        let mut response = ([(header::CONTENT_TYPE, kind)], json).into_response();
        if let Some(value) = tag.header() {
            response.headers_mut().insert(header::ETAG, value);
        }
        response
    }
}

fn not_modified(tag: &Tag) -> Response {
    let mut response = StatusCode::NOT_MODIFIED.into_response();
    if let Some(value) = tag.header() {
        response.headers_mut().insert(header::ETAG, value);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(HeaderName, &str)]) -> Result<Precondition, ApiError> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(name, HeaderValue::try_from(*value).unwrap());
        }
        Ok(Precondition {
            matches: Wanted::read(&headers, &header::IF_MATCH)?,
            none: Wanted::read(&headers, &header::IF_NONE_MATCH)?,
        })
    }

    #[test]
    fn conditions_are_kept_to() {
        let (a, b) = (Tag::new("a"), Tag::new("b"));
        let status = |pairs: &[(HeaderName, &str)], there: Option<&Tag>| {
            of(pairs).and_then(|condition| condition.require(there)).map_err(|error| error.status.as_u16())
        };
        let (matches, none) = (header::IF_MATCH, header::IF_NONE_MATCH);
        assert_eq!(status(&[], None), Ok(()));
        assert_eq!(status(&[], Some(&a)), Err(428));
        assert_eq!(status(&[(matches.clone(), "\"a\"")], Some(&a)), Ok(()));
        assert_eq!(status(&[(matches.clone(), "\"b\", W/\"a\"")], Some(&a)), Ok(()));
        assert_eq!(status(&[(matches.clone(), "\"a\"")], Some(&b)), Err(412));
        assert_eq!(status(&[(matches.clone(), "*")], Some(&b)), Ok(()));
        assert_eq!(status(&[(matches.clone(), "*")], None), Err(412));
        assert_eq!(status(&[(none.clone(), "*")], None), Ok(()));
        assert_eq!(status(&[(none.clone(), "*")], Some(&a)), Err(412));
        assert_eq!(status(&[(none, "\"b\"")], Some(&a)), Ok(()));
        assert_eq!(status(&[(matches, "a")], Some(&a)), Err(400));
        assert_eq!(of(&[]).unwrap().check(Some(&a)).map_err(|error| error.status), Ok(()));
    }
}
