//! A base as text, to compare two of them: every table that says what was decided, row by row.

use std::path::Path;

use rusqlite::{Connection, OpenFlags, types::ValueRef};

/// What is compared, as queries. Left out is what says how the work was done and not what came of it: attempts, builds,
/// runs of the night, what is kept to be faster.
const QUERIES: &[(&str, &str)] = &[
    ("contacts", "SELECT * FROM contacts ORDER BY 1"),
    ("identifiers", "SELECT * FROM identifiers ORDER BY 1, 2"),
    ("totals", "SELECT * FROM contact_totals ORDER BY 1"),
    ("orders", "SELECT * FROM orders ORDER BY 1, 2, 3"),
    ("carts", "SELECT * FROM carts ORDER BY 1, 2, 3"),
    (
        "events",
        "SELECT e.contact_id, e.at, k.name, e.* FROM events e JOIN event_kinds k ON k.kind_id = e.kind_id ORDER BY 1, 2, 3, 4",
    ),
    ("products", "SELECT * FROM products ORDER BY 1"),
    ("enrolments", "SELECT * FROM enrolments ORDER BY 1, 2, 3"),
    ("counts", "SELECT * FROM journey_counts ORDER BY 1, 2, 3"),
    ("stays", "SELECT * FROM stays WHERE n <> 0 ORDER BY 1, 2"),
    ("alarms", "SELECT contact_id, due, timers FROM alarms WHERE due IS NOT NULL ORDER BY 1"),
    ("passages", "SELECT * FROM node_passages ORDER BY 1, 2, 3"),
    ("lives", "SELECT run_id, journey, version, life, since FROM lives ORDER BY 1"),
    ("codes", "SELECT * FROM coupon_codes ORDER BY 1"),
    ("coupons", "SELECT * FROM coupon_uses ORDER BY 1, 2, 3"),
    ("held", "SELECT * FROM held_triggers ORDER BY 1, 2"),
    (
        "messages",
        "SELECT hex(o.message_id), o.contact_id, p.journey, p.journey_version, p.node, p.channel, b.decided_at, b.variables,
           o.state, CASE WHEN o.state = 1 THEN o.due END AS due, o.reason
         FROM outbox o JOIN outbox_bodies b ON b.seq = o.seq JOIN send_points p ON p.send_id = o.send_id ORDER BY o.seq",
    ),
    (
        "segments",
        "SELECT s.slug, s.members, hex(c.members) FROM segments s LEFT JOIN segment_chunks c ON c.segment_no = s.segment_no ORDER BY 1",
    ),
    ("groups", "SELECT * FROM rfm_moves ORDER BY 1, 2, 3, 4"),
    ("suppressions", "SELECT * FROM suppressions ORDER BY 1"),
];

/// Numbers that a repeated batch uses up: they say in which order things came, and the rows are in that order.
const LEFT_OUT: &[&str] =
    &["event_no", "order_no", "cart_no", "kind_id", "run_id", "held_no", "code_no", "use_no"];

/// The base of a file.
///
/// # Errors
/// What the driver says.
pub fn dump(path: &Path) -> Result<Vec<String>, String> {
    let text = |error: rusqlite::Error| error.to_string();
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(text)?;
    let mut lines = Vec::new();
    for (name, query) in QUERIES {
        let mut statement = connection.prepare(query).map_err(|error| format!("{name}: {error}"))?;
        let names: Vec<String> = statement.column_names().map(str::to_owned).collect();
        let mut rows = statement.query([]).map_err(text)?;
        while let Some(row) = rows.next().map_err(text)? {
            let mut line = format!("{name}:");
            for (place, column) in
                names.iter().enumerate().filter(|(_, name)| !LEFT_OUT.contains(&name.as_str()))
            {
                let value = match row.get_ref(place).map_err(text)? {
                    ValueRef::Null => "-".to_owned(),
                    ValueRef::Integer(n) => n.to_string(),
                    ValueRef::Real(n) => n.to_string(),
                    ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
                    ValueRef::Blob(bytes) if *column == "state" => state(bytes),
                    ValueRef::Blob(bytes) => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
                };
                line.push_str(&format!(" {column}={value}"));
            }
            lines.push(line);
        }
    }
    Ok(lines)
}

/// What a run keeps, without the numbers of rows in what it has read of carts and orders (see [`LEFT_OUT`]).
fn state(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut parts = text.split("\"no\":");
    let mut bare = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        bare.push_str("\"no\":_");
        bare.push_str(part.trim_start_matches(|c: char| c.is_ascii_digit()));
    }
    bare
}

/// What two bases differ in; empty when they are alike.
#[must_use]
pub fn differ(one: &[String], other: &[String]) -> String {
    let mut text = String::new();
    let only = |of: &[String], not: &[String]| -> Vec<String> {
        let not: std::collections::HashSet<&String> = not.iter().collect();
        of.iter().filter(|line| !not.contains(line)).take(8).cloned().collect()
    };
    for (sign, lines) in [("-", only(one, other)), ("+", only(other, one))] {
        for line in lines {
            text.push_str(&format!("{sign} {line}\n"));
        }
    }
    if text.is_empty() && one.len() != other.len() {
        text = format!("{} rows and {} rows\n", one.len(), other.len());
    }
    text
}
