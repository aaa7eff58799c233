//! What holds whatever the rules and the order of decisions are.

use model::{AddressStatus, Channel, ConsentState, Timestamp, Zone};
use policy::{Cap, Decision, Facts, Over, PastSend, Quiet, SendingRules, Smart, Span, ZoneChoice};
use proptest::prelude::*;

const ZONES: [&str; 6] =
    ["UTC", "Europe/Paris", "America/New_York", "Australia/Lord_Howe", "America/St_Johns", "Pacific/Apia"];

fn facts<'a>(sends: &'a [PastSend], now: Timestamp, zone: &'a str, workspace: &'a Zone) -> Facts<'a> {
    Facts {
        channel: Channel::Email,
        purpose: "newsletter",
        transactional: false,
        address: Some("a@example.test"),
        status: AddressStatus::Active,
        consent: ConsentState::Subscribed,
        suppressed: false,
        country: None,
        time_zone: Some(zone),
        workspace,
        sends,
        smart: Smart::Workspace,
        ignore_caps: false,
        decided_at: now,
        expires_at: None,
        limited_until: None,
        now,
    }
}

/// Spans that leave something of the week free.
fn spans() -> impl Strategy<Value = Vec<Span>> {
    let span = (0_u16..1_440, 1_u16..1_200, 1_u8..127).prop_map(|(from, length, days)| Span {
        weekdays: std::array::from_fn(|day| days & (1 << day) != 0),
        from,
        to: match from + length {
            to if to > 1_440 => to - 1_440,
            to => to,
        },
    });
    prop::collection::vec(span, 0..3)
}

fn quiet(weekly: Vec<Span>) -> Quiet {
    Quiet {
        channels: Vec::new(),
        purposes: Vec::new(),
        countries: Vec::new(),
        transactional: false,
        zone: ZoneChoice::Contact,
        weekly,
        days: Vec::new(),
    }
}

/// Minutes from a few days before a clock change, in the northern and in the southern hemisphere.
fn instant() -> impl Strategy<Value = Timestamp> {
    const STARTS: [&str; 5] = ["2026-03-26", "2026-10-22", "2026-04-02", "2026-10-01", "2026-12-29"];
    (prop::sample::select(&STARTS[..]), 0_i64..7 * 24 * 60).prop_map(|(start, minute)| {
        Timestamp::parse(start, &Zone::UTC).unwrap().plus(minute * Timestamp::MINUTE)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is decided, in whatever order of times, no window of a cap holds more than it allows.
    #[test]
    fn no_window_holds_more_than_its_cap(
        caps in prop::collection::vec((1_u32..4, 1_i64..48, prop::option::of(1_i64..200)), 1..3),
        weekly in spans(),
        moments in prop::collection::vec(instant(), 1..40),
        zone in prop::sample::select(&ZONES[..]),
    ) {
        let caps = caps.into_iter().map(|(most, hours, hold)| Cap {
            channel: None,
            purpose: None,
            most,
            within: hours * Timestamp::HOUR,
            over: hold.map_or(Over::Skip, |hours| Over::Hold(hours * Timestamp::HOUR)),
        });
        let rules = SendingRules { caps: caps.collect(), quiet: vec![quiet(weekly)], ..SendingRules::default() };
        let utc = Zone::UTC;
        let mut sends: Vec<PastSend> = Vec::new();
        for now in moments {
            let at = match rules.decide(&facts(&sends, now, zone, &utc)) {
                Decision::Send => now,
                Decision::Hold(until) => {
                    prop_assert!(until > now);
                    // Asked again when the time has come, the answer is yes: nothing is held for ever.
                    prop_assert_eq!(rules.decide(&Facts { now: until, ..facts(&sends, now, zone, &utc) }), Decision::Send);
                    until
                }
                Decision::Refuse(_) => continue,
            };
            sends.push(PastSend { channel: Channel::Sms, purpose: "newsletter".into(), at });
            let mut times: Vec<Timestamp> = sends.iter().map(|send| send.at).collect();
            times.sort_unstable();
            for cap in &rules.caps {
                for (i, from) in times.iter().enumerate() {
                    let inside = times[i..].iter().take_while(|time| time.since(*from) < cap.within).count();
                    prop_assert!(inside <= cap.most as usize, "{inside} in {cap:?}");
                }
            }
        }
    }

    /// A hold ends outside of quiet hours, and at the first such minute.
    #[test]
    fn a_hold_ends_at_the_first_minute_that_is_not_quiet(
        weekly in spans(),
        now in instant(),
        zone in prop::sample::select(&ZONES[..]),
    ) {
        let quiet = quiet(weekly);
        let zone = Zone::parse(zone).unwrap();
        let free = quiet.free(now, &zone);
        prop_assume!(free != Timestamp::MAX);
        prop_assert!(!quiet.is_quiet(free, &zone));
        let minutes = free.since(now) / Timestamp::MINUTE;
        prop_assert_eq!(free.since(now) % Timestamp::MINUTE, 0, "clocks change at whole minutes");
        for minute in 0..minutes {
            prop_assert!(quiet.is_quiet(now.plus(minute * Timestamp::MINUTE), &zone), "minute {} of {}", minute, minutes);
        }
    }

    /// Whatever was read, asking never panics and never holds for longer than three weeks.
    #[test]
    fn quiet_hours_that_were_read_always_end(days in "(mon|sat|weekdays|weekend)", from in 0_u8..24, to in 0_u8..24, now in instant()) {
        let text = format!("quiet_hours: [{{hours: [{{days: {days}, from: \"{from:02}:00\", to: \"{to:02}:00\"}}], dates: [2026-10-20/2026-11-02]}}]");
        if let Ok(rules) = SendingRules::parse(&text) {
            let utc = Zone::UTC;
            if let Decision::Hold(until) = rules.decide(&facts(&[], now, "Europe/Paris", &utc)) {
                prop_assert!(until.since(now) <= 21 * Timestamp::DAY);
            }
        }
    }
}
