//! The rules by text tables: what a file says, what a contact is, what becomes of a message.

use std::fmt::Write as _;

use model::{AddressStatus, Channel, Consent, ConsentState, Contact, Slug, Timestamp, Zone};
use policy::{Decision, Facts, Limit, PastSend, Refusal, SendingRules, Smart, TopicConsent};

fn at(text: &str) -> Timestamp {
    Timestamp::parse(text, &Zone::UTC).unwrap()
}

fn free<'a>(channel: Channel, now: Timestamp) -> Facts<'a> {
    static ZONE: Zone = Zone::UTC;
    Facts {
        channel,
        purpose: "newsletter",
        transactional: false,
        address: Some("a@example.test"),
        status: AddressStatus::Active,
        consent: ConsentState::Subscribed,
        suppressed: false,
        country: None,
        time_zone: None,
        workspace: &ZONE,
        sends: &[],
        smart: Smart::Workspace,
        ignore_caps: false,
        decided_at: now,
        expires_at: None,
        limited_until: None,
        now,
    }
}

#[test]
fn each_reason_and_their_order() {
    use AddressStatus as S;
    use ConsentState as C;
    use Refusal as R;
    let free = free(Channel::Email, at("2026-11-22"));
    let refused = |refusal| Decision::Refuse(refusal);
    let table = [
        (free.clone(), Decision::Send),
        (Facts { address: None, suppressed: true, ..free.clone() }, refused(R::MissingAddress)),
        (Facts { address: Some(""), ..free.clone() }, refused(R::MissingAddress)),
        (Facts { suppressed: true, status: S::Bounced, ..free.clone() }, refused(R::Suppressed)),
        (Facts { status: S::Bounced, consent: C::Unsubscribed, ..free.clone() }, refused(R::AddressBounced)),
        (Facts { status: S::Blocked, ..free.clone() }, refused(R::AddressBlocked)),
        (Facts { status: S::Paused, ..free.clone() }, refused(R::AddressPaused)),
        (Facts { consent: C::Unsubscribed, ..free.clone() }, refused(R::Unsubscribed)),
        (Facts { consent: C::NotSubscribed, ..free.clone() }, refused(R::NotSubscribed)),
        // What somebody asked for by an order needs no consent, but an address that works.
        (Facts { consent: C::Unsubscribed, transactional: true, ..free.clone() }, Decision::Send),
        (Facts { consent: C::NotSubscribed, transactional: true, ..free.clone() }, Decision::Send),
        (Facts { status: S::Bounced, transactional: true, ..free.clone() }, refused(R::AddressBounced)),
        (Facts { suppressed: true, transactional: true, ..free.clone() }, refused(R::Suppressed)),
        (Facts { expires_at: Some(free.now), ..free.clone() }, refused(R::Expired)),
        (Facts { expires_at: Some(free.now.plus(1)), ..free.clone() }, Decision::Send),
        // Nobody is reached by a webhook, so nobody is asked.
        (
            Facts { channel: Channel::Webhook, address: None, consent: C::Unsubscribed, ..free.clone() },
            Decision::Send,
        ),
        (
            Facts { channel: Channel::Webhook, expires_at: Some(free.now), ..free.clone() },
            refused(R::Expired),
        ),
    ];
    for (facts, expected) in table {
        assert_eq!(SendingRules::default().decide(&facts), expected, "{facts:?}");
    }
}

#[test]
fn a_contact_without_an_answer_is_not_written_to() {
    let mut contact = Contact { email: Some("a@example.test".into()), ..Contact::default() };
    assert_eq!(policy::email(&contact, "newsletter", false), Err(Refusal::NotSubscribed));
    assert_eq!(policy::email(&contact, policy::TRANSACTIONAL, false), Ok(()));
    contact.email_status = AddressStatus::Bounced;
    assert_eq!(policy::email(&contact, policy::TRANSACTIONAL, false), Err(Refusal::AddressBounced));
}

#[test]
fn a_topic_follows_its_purpose_until_it_is_refused() {
    use ConsentState::{NotSubscribed as Never, Subscribed as Yes, Unsubscribed as No};
    for (main, topic, follow, ask) in [
        (Yes, Never, Yes, Never),
        (Yes, Yes, Yes, Yes),
        (Yes, No, No, No),
        (No, Yes, No, No),
        (Never, Yes, Never, Never),
    ] {
        let consent = |purpose: &str, state| Consent {
            purpose: Slug::purpose(purpose).unwrap(),
            state,
            at: Timestamp(0),
            source: String::new(),
            proof: String::new(),
        };
        let consents = vec![consent("newsletter", main), consent("newsletter/promotions", topic)];
        let contact = Contact { consents, ..Contact::default() };
        let ask_for = |topics| policy::consent(&contact, "newsletter/promotions", topics);
        assert_eq!(ask_for(TopicConsent::Follow), follow, "{main:?} {topic:?}");
        assert_eq!(ask_for(TopicConsent::Ask), ask, "{main:?} {topic:?}");
        assert_eq!(policy::consent(&contact, "newsletter", TopicConsent::Ask), main);
    }
}

/// Rows `now | channel purpose | sends, each channel:purpose@time | what becomes of it`.
fn decided(rules: &str, rows: &[(&str, &str, &[&str])]) -> String {
    let rules = SendingRules::parse(rules).unwrap();
    let mut out = String::new();
    for (now, message, sends) in rows {
        let parts: Vec<&str> = message.split_whitespace().collect();
        let sends: Vec<PastSend> = sends
            .iter()
            .map(|send| {
                let (what, time) = send.split_once('@').unwrap();
                let (word, purpose) = what.split_once(':').unwrap();
                PastSend { channel: channel(word), purpose: purpose.to_owned(), at: at(time) }
            })
            .collect();
        let mut facts = free(channel(parts[0]), at(now));
        facts.purpose = parts[1];
        facts.transactional = parts[1] == policy::TRANSACTIONAL;
        facts.sends = &sends;
        for part in &parts[2..] {
            match part.split_once('=').unwrap_or((part, "")) {
                ("zone", zone) => facts.time_zone = Some(zone),
                ("country", country) => facts.country = Some(country),
                ("phone", phone) => facts.address = Some(phone),
                ("ignore_caps", _) => facts.ignore_caps = true,
                ("smart", "off") => facts.smart = Smart::Off,
                ("smart", "on") => facts.smart = Smart::On,
                ("expires", time) => facts.expires_at = Some(at(time)),
                ("limited", time) => facts.limited_until = Some(at(time)),
                ("decided", time) => facts.decided_at = at(time),
                (other, _) => panic!("{other}"),
            }
        }
        let answer = match rules.decide(&facts) {
            Decision::Send => "send".to_owned(),
            Decision::Hold(until) => format!("hold until {until}"),
            Decision::Refuse(refusal) => refusal.word().to_owned(),
        };
        writeln!(out, "{now} {message}: {answer}").unwrap();
    }
    out
}

fn channel(word: &str) -> Channel {
    match word {
        "email" => Channel::Email,
        "sms" => Channel::Sms,
        "push" => Channel::WebPush,
        _ => Channel::Webhook,
    }
}

#[test]
fn caps_count_a_rolling_window() {
    let rules = "
caps:
  - {channel: email, purpose: newsletter, most: 2, within: P7D}
  - {channel: sms, most: 1, within: P1D, over: hold, hold: P2D}
  - {most: 3, within: P1D}
";
    let two: &[&str] = &["email:newsletter@2026-11-20", "email:newsletter/tips@2026-11-22"];
    let table = decided(
        rules,
        &[
            ("2026-11-26", "email newsletter", two),
            ("2026-11-26 23:59", "email newsletter", two),
            ("2026-11-27", "email newsletter", two),
            ("2026-11-26", "email newsletter ignore_caps", two),
            ("2026-11-26", "email transactional", two),
            ("2026-11-26", "email partners", two),
            (
                "2026-11-26",
                "email newsletter",
                &["email:transactional@2026-11-25", "sms:newsletter@2026-11-25"],
            ),
            ("2026-11-26", "sms newsletter", &["sms:newsletter@2026-11-25 12:00"]),
            ("2026-11-26", "sms newsletter expires=2026-11-26T12:00", &["sms:newsletter@2026-11-25 12:00"]),
            ("2026-11-26", "sms newsletter decided=2026-11-24", &["sms:newsletter@2026-11-25 12:00"]),
            // Those that wait for a later hour count too.
            ("2026-11-26", "sms newsletter", &["sms:newsletter@2026-11-26 08:00"]),
            (
                "2026-11-26",
                "email partners",
                &["sms:a@2026-11-25 12:00", "push:b@2026-11-25 13:00", "email:c@2026-11-25 14:00"],
            ),
        ],
    );
    insta::assert_snapshot!(table, @r"
    2026-11-26 email newsletter: frequency_cap
    2026-11-26 23:59 email newsletter: frequency_cap
    2026-11-27 email newsletter: send
    2026-11-26 email newsletter ignore_caps: send
    2026-11-26 email transactional: send
    2026-11-26 email partners: send
    2026-11-26 email newsletter: send
    2026-11-26 sms newsletter: hold until 2026-11-26T12:00:00Z
    2026-11-26 sms newsletter expires=2026-11-26T12:00: expired
    2026-11-26 sms newsletter decided=2026-11-24: frequency_cap
    2026-11-26 sms newsletter: hold until 2026-11-27T08:00:00Z
    2026-11-26 email partners: frequency_cap
    ");
}

#[test]
fn smart_sending_leaves_out_whoever_was_written_to_a_short_while_ago() {
    let rows: &[(&str, &str, &[&str])] = &[
        ("2026-11-26 15:59", "email newsletter", &["email:partners@2026-11-26"]),
        ("2026-11-26 16:00", "email newsletter", &["email:partners@2026-11-26"]),
        ("2026-11-26 12:00", "sms newsletter", &["email:partners@2026-11-26"]),
        ("2026-11-26 12:00", "email newsletter smart=off", &["email:partners@2026-11-26"]),
        ("2026-11-26 12:00", "email newsletter", &["email:transactional@2026-11-26"]),
        ("2026-11-26 12:00", "email transactional", &["email:partners@2026-11-26"]),
    ];
    insta::assert_snapshot!(decided("smart_sending: true", rows), @r"
    2026-11-26 15:59 email newsletter: sent_recently
    2026-11-26 16:00 email newsletter: send
    2026-11-26 12:00 sms newsletter: send
    2026-11-26 12:00 email newsletter smart=off: send
    2026-11-26 12:00 email newsletter: send
    2026-11-26 12:00 email transactional: send
    ");
    let rows: &[(&str, &str, &[&str])] = &[
        ("2026-11-26 15:59", "email newsletter", &["email:partners@2026-11-26"]),
        ("2026-11-26 15:59", "email newsletter smart=on", &["email:partners@2026-11-26"]),
    ];
    insta::assert_snapshot!(decided("", rows), @r"
    2026-11-26 15:59 email newsletter: send
    2026-11-26 15:59 email newsletter smart=on: sent_recently
    ");
}

#[test]
fn quiet_hours_hold_by_the_clock_on_the_wall() {
    let rules = "
quiet_hours:
  - channel: sms
    country: FR
    hours: [{from: \"22:00\", to: \"08:00\"}, {days: sun}]
    dates: [2026-12-25, 01-01]
  - {channel: sms, country: [US, IE], hours: {from: \"21:00\", to: \"08:00\"}}
  - {channel: sms, country: BE, hours: none}
  - {channel: [sms, push], zone: workspace, hours: {from: \"20:00\", to: \"10:00\"}}
  - {channel: email, purpose: newsletter, zone: Europe/Paris, hours: {days: weekend}}
";
    let rows: &[(&str, &str, &[&str])] = &[
        ("2026-11-27 20:59", "sms newsletter country=France zone=Europe/Paris", &[]),
        ("2026-11-27 21:00", "sms newsletter country=France zone=Europe/Paris", &[]),
        // Saturday evening: Sunday is quiet, Monday begins at eight.
        ("2026-11-28 21:00", "sms newsletter country=fr zone=Europe/Paris", &[]),
        ("2026-12-24 21:00", "sms newsletter country=fr zone=Europe/Paris", &[]),
        ("2026-12-31 21:00", "sms newsletter country=fr zone=Europe/Paris", &[]),
        ("2026-11-27 21:00", "sms newsletter phone=+33612345678 zone=Europe/Paris", &[]),
        ("2026-11-27 21:00", "sms newsletter phone=+33612345678 country=Belgium", &[]),
        ("2026-11-27 21:00", "sms newsletter country=EIRE zone=Europe/Dublin", &[]),
        ("2026-11-27 21:00", "push newsletter country=EIRE zone=Asia/Tokyo", &[]),
        ("2026-11-27 21:00", "sms transactional country=France", &[]),
        ("2026-11-27 21:00", "email newsletter", &[]),
        ("2026-11-27 23:00", "email newsletter", &[]),
        ("2026-11-27 23:00", "email partners", &[]),
        ("2026-11-27 23:00", "email newsletter expires=2026-11-29T23:00", &[]),
        ("2026-11-27 23:00", "email newsletter expires=2026-11-29T23:00:01", &[]),
        ("2026-11-27 23:00", "webhook newsletter", &[]),
    ];
    insta::assert_snapshot!(decided(rules, rows), @r"
    2026-11-27 20:59 sms newsletter country=France zone=Europe/Paris: send
    2026-11-27 21:00 sms newsletter country=France zone=Europe/Paris: hold until 2026-11-28T07:00:00Z
    2026-11-28 21:00 sms newsletter country=fr zone=Europe/Paris: hold until 2026-11-30T07:00:00Z
    2026-12-24 21:00 sms newsletter country=fr zone=Europe/Paris: hold until 2026-12-26T07:00:00Z
    2026-12-31 21:00 sms newsletter country=fr zone=Europe/Paris: hold until 2027-01-02T07:00:00Z
    2026-11-27 21:00 sms newsletter phone=+33612345678 zone=Europe/Paris: hold until 2026-11-28T07:00:00Z
    2026-11-27 21:00 sms newsletter phone=+33612345678 country=Belgium: send
    2026-11-27 21:00 sms newsletter country=EIRE zone=Europe/Dublin: hold until 2026-11-28T08:00:00Z
    2026-11-27 21:00 push newsletter country=EIRE zone=Asia/Tokyo: hold until 2026-11-28T10:00:00Z
    2026-11-27 21:00 sms transactional country=France: send
    2026-11-27 21:00 email newsletter: send
    2026-11-27 23:00 email newsletter: hold until 2026-11-29T23:00:00Z
    2026-11-27 23:00 email partners: send
    2026-11-27 23:00 email newsletter expires=2026-11-29T23:00: expired
    2026-11-27 23:00 email newsletter expires=2026-11-29T23:00:01: hold until 2026-11-29T23:00:00Z
    2026-11-27 23:00 webhook newsletter: send
    ");
}

#[test]
fn a_clock_change_neither_shortens_nor_prolongs_what_is_quiet() {
    let rules = "quiet_hours: [{hours: {from: \"01:30\", to: \"02:30\"}}]";
    let rows: &[(&str, &str, &[&str])] = &[
        // Forward at 01:00 UTC: 02:30 does not exist, 03:00 is not quiet.
        ("2026-03-29 00:45", "email newsletter zone=Europe/Paris", &[]),
        // Back at 01:00 UTC: 02:30 is there twice, and between the two it is quiet again.
        ("2026-10-25 00:15", "email newsletter zone=Europe/Paris", &[]),
        ("2026-10-25 00:45", "email newsletter zone=Europe/Paris", &[]),
        ("2026-10-25 01:15", "email newsletter zone=Europe/Paris", &[]),
        ("2026-10-25 01:15", "email newsletter zone=Nowhere/Here", &[]),
        ("2026-10-25 02:15", "email newsletter zone=Nowhere/Here", &[]),
    ];
    insta::assert_snapshot!(decided(rules, rows), @r"
    2026-03-29 00:45 email newsletter zone=Europe/Paris: hold until 2026-03-29T01:00:00Z
    2026-10-25 00:15 email newsletter zone=Europe/Paris: hold until 2026-10-25T00:30:00Z
    2026-10-25 00:45 email newsletter zone=Europe/Paris: send
    2026-10-25 01:15 email newsletter zone=Europe/Paris: hold until 2026-10-25T01:30:00Z
    2026-10-25 01:15 email newsletter zone=Nowhere/Here: send
    2026-10-25 02:15 email newsletter zone=Nowhere/Here: hold until 2026-10-25T02:30:00Z
    ");
}

#[test]
fn what_is_held_by_one_rule_is_judged_by_the_others_when_it_leaves() {
    let rules = "
quiet_hours: [{hours: {from: \"20:00\", to: \"08:00\"}}]
caps: [{most: 1, within: PT6H, over: hold, hold: P3D}]
smart_sending: {push: PT2H}
limits: {per_hour: 10, hold: P1D}
";
    let rows: &[(&str, &str, &[&str])] = &[
        ("2026-11-27 21:00", "email newsletter", &["sms:newsletter@2026-11-27 19:00"]),
        ("2026-11-27 15:00", "email newsletter", &["sms:newsletter@2026-11-27 14:59"]),
        ("2026-11-27 21:00", "email newsletter", &["sms:newsletter@2026-11-28 08:00"]),
        ("2026-11-27 21:00", "push newsletter ignore_caps", &["push:newsletter@2026-11-28 08:30"]),
        ("2026-11-27 15:00", "email newsletter limited=2026-11-27T15:01", &[]),
        ("2026-11-27 15:00", "email newsletter limited=2026-11-27T21:01", &[]),
        ("2026-11-27 15:00", "email newsletter limited=2026-11-28T15:01", &[]),
        ("2026-11-27 15:00", "email transactional limited=2026-11-28T15:01", &[]),
    ];
    insta::assert_snapshot!(decided(rules, rows), @r"
    2026-11-27 21:00 email newsletter: hold until 2026-11-28T08:00:00Z
    2026-11-27 15:00 email newsletter: hold until 2026-11-28T08:00:00Z
    2026-11-27 21:00 email newsletter: hold until 2026-11-28T14:00:00Z
    2026-11-27 21:00 push newsletter ignore_caps: sent_recently
    2026-11-27 15:00 email newsletter limited=2026-11-27T15:01: hold until 2026-11-27T15:01:00Z
    2026-11-27 15:00 email newsletter limited=2026-11-27T21:01: hold until 2026-11-28T08:00:00Z
    2026-11-27 15:00 email newsletter limited=2026-11-28T15:01: send_limit
    2026-11-27 15:00 email transactional limited=2026-11-28T15:01: send
    ");
}

#[test]
fn limits_say_how_many_more_and_when_again() {
    let now = at("2026-11-27 12:00");
    let minute = |time: &str| at(time).0 / Timestamp::MINUTE;
    let spent =
        [(minute("2026-11-27 02:00"), 50), (minute("2026-11-27 11:10"), 6), (minute("2026-11-27 11:50"), 4)];
    for (limit, room, again) in [
        (Limit::default(), u64::MAX, None),
        (Limit { per_hour: Some(12), per_day: None }, 2, None),
        (Limit { per_hour: Some(10), per_day: None }, 0, Some("2026-11-27T12:11:00Z")),
        (Limit { per_hour: Some(3), per_day: None }, 0, Some("2026-11-27T12:51:00Z")),
        (Limit { per_hour: Some(12), per_day: Some(61) }, 1, None),
        (Limit { per_hour: Some(10), per_day: Some(60) }, 0, Some("2026-11-28T02:01:00Z")),
        (Limit { per_hour: Some(0), per_day: None }, 0, Some("2026-11-27T13:01:00Z")),
    ] {
        let (left, free) = limit.free(&spent, now);
        assert_eq!((left, free), (room, again.map(at)), "{limit:?}");
    }
    let none = Limit { per_hour: Some(0), per_day: None };
    assert_eq!(none.free(&[], now), (0, Some(at("2026-11-27 13:01"))));
}

#[test]
fn a_file_may_be_stored_as_a_text() {
    let text = "{\"caps\": [{\"most\": 1, \"within\": \"P1D\"}]}";
    let stored = format!("\"{}\"", text.replace('"', "\\\""));
    assert_eq!(SendingRules::parse(&stored), SendingRules::parse(text));
    assert_eq!(SendingRules::parse("nonsense").unwrap_err()[0].code, "doc.type");
}

#[test]
fn names_what_is_wrong() {
    let hours = |n: usize| format!("quiet_hours: [{{dates: [2026-11-01/2026-11-{n:02}]}}]");
    let many = |n: usize| format!("caps: [{}]", "{most: 1, within: P1D},".repeat(n).trim_end_matches(','));
    let mut out = String::new();
    for text in [
        "",
        "topics: ask",
        "caps: 3",
        "caps: [{chanel: email, most: 1, within: P1D}]",
        "caps: [{channel: fax, most: -1, within: P1M}]",
        "caps: [{most: 1, within: P1D, over: drop}]",
        "caps: [{most: 1, within: P1D, hold: P1D}]",
        "caps: [{most: 1, within: P1D, over: hold, hold: P32D}]",
        "caps: [{most: 1, within: P366D}]",
        "caps: [{most: 1, within: P367D}]",
        "caps: [{most: 1, purpose: News Letter, within: P1D}]",
        "smart_sending: 16",
        "smart_sending: {email: P31D, sms: P32D}",
        "quiet_hours: [{channel: sms}]",
        "quiet_hours: [{hours: {from: 21:00, to: \"08:00\"}}]",
        "quiet_hours: [{hours: {from: \"25:00\", to: \"08:00\"}}]",
        "quiet_hours: [{hours: {from: \"08:00\", to: \"08:00\"}}]",
        "quiet_hours: [{hours: {days: someday}}]",
        "quiet_hours: [{hours: [{days: weekdays}, {days: weekend}]}]",
        "quiet_hours: [{dates: [2026-02-30]}]",
        "quiet_hours: [{dates: [2026-12-26/2026-12-24]}]",
        "quiet_hours: [{zone: Paris, hours: {days: sun}}]",
        &hours(14),
        &hours(15),
        "quiet_hours: [{dates: [2027-12-20/2027-12-31, 01-01, 01-02]}]",
        "quiet_hours: [{dates: [2027-12-20/2027-12-31, 01-01, 01-02, 01-03]}]",
        "limits: {per_hour: many, journeys: {Bad: {per_day: 1}}}",
        "topics: maybe",
        &many(SendingRules::RULES_MAX),
        &many(SendingRules::RULES_MAX + 1),
    ] {
        let answer = match SendingRules::parse(text) {
            Ok(_) => "ok".to_owned(),
            Err(problems) => problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n    "),
        };
        let shown: String = text.chars().take(80).collect();
        writeln!(out, "`{shown}`\n    {answer}").unwrap();
    }
    insta::assert_snapshot!(out, @r#"
    ``
        ok
    `topics: ask`
        ok
    `caps: 3`
        error[doc.type] 1:7: caps: expected a list, found a number — begin each rule with a dash
    `caps: [{chanel: email, most: 1, within: P1D}]`
        error[doc.unknown_key] 1:9: caps.0.chanel: `chanel` is not known here — did you mean `channel`?
    `caps: [{channel: fax, most: -1, within: P1M}]`
        error[sending.channel] 1:18: caps.0.channel: `fax` is no channel that reaches a contact — use one of: email, sms, push
        error[sending.number] 1:29: caps.0.most: expected a whole number, 0 or more — write a number, as in 3
        error[sending.window] 1:41: caps.0.within: `P1M` is not a window of a fixed length up to 366 days — write hours or days, as in PT16H or P30D
    `caps: [{most: 1, within: P1D, over: drop}]`
        error[sending.over] 1:37: caps.0.over: `drop` says nothing about messages over the cap — use one of: skip, hold
    `caps: [{most: 1, within: P1D, hold: P1D}]`
        error[sending.over] 1:8: caps.0.hold: `hold` says how long, but the cap skips — write over: hold, or leave `hold` out
    `caps: [{most: 1, within: P1D, over: hold, hold: P32D}]`
        error[sending.window] 1:49: caps.0.hold: `P32D` is not a window of a fixed length up to 31 days — write hours or days, as in PT16H or P30D
    `caps: [{most: 1, within: P366D}]`
        ok
    `caps: [{most: 1, within: P367D}]`
        error[sending.window] 1:26: caps.0.within: `P367D` is not a window of a fixed length up to 366 days — write hours or days, as in PT16H or P30D
    `caps: [{most: 1, purpose: News Letter, within: P1D}]`
        error[slug.invalid] 1:27: caps.0.purpose: `News Letter` is not a usable name — name it as consents do, as in newsletter
    `smart_sending: 16`
        error[doc.type] 1:16: smart_sending: expected a mapping, found a number — write true, or windows, as in {email: PT16H}
    `smart_sending: {email: P31D, sms: P32D}`
        error[sending.window] 1:35: smart_sending.sms: `P32D` is not a window of a fixed length up to 31 days — write hours or days, as in PT16H or P30D
    `quiet_hours: [{channel: sms}]`
        error[sending.hours] 1:15: quiet_hours.0: the rule names no hours and no dates — write hours: [{from: "21:00", to: "08:00"}], or dates: [12-25]; to leave some messages free of a later rule write hours: none
    `quiet_hours: [{hours: {from: 21:00, to: "08:00"}}]`
        ok
    `quiet_hours: [{hours: {from: "25:00", to: "08:00"}}]`
        error[sending.hours] 1:30: quiet_hours.0.hours.0.from: expected a time of the day — write it in quotes, as in "21:00"
    `quiet_hours: [{hours: {from: "08:00", to: "08:00"}}]`
        error[sending.hours] 1:23: quiet_hours.0.hours.0: the time has no length — write two different times, as in {from: "21:00", to: "08:00"}; a whole day needs none
    `quiet_hours: [{hours: {days: someday}}]`
        error[sending.hours] 1:30: quiet_hours.0.hours.0.days: `someday` is no day of the week — use one of: monday, tuesday, wednesday, thursday, friday, saturday, sunday
    `quiet_hours: [{hours: [{days: weekdays}, {days: weekend}]}]`
        error[sending.always_quiet] 1:15: quiet_hours.0: the hours leave no minute of the week in which a message may leave — leave at least some minutes free, or pause the journey
    `quiet_hours: [{dates: [2026-02-30]}]`
        error[sending.date] 1:24: quiet_hours.0.dates: expected a date — write 2026-12-25, 2026-12-24/2026-12-26, or 12-25 for every year
    `quiet_hours: [{dates: [2026-12-26/2026-12-24]}]`
        error[sending.date] 1:24: quiet_hours.0.dates: expected a date — write 2026-12-25, 2026-12-24/2026-12-26, or 12-25 for every year
    `quiet_hours: [{zone: Paris, hours: {days: sun}}]`
        error[zone.unknown] 1:22: quiet_hours.0.zone: `Paris` is not a time zone — write contact, workspace, or an IANA name
    `quiet_hours: [{dates: [2026-11-01/2026-11-14]}]`
        ok
    `quiet_hours: [{dates: [2026-11-01/2026-11-15]}]`
        error[sending.days] 1:15: quiet_hours.0: more than 14 quiet days in a row — shorten them, or pause the journeys
    `quiet_hours: [{dates: [2027-12-20/2027-12-31, 01-01, 01-02]}]`
        ok
    `quiet_hours: [{dates: [2027-12-20/2027-12-31, 01-01, 01-02, 01-03]}]`
        error[sending.days] 1:15: quiet_hours.0: more than 14 quiet days in a row — shorten them, or pause the journeys
    `limits: {per_hour: many, journeys: {Bad: {per_day: 1}}}`
        error[sending.number] 1:20: limits.per_hour: expected a whole number, 0 or more — write a number, as in 3
        error[slug.invalid] 1:37: limits.journeys.Bad: `Bad` is not a usable name — use 1 to 64 lower-case letters, digits, `-` or `_`, as in `rfm-high`
    `topics: maybe`
        error[sending.topics] 1:9: topics: `maybe` says nothing about topics — use one of: follow, ask
    `caps: [{most: 1, within: P1D},{most: 1, within: P1D},{most: 1, within: P1D},{mos`
        ok
    `caps: [{most: 1, within: P1D},{most: 1, within: P1D},{most: 1, within: P1D},{mos`
        error[sending.too_many] 1:7: caps: more than 100 rules — join some of them
    "#);
}
