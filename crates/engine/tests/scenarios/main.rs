//! The examples as they lie in `examples/`, read from the disk and lived through under a virtual clock; and what users of
//! other systems complain of.

#[path = "../support/mod.rs"]
mod support;

mod complaints;
mod s0;
mod s1;
mod s2;
mod s3;
mod s4;
mod world;

#[test]
fn every_example_is_sound() {
    testkit::block_on(async {
        let workspace = engine::rules::Workspace::load(&testkit::store().db).await.unwrap();
        let mut found = Vec::new();
        for name in ["s0", "s1/campaign", "s1/flow", "s1/group-changes", "s2", "s3", "s4"] {
            let rules = engine::rules::compile(&world::example(name), &workspace);
            let rules = rules.unwrap_or_else(|problems| panic!("{name}: {problems:#?}"));
            let codes: Vec<&str> = rules.warnings.iter().map(|problem| &*problem.code).collect();
            found.push(format!("{name}: {} warnings {}", codes.len(), codes.join(" ")).trim_end().to_owned());
        }
        insta::assert_snapshot!(found.join("\n"), @r"
        s0: 4 warnings journey.unguarded_products journey.unguarded_products journey.no_branch journey.unguarded_products
        s1/campaign: 3 warnings journey.unguarded_products journey.unguarded_products journey.unguarded_products
        s1/flow: 0 warnings
        s1/group-changes: 0 warnings
        s2: 1 warnings template.unsubscribe
        s3: 0 warnings
        s4: 0 warnings
        ");
    });
}
