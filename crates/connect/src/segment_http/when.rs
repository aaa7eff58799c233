//! When it happened: the sender's clock set right by what the server's says, as Segment's specification has it:
//! `timestamp = receivedAt − (sentAt − originalTimestamp)`.

use model::{Problem, Timestamp, Zone};

use super::{Arrival, Message};
use crate::values::Result;

/// Digits from which on a number is a count of milliseconds and not of seconds.
const MILLISECONDS_FROM: i64 = 100_000_000_000;

/// When a message's event happened, never later than it arrived.
pub(super) fn happened(message: &Message, arrival: &Arrival) -> Result<Timestamp> {
    let read = |text: &Option<String>, field: &str| {
        text.as_deref().map(|text| instant(text).map_err(|problem| problem.field(field))).transpose()
    };
    let said = match read(&message.original_timestamp, "originalTimestamp")? {
        Some(at) => Some(at),
        None => read(&message.timestamp, "timestamp")?,
    };
    let Some(said) = said else { return Ok(arrival.received_at) };
    let sent_at = read(&message.sent_at, "sentAt")?.or(arrival.sent_at);
    let at = match sent_at {
        Some(sent_at) => arrival.received_at.plus(-sent_at.since(said).max(0)),
        None => said,
    };
    Ok(at.min(arrival.received_at).max(Timestamp::OUTSIDE_MIN))
}

/// ISO 8601, or a number of seconds or milliseconds since 1970.
pub(super) fn instant(text: &str) -> Result<Timestamp> {
    let micros = match text.parse::<i64>() {
        Ok(number) if number >= MILLISECONDS_FROM => number.saturating_mul(1_000),
        Ok(number) if number > 9_999 => number.saturating_mul(Timestamp::SECOND),
        _ => return Timestamp::parse(text, &Zone::UTC),
    };
    if micros < Timestamp::OUTSIDE_MAX.0 {
        return Ok(Timestamp(micros));
    }
    Err(Problem::new("time.out_of_range", format!("`{text}` is not between 1970 and 2199"))
        .value(text)
        .cure("send ISO 8601, or milliseconds since 1970"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_clock_is_set_right() {
        let at = |text: &str| Timestamp::parse(text, &Zone::UTC).unwrap();
        let received_at = at("2026-11-02T10:00:00Z");
        for (said, sent, expected) in [
            // Sent at once by a clock that is an hour slow, and by one that is a day fast.
            ("2026-11-02T09:00:00Z", Some("2026-11-02T09:00:00Z"), "2026-11-02T10:00:00Z"),
            ("2026-11-03T10:00:00Z", Some("2026-11-03T10:00:05Z"), "2026-11-02T09:59:55Z"),
            // Kept for two hours on a telephone without a network.
            ("2026-11-02T07:00:00Z", Some("2026-11-02T09:00:00Z"), "2026-11-02T08:00:00Z"),
            // Who does not say when it was sent is believed, but nobody comes from the future.
            ("2026-11-02T07:00:00Z", None, "2026-11-02T07:00:00Z"),
            ("2026-11-02T11:00:00Z", None, "2026-11-02T10:00:00Z"),
            // Sent before it happened: nonsense, so it happened now.
            ("2026-11-02T09:00:00Z", Some("2026-11-02T08:00:00Z"), "2026-11-02T10:00:00Z"),
        ] {
            let message = Message { timestamp: Some(said.into()), ..Message::default() };
            let arrival = Arrival { received_at, sent_at: sent.map(at), call: None };
            assert_eq!(happened(&message, &arrival).unwrap(), at(expected), "{said} {sent:?}");
        }
        assert_eq!(instant("1700000000000").unwrap(), instant("1700000000").unwrap());
        assert_eq!(instant("yesterday").unwrap_err().code, "time.invalid");
        assert_eq!(instant(&i64::MAX.to_string()).unwrap_err().code, "time.out_of_range");
    }
}
