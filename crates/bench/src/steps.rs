//! `relance bench steps`: contacts whose waits end at the same instant, from their alarms to the committed next step, and
//! how long an engine takes to be ready again while they wait.

use serde_json::json;

use crate::{
    Plan, Report, Stopwatch,
    living::{self, said},
    synthetic::{self, END, Shape},
};
use model::Timestamp;

/// Contacts who wait, unless told otherwise.
pub const CONTACTS: u64 = 1_000_000;
/// Instants at which waits end.
const ROUNDS: i64 = 1;

const JOURNEY: &str = "
format: 1
journey: waiting
audience: {who: with_email, source: existing}
nodes:
  night: {kind: wait, for: PT8H}
  french: {kind: check_value, condition: {field: country, is: France}}
  halves: {kind: split, branches: {a: 50, b: 50}}
  day: {kind: wait, for: P1D}
  later: {kind: wait, for: P2D}
links:
  - {from: start, to: night}
  - {from: night, to: french}
  - {from: french, to: halves, when: \"yes\"}
  - {from: french, to: day, when: \"no\"}
  - {from: halves, to: day, when: a}
  - {from: halves, to: later, when: b}
";

/// Measures.
///
/// # Errors
/// What went wrong, in a sentence.
pub async fn run(plan: &Plan) -> Result<Report, String> {
    let contacts = plan.size.unwrap_or(CONTACTS);
    let shape = Shape { seed: plan.seed, contacts, orders: contacts, events: contacts * 2, products: 5_000 };
    let mut base = synthetic::base(plan, &shape).await?;
    if !base.is_temporary() {
        base = synthetic::copy(&base)?;
    }
    let db = &base.db;
    let entering = Stopwatch::start();
    let mut engine = living::publish(db, JOURNEY, END).await?;
    let entered = engine.settle(END).await.map_err(said)?;
    let (entering, _) = entering.elapsed();
    drop(engine);

    let restart = Stopwatch::start();
    let mut engine = engine::live::work::Engine::open(db.clone(), END).await.map_err(said)?;
    let due = engine.next_due(END).await.map_err(said)?;
    let (ready, _) = restart.elapsed();

    let watch = Stopwatch::start();
    let mut worked = engine::live::work::Worked::default();
    for round in 1..=ROUNDS {
        let now = END.plus(round * 8 * Timestamp::HOUR);
        loop {
            let more = engine.turn(now, false).await.map_err(said)?;
            worked += more;
            if more.alarms == 0 {
                break;
            }
        }
    }
    let mut report = watch.report("steps", worked.steps);
    if worked.alarms == 0 {
        return Err("no alarm rang".into());
    }
    report.more.insert("contacts".into(), json!(contacts));
    report.more.insert("alarms".into(), json!(worked.alarms));
    report.more.insert("alarms_per_second".into(), json!(worked.alarms as f64 / report.seconds));
    report.more.insert("entered".into(), json!(entered.waves));
    report.more.insert("entered_per_second".into(), json!(entered.waves as f64 / entering));
    report.more.insert("restart_seconds".into(), json!(ready));
    report.more.insert("next_due".into(), json!(due.map(|due| due.to_string())));
    Ok(report)
}
