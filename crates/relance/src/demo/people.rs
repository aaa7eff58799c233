//! Invented people for real customer numbers: names, addresses under `example.test`, language, consent.

use model::Dice;

/// A customer of the demo, as a row of a contacts file.
pub struct Person {
    /// The shop's customer number.
    pub external_id: String,
    /// First name.
    pub first_name: &'static str,
    /// Last name.
    pub last_name: &'static str,
    /// Address under `example.test`; unique through the customer number.
    pub email: String,
    /// The order file's country.
    pub country: String,
    /// BCP 47.
    pub locale: &'static str,
    /// IANA.
    pub time_zone: &'static str,
    /// Answer to the newsletter.
    pub newsletter: &'static str,
}

const FIRST_NAMES_EN: &[&str] = &[
    "Amelia", "Oliver", "Isla", "Harry", "Poppy", "Alfie", "Ruby", "Archie", "Daisy", "Oscar", "Ivy", "Leo",
    "Elsie", "Freddie", "Maisie", "Toby", "Hazel", "Rory", "Nora", "Finn", "Tilly", "Jasper", "Orla", "Hugo",
    "Wren",
];
const FIRST_NAMES_FR: &[&str] = &[
    "Léa", "Hugo", "Chloé", "Louis", "Manon", "Jules", "Inès", "Gabriel", "Zoé", "Arthur", "Maëlle", "Théo",
    "Élise", "Noé", "Anaïs", "Rémi", "Solène", "Côme", "Maud", "Yann",
];
const LAST_NAMES: &[&str] = &[
    "Ashdown",
    "Birchall",
    "Copperfield",
    "Dovecote",
    "Elmwood",
    "Fernsby",
    "Greenhill",
    "Hollybush",
    "Inkpen",
    "Juniper",
    "Kestrel",
    "Larkspur",
    "Merrydew",
    "Nettleton",
    "Oakhurst",
    "Pennyfeather",
    "Quillfeather",
    "Rowanberry",
    "Silverlock",
    "Thistlewood",
    "Underhill",
    "Vinterton",
    "Willowby",
    "Yarrow",
    "d’Aubépine",
    "Petitbois",
    "Clairval",
];

/// Locale and zone of a country as the data set writes it.
fn place(country: &str) -> (&'static str, &'static str) {
    match country {
        "France" => ("fr-FR", "Europe/Paris"),
        "Belgium" => ("fr-BE", "Europe/Brussels"),
        "Switzerland" => ("fr-CH", "Europe/Zurich"),
        "Canada" => ("fr-CA", "America/Toronto"),
        "Germany" => ("de-DE", "Europe/Berlin"),
        "Austria" => ("de-AT", "Europe/Vienna"),
        "Spain" => ("es-ES", "Europe/Madrid"),
        "Portugal" => ("pt-PT", "Europe/Lisbon"),
        "Italy" => ("it-IT", "Europe/Rome"),
        "Netherlands" => ("nl-NL", "Europe/Amsterdam"),
        "EIRE" => ("en-IE", "Europe/Dublin"),
        "USA" => ("en-US", "America/New_York"),
        "Australia" => ("en-AU", "Australia/Sydney"),
        _ => ("en-GB", "Europe/London"),
    }
}

/// Invents the person behind a customer number; the same number and seed give the same person.
#[must_use]
pub fn invent(external_id: &str, country: &str, seed: u64) -> Person {
    let number: u64 = external_id.bytes().fold(0, |n, b| n.wrapping_mul(31).wrapping_add(u64::from(b)));
    let mut dice = Dice::of(&[seed, number]);
    let (locale, time_zone) = place(country);
    let first_names = if locale.starts_with("fr") { FIRST_NAMES_FR } else { FIRST_NAMES_EN };
    let first_name = first_names[dice.below(first_names.len() as u64) as usize];
    let last_name = LAST_NAMES[dice.below(LAST_NAMES.len() as u64) as usize];
    // Four fifths take the newsletter, some took it and left, the others never answered.
    let newsletter = match dice.below(100) {
        0..82 => "subscribed",
        82..92 => "unsubscribed",
        _ => "not_subscribed",
    };
    let plain = |name: &str| -> String {
        name.chars()
            .filter_map(|c| match c {
                'é' | 'É' | 'è' | 'ë' => Some('e'),
                'ô' => Some('o'),
                'ï' | 'î' => Some('i'),
                c if c.is_ascii_alphabetic() => Some(c.to_ascii_lowercase()),
                _ => None,
            })
            .collect()
    };
    Person {
        email: format!("{}.{}.{external_id}@example.test", plain(first_name), plain(last_name)),
        external_id: external_id.to_owned(),
        first_name,
        last_name,
        country: country.to_owned(),
        locale,
        time_zone,
        newsletter,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_the_same_each_time_and_have_usable_addresses() {
        let mut subscribed = 0;
        for number in 12_346..13_346 {
            let person = invent(&number.to_string(), "France", 7);
            assert_eq!(person.email, invent(&number.to_string(), "France", 7).email);
            assert!(model::field::parse_email(&person.email).is_ok(), "{}", person.email);
            subscribed += u32::from(person.newsletter == "subscribed");
        }
        assert!((750..890).contains(&subscribed), "{subscribed} of 1000");
    }
}
