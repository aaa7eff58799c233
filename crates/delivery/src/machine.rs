//! Who opened a mail or clicked a link: a person, or a machine that looks at mails for others. What a machine did is kept
//! with `machine: true` and `why`, and counts for nothing: journeys do not wait for it, nobody gets credit for it.
//!
//! The lists are short on purpose: names that such programs give themselves, and what no person does.

use model::{MessageId, Timestamp};
use storage::consents::Click;

/// What the browser of Apple's Mail Privacy Protection calls itself, and nobody else: it loads pictures of all mails, read
/// or not.
const APPLE_PRIVACY: &str = "Mozilla/5.0";

/// Proxies that load pictures for mail programs. They do so when somebody reads, so the open counts; but what they load
/// just after delivery they load ahead.
const PROXIES: [(&str, &str); 3] =
    [("googleimageproxy", "gmail"), ("yahoomailproxy", "yahoo"), ("fastmail", "fastmail")];

/// Parts of names of programs that fetch pages by themselves, in lower case: search engines, previews of links in chats,
/// scanners of mail gateways, libraries that scripts use.
const PROGRAMS: [&str; 30] = [
    "bot/",
    "bot;",
    "bot ",
    "bot)",
    "bot-",
    "crawler",
    "spider",
    "slurp",
    "preview",
    "facebookexternalhit",
    "whatsapp/",
    "headlesschrome",
    "phantomjs",
    "puppeteer",
    "playwright",
    "python-",
    "python/",
    "curl/",
    "wget/",
    "go-http-client",
    "java/",
    "apache-httpclient",
    "libwww",
    "node-fetch",
    "axios/",
    "barracuda",
    "proofpoint",
    "mimecast",
    "trendmicro",
    "urlscan",
];

/// A telephone whose name ends like a robot's.
const NO_PROGRAM: &str = "cubot";

/// A proxy that loads a picture within so long after delivery loads it ahead.
pub const AHEAD: i64 = 10 * Timestamp::SECOND;
/// Nobody opens a mail or clicks its link within so long after delivery: it has not even reached the screen.
pub const TOO_SOON: i64 = 2 * Timestamp::SECOND;
/// Clicks on different links of a message within so long are looked at together.
pub const BURST_WITHIN: i64 = Timestamp::SECOND;
/// So many different links within [`BURST_WITHIN`]: nobody clicks so fast.
pub const BURST_LINKS: usize = 3;
/// A click is judged when it is so old: what came with it is known then.
pub const JUDGED_AFTER: i64 = 2 * BURST_WITHIN;

/// What a request says of itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asker<'a> {
    /// `User-Agent`.
    pub agent: &'a str,
    /// Whether it only asks for the head of the answer.
    pub head: bool,
    /// Whether it says that it loads ahead (`Sec-Purpose`, `Purpose`, `X-Moz`).
    pub ahead: bool,
}

/// Why a request is a program's, by its name alone.
fn program(asker: &Asker<'_>) -> Option<&'static str> {
    if asker.head {
        return Some("head");
    }
    if asker.ahead {
        return Some("prefetch");
    }
    if asker.agent.trim().is_empty() {
        return Some("no_agent");
    }
    // A name that ends in "bot" counts as one that goes on.
    let agent = format!("{} ", asker.agent.to_lowercase().replace(NO_PROGRAM, ""));
    PROGRAMS.iter().any(|part| agent.contains(part)).then_some("program")
}

/// Why an open is a machine's; none: a person's. `since_sent` is how long ago the mail was handed over, in microseconds,
/// if that is known.
#[must_use]
pub fn open(asker: &Asker<'_>, since_sent: Option<i64>) -> Option<&'static str> {
    if asker.agent.trim() == APPLE_PRIVACY {
        return Some("apple_privacy");
    }
    if let Some(why) = program(asker) {
        return Some(why);
    }
    let within = |period| since_sent.is_some_and(|since| since < period);
    if proxy(asker.agent).is_some() && within(AHEAD) {
        return Some("loaded_ahead");
    }
    within(TOO_SOON).then_some("too_soon")
}

/// The proxy that asks for a reader.
#[must_use]
pub fn proxy(agent: &str) -> Option<&'static str> {
    let agent = agent.to_lowercase();
    PROXIES.iter().find(|(part, _)| agent.contains(part)).map(|(_, name)| *name)
}

/// Why a click is a machine's, as far as that shows at once.
#[must_use]
pub fn click(asker: &Asker<'_>, since_sent: Option<i64>) -> Option<&'static str> {
    program(asker).or_else(|| since_sent.is_some_and(|since| since < TOO_SOON).then_some("too_soon"))
}

/// Why each click is a machine's, with those that came near it: many links at once, or one beside a click that showed a
/// machine at once. Clicks are ordered by time.
#[must_use]
pub fn judge(clicks: &[Click]) -> Vec<Option<String>> {
    let near = |one: &Click, message: MessageId, at: Timestamp| {
        one.message == message && one.at.since(at).abs() <= BURST_WITHIN
    };
    let why = |click: &Click| {
        if click.why.is_some() {
            return click.why.clone();
        }
        let beside = || clicks.iter().filter(|one| near(one, click.message, click.at));
        if let Some(other) = beside().find_map(|one| one.why.clone()) {
            return Some(other);
        }
        let mut urls: Vec<&str> = beside().map(|one| one.url.as_str()).collect();
        urls.sort_unstable();
        urls.dedup();
        (urls.len() >= BURST_LINKS).then(|| "burst".to_owned())
    };
    clicks.iter().map(why).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAFARI: &str =
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)";
    const GMAIL: &str =
        "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)";

    #[test]
    fn opens() {
        let late = Some(Timestamp::HOUR);
        for (agent, since, why) in [
            (SAFARI, late, None),
            (SAFARI, None, None),
            (SAFARI, Some(TOO_SOON - 1), Some("too_soon")),
            (SAFARI, Some(TOO_SOON), None),
            ("Mozilla/5.0", late, Some("apple_privacy")),
            (GMAIL, late, None),
            (GMAIL, Some(AHEAD - 1), Some("loaded_ahead")),
            (GMAIL, Some(AHEAD), None),
            ("", late, Some("no_agent")),
            ("Mozilla/5.0 (compatible; Googlebot/2.1)", late, Some("program")),
            ("SomeBot", late, Some("program")),
            ("python-requests/2.31", late, Some("program")),
            ("Mozilla/5.0 (Linux; Android 9; CUBOT X19) AppleWebKit/537.36", late, None),
        ] {
            assert_eq!(open(&Asker { agent, ..Asker::default() }, since), why, "{agent} {since:?}");
        }
        assert_eq!(open(&Asker { agent: SAFARI, ahead: true, head: false }, late), Some("prefetch"));
        assert_eq!(proxy(GMAIL), Some("gmail"));
        assert_eq!(proxy(SAFARI), None);
    }

    fn at(message: u8, url: &str, at: i64, why: Option<&str>) -> Click {
        Click {
            no: 0,
            message: MessageId([message; 16]),
            kind: String::new(),
            link: String::new(),
            url: url.into(),
            at: Timestamp(at),
            why: why.map(str::to_owned),
        }
    }

    #[test]
    fn many_links_at_once_and_what_comes_beside_a_machine_are_a_machines() {
        let second = Timestamp::SECOND;
        let whys = |clicks: &[Click]| judge(clicks).iter().map(Option::is_some).collect::<Vec<_>>();
        assert_eq!(whys(&[at(1, "a", 0, None), at(1, "b", 1, None)]), [false, false], "two tabs");
        let three = [at(1, "a", 0, None), at(1, "b", 1, None), at(1, "c", second, None)];
        assert_eq!(whys(&three), [true, true, true]);
        let same = [at(1, "a", 0, None), at(1, "a", 1, None), at(1, "a", 2, None)];
        assert_eq!(whys(&same), [false; 3], "one link again and again");
        let slow = [at(1, "a", 0, None), at(1, "b", second + 1, None), at(1, "c", 2 * second + 2, None)];
        assert_eq!(whys(&slow), [false; 3]);
        let others = [at(1, "a", 0, None), at(2, "b", 1, None), at(3, "c", 2, None)];
        assert_eq!(whys(&others), [false; 3], "of different messages");
        let head = [at(1, "a", 0, Some("head")), at(1, "a", 1, None), at(1, "a", 9 * second, None)];
        assert_eq!(whys(&head), [true, true, false]);
    }

    #[test]
    fn clicks_show_machines_at_once() {
        let head = Asker { agent: SAFARI, head: true, ahead: false };
        assert_eq!(click(&head, None), Some("head"));
        let plain = Asker { agent: SAFARI, ..Asker::default() };
        assert_eq!(click(&plain, Some(TOO_SOON - 1)), Some("too_soon"));
        assert_eq!(click(&plain, Some(TOO_SOON)), None);
    }
}
