//! Countries as shops write them: `FR`, `France`, `Frankreich`. A rule names a country once; contacts are compared by code
//! where both are known, else by the text.

use model::{Channel, text};

use crate::decide::Facts;

/// ISO code, calling code, and names in the languages that shops of the neighbourhood write.
const COUNTRIES: &[(&str, &str, &[&str])] = &[
    ("AT", "43", &["Austria", "Autriche", "Österreich"]),
    ("AU", "61", &["Australia", "Australie"]),
    ("BE", "32", &["Belgium", "Belgique", "België", "Belgien"]),
    ("BR", "55", &["Brazil", "Brésil", "Brasil"]),
    ("CA", "", &["Canada"]),
    ("CH", "41", &["Switzerland", "Suisse", "Schweiz", "Svizzera"]),
    ("CZ", "420", &["Czech Republic", "Czechia", "Tchéquie", "République tchèque", "Česko"]),
    ("DE", "49", &["Germany", "Allemagne", "Deutschland"]),
    ("DK", "45", &["Denmark", "Danemark", "Danmark"]),
    ("ES", "34", &["Spain", "Espagne", "España"]),
    ("FI", "358", &["Finland", "Finlande", "Suomi"]),
    ("FR", "33", &["France", "Frankreich", "Francia"]),
    ("GB", "44", &["United Kingdom", "UK", "Great Britain", "Royaume-Uni", "England", "Scotland", "Wales"]),
    ("GR", "30", &["Greece", "Grèce"]),
    ("IE", "353", &["Ireland", "EIRE", "Irlande"]),
    ("IT", "39", &["Italy", "Italie", "Italia"]),
    ("JP", "81", &["Japan", "Japon"]),
    ("LU", "352", &["Luxembourg", "Luxemburg"]),
    ("MX", "52", &["Mexico", "Mexique", "México"]),
    ("NL", "31", &["Netherlands", "The Netherlands", "Pays-Bas", "Nederland"]),
    ("NO", "47", &["Norway", "Norvège", "Norge"]),
    ("NZ", "64", &["New Zealand", "Nouvelle-Zélande"]),
    ("PL", "48", &["Poland", "Pologne", "Polska"]),
    ("PT", "351", &["Portugal"]),
    ("SE", "46", &["Sweden", "Suède", "Sverige"]),
    ("US", "1", &["United States", "USA", "United States of America", "États-Unis"]),
];

fn code(name: &str) -> Option<&'static str> {
    let name = text::folded(name);
    let known = |(code, _, names): &&(&str, &str, &[&str])| {
        text::folded(code) == name || names.iter().any(|known| text::folded(known) == name)
    };
    COUNTRIES.iter().find(known).map(|(code, ..)| *code)
}

/// The country of a phone number, E.164. North America counts as the United States.
fn of_phone(phone: &str) -> Option<&'static str> {
    let digits = phone.trim().strip_prefix('+')?;
    let mut fitting: Vec<_> = COUNTRIES
        .iter()
        .filter(|(_, calling, _)| !calling.is_empty() && digits.starts_with(calling))
        .collect();
    fitting.sort_by_key(|(_, calling, _)| calling.len());
    fitting.last().map(|(code, ..)| *code)
}

/// Whether the contact is in one of these countries: by its profile, and where that says nothing by the number that a
/// text message goes to. Who is nowhere is in none of them.
pub(crate) fn among(facts: &Facts<'_>, countries: &[String]) -> bool {
    let phone = || facts.address.filter(|_| facts.channel == Channel::Sms).and_then(of_phone);
    let Some(own) = facts.country.filter(|name| !name.trim().is_empty()).or_else(phone) else { return false };
    let same = |country: &String| match (code(own), code(country)) {
        (Some(own), Some(country)) => own == country,
        _ => text::folded(own) == text::folded(country),
    };
    countries.iter().any(same)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_lead_to_codes() {
        for (name, expected) in
            [("France", Some("FR")), ("fr", Some("FR")), ("royaume-uni", Some("GB")), ("Atlantis", None)]
        {
            assert_eq!(code(name), expected, "{name}");
        }
        for (phone, expected) in [
            ("+33612345678", Some("FR")),
            ("+35312345", Some("IE")),
            ("+14155550100", Some("US")),
            ("0612", None),
        ] {
            assert_eq!(of_phone(phone), expected, "{phone}");
        }
    }
}
