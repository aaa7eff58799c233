//! How texts are compared: without case and in one Unicode form, unless "exactly" is asked for.

use unicode_normalization::UnicodeNormalization;

/// The form in which texts are compared: NFKC, lower case, outer blanks removed.
#[must_use]
pub fn folded(text: &str) -> String {
    let text = text.trim();
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    text.nfkc().flat_map(char::to_lowercase).nfkc().collect()
}

/// The candidate that somebody probably meant, if any is near enough.
#[must_use]
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = folded(word);
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&word, &folded(candidate)), candidate))
        .filter(|(distance, candidate)| {
            *distance <= 1 + candidate.chars().count().min(word.chars().count()) / 4
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compares_without_case_and_form() {
        assert_eq!(folded(" Été "), folded("e\u{301}TE\u{301}"));
        assert_eq!(nearest("segmnt", ["segment", "source"]), Some("segment"));
        assert_eq!(nearest("zzz", ["segment", "source"]), None);
    }
}
