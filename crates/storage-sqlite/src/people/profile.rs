//! What the profile of a merged contact holds: see docs/identity.md.

use model::{Consent, ConsentState, Contact, PushSubscription, Timestamp};

/// The winner with what it did not know and the loser did.
pub(super) fn join(winner: &Contact, loser: &Contact, now: Timestamp) -> Contact {
    let mut joined = winner.clone();
    // The status is the address's: it comes with it.
    if joined.email.is_none() && loser.email.is_some() {
        joined.email.clone_from(&loser.email);
        joined.email_status = loser.email_status;
    }
    let gaps = [
        (&mut joined.external_id, &loser.external_id),
        (&mut joined.phone, &loser.phone),
        (&mut joined.first_name, &loser.first_name),
        (&mut joined.last_name, &loser.last_name),
        (&mut joined.country, &loser.country),
        (&mut joined.locale, &loser.locale),
        (&mut joined.time_zone, &loser.time_zone),
    ];
    for (own, other) in gaps {
        if own.is_none() {
            own.clone_from(other);
        }
    }
    joined.birth_date = joined.birth_date.or(loser.birth_date);
    joined.created_at = joined.created_at.min(loser.created_at);
    joined.updated_at = joined.updated_at.max(loser.updated_at).max(now);
    for consent in &loser.consents {
        answer(&mut joined.consents, consent);
    }
    joined.lists.extend(loser.lists.iter().cloned());
    joined.lists.sort();
    joined.lists.dedup();
    let known = |endpoint: &str| winner.push.iter().any(|own| own.endpoint == endpoint);
    let others = loser.push.iter().filter(|other| !known(&other.endpoint)).cloned();
    joined.push = others.chain(winner.push.iter().cloned()).collect();
    let over = joined.push.len().saturating_sub(PushSubscription::MAX);
    joined.push.drain(..over);
    for (name, value) in &loser.fields {
        joined.fields.entry(name.clone()).or_insert_with(|| value.clone());
    }
    joined
}

/// One answer per purpose: the newest; of two of the same instant the no.
fn answer(consents: &mut Vec<Consent>, given: &Consent) {
    match consents.iter_mut().find(|consent| consent.purpose == given.purpose) {
        Some(known)
            if given.at > known.at || given.at == known.at && given.state == ConsentState::Unsubscribed =>
        {
            known.clone_from(given);
        }
        Some(_) => {}
        None => consents.push(given.clone()),
    }
}

#[cfg(test)]
mod tests {
    use model::{AddressStatus, Slug, Value};

    use super::*;

    fn consent(state: ConsentState, at: i64) -> Consent {
        Consent {
            purpose: Slug::parse("newsletter").unwrap(),
            state,
            at: Timestamp(at),
            source: "form".into(),
            proof: format!("proof {at}"),
        }
    }

    #[test]
    fn gaps_are_filled_and_values_stay() {
        let winner = Contact {
            email: Some("anna@example.test".into()),
            first_name: Some("Anna".into()),
            created_at: Timestamp(9),
            ..Contact::default()
        };
        let mut loser = Contact {
            email: Some("old@example.test".into()),
            email_status: AddressStatus::Bounced,
            first_name: Some("A.".into()),
            country: Some("France".into()),
            created_at: Timestamp(4),
            ..Contact::default()
        };
        loser.fields.insert("points".into(), Value::Integer(3));
        let joined = join(&winner, &loser, Timestamp(20));
        assert_eq!(joined.email, winner.email);
        assert_eq!(joined.email_status, AddressStatus::Active, "a status is of its address");
        assert_eq!((joined.first_name.as_deref(), joined.country.as_deref()), (Some("Anna"), Some("France")));
        assert_eq!((joined.created_at, joined.updated_at), (Timestamp(4), Timestamp(20)));
        assert_eq!(joined.field("points"), Some(Value::Integer(3)));
        let taken = join(&Contact::default(), &loser, Timestamp(20));
        assert_eq!((taken.email, taken.email_status), (loser.email, AddressStatus::Bounced));
    }

    #[test]
    fn the_newest_answer_counts_and_of_two_at_once_the_no() {
        use ConsentState::{Subscribed, Unsubscribed};
        for (own, other, expected) in [
            ((Subscribed, 1), (Unsubscribed, 2), Unsubscribed),
            ((Unsubscribed, 2), (Subscribed, 1), Unsubscribed),
            ((Unsubscribed, 1), (Subscribed, 2), Subscribed),
            ((Subscribed, 1), (Unsubscribed, 1), Unsubscribed),
            ((Unsubscribed, 1), (Subscribed, 1), Unsubscribed),
        ] {
            let with = |(state, at)| Contact { consents: vec![consent(state, at)], ..Contact::default() };
            let joined = join(&with(own), &with(other), Timestamp(9));
            assert_eq!(joined.consent("newsletter"), expected, "{own:?} {other:?}");
            assert_eq!(joined.consents.len(), 1);
        }
    }

    #[test]
    fn at_most_so_many_browsers_and_the_winners_last() {
        let browsers = |name: &str, n: usize| -> Vec<PushSubscription> {
            let one = |i| PushSubscription { endpoint: format!("{name}{i}"), ..PushSubscription::default() };
            (0..n).map(one).collect()
        };
        let winner = Contact { push: browsers("w", PushSubscription::MAX - 1), ..Contact::default() };
        let loser = Contact { push: browsers("l", 2), ..Contact::default() };
        let joined = join(&winner, &loser, Timestamp(1));
        assert_eq!(joined.push.len(), PushSubscription::MAX);
        assert_eq!(joined.push[0].endpoint, "l1");
        assert_eq!(joined.push[1..], winner.push);
    }
}
