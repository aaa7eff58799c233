//! The sending rules of a shop, chosen so that what they promise can be looked at without the room that keeps it.

use std::collections::BTreeMap;

use model::{Channel, ContactId, Dice, Timestamp, Zone};

use crate::post::HandOver;

/// A frequency cap, quiet hours, or neither.
#[derive(Clone, Debug, Default)]
pub struct Sending {
    /// At most so many emails within so many microseconds.
    pub cap: Option<(u64, i64)>,
    /// Whether what is over the cap is held, or skipped.
    pub holds: bool,
    /// From which hour to which (not included) nothing goes out, by the contact's clock.
    pub quiet: Option<(i8, i8)>,
}

/// Hours of the windows of caps, with what the file says.
const WINDOWS: [(i64, &str); 3] = [(6, "PT6H"), (24, "P1D"), (72, "P3D")];

impl Sending {
    /// Chooses.
    pub fn new(dice: &mut Dice) -> Self {
        let mut sending = Self::default();
        if dice.below(3) == 0 {
            let (hours, _) = WINDOWS[dice.below(3) as usize];
            sending.cap = Some((1 + dice.below(2), hours * Timestamp::HOUR));
            sending.holds = dice.below(2) == 0;
        }
        if dice.below(3) == 0 {
            sending.quiet = Some([(21, 8), (0, 6), (12, 14)][dice.below(3) as usize]);
        }
        sending
    }

    /// As the setting of the workspace; none without rules.
    #[must_use]
    pub fn setting(&self) -> Option<serde_json::Value> {
        if self.cap.is_none() && self.quiet.is_none() {
            return None;
        }
        let mut rules = serde_json::Map::new();
        if let Some((most, within)) = self.cap {
            let word =
                WINDOWS.iter().find(|(hours, _)| hours * Timestamp::HOUR == within).map(|(_, word)| *word);
            let over = if self.holds { "hold" } else { "skip" };
            let cap = serde_json::json!({"channel": "email", "most": most, "within": word, "over": over});
            rules.insert("caps".to_owned(), serde_json::json!([cap]));
        }
        if let Some((from, to)) = self.quiet {
            let hours = serde_json::json!({"from": format!("{from:02}:00"), "to": format!("{to:02}:00")});
            let quiet = serde_json::json!([{"zone": "contact", "hours": [hours]}]);
            rules.insert("quiet_hours".to_owned(), quiet);
        }
        Some(rules.into())
    }

    /// Whether a hand-over keeps to the quiet hours of a contact's zone.
    ///
    /// # Errors
    /// What it breaks.
    pub fn check_hour(&self, handed: &HandOver, zone: Option<&str>) -> Result<(), String> {
        let Some((from, to)) = self.quiet.filter(|_| !handed.transactional && reaches(handed)) else {
            return Ok(());
        };
        let zone = zone.and_then(|name| Zone::parse(name).ok()).unwrap_or(Zone::UTC);
        let hour = handed.at.civil(&zone).hour();
        let is_quiet = if from < to { (from..to).contains(&hour) } else { hour >= from || hour < to };
        if is_quiet { Err(format!("handed over in a quiet hour ({hour}): {handed:?}")) } else { Ok(()) }
    }

    /// Whether all hand-overs together keep to the cap, in every window that ends with one of them.
    ///
    /// # Errors
    /// What they break.
    pub fn check_cap(&self, handed: &[HandOver]) -> Result<(), String> {
        let Some((most, within)) = self.cap else { return Ok(()) };
        let mut by_contact: BTreeMap<ContactId, Vec<&HandOver>> = BTreeMap::new();
        for one in
            handed.iter().filter(|one| one.taken && !one.transactional && one.channel == Channel::Email)
        {
            by_contact.entry(one.contact).or_default().push(one);
        }
        for (contact, all) in by_contact {
            for end in &all {
                let inside = |one: &&&HandOver| one.at <= end.at && end.at.since(one.at) < within;
                let n = all.iter().filter(inside).count() as u64;
                if n > most {
                    return Err(format!("{contact} got {n} emails within a window of {most}: {all:?}"));
                }
            }
        }
        Ok(())
    }
}

fn reaches(handed: &HandOver) -> bool {
    matches!(handed.channel, Channel::Email | Channel::Sms | Channel::WebPush)
}
