//! Runs that stay: waits, waiting for signals, branches, tests; that nothing depends on whether a run is put away.

mod branch;
mod harness;
mod kept;
mod splits;
mod wait;
mod wait_for;

/// Every example of the documentation, in a journey that has what they speak of.
#[test]
fn every_example_of_the_documentation_is_read() {
    let docs = include_str!("../../../../docs/journeys.md");
    let section = docs.split("### Flow").nth(1).and_then(|rest| rest.split("\n### ").next()).unwrap();
    let mut kinds = Vec::new();
    for fragment in section.split("```yaml").skip(1).filter_map(|rest| rest.split("```").next()) {
        let mut nodes = "  mail: {kind: send_email, template: hello, purpose: newsletter}\n".to_owned();
        let mut links = "  - {from: start, to: mail}\n".to_owned();
        for line in fragment.lines().filter(|line| !line.is_empty()) {
            let id = line.split(':').next().unwrap();
            nodes.push_str(&format!("  {line}\n"));
            links.push_str(&format!("  - {{from: mail, to: {id}}}\n"));
        }
        let text = format!(
            "journey: j\naudience: {{who: all, source: existing_and_new}}\ntriggers:\n  \
             - {{event: Order Shipped, properties: {{delivery_date: date}}}}\nnodes:\n{nodes}links:\n{links}"
        );
        kinds.extend(harness::compiled(&text).nodes.iter().map(|node| node.kind.word));
    }
    for kind in ["wait", "wait_for", "branch", "split", "ab_test", "holdout", "goal", "go_to", "exit"] {
        assert!(kinds.contains(&kind), "no example of {kind}");
    }
}
