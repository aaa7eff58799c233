//! Relations between products.

use model::Timestamp;
use storage::relations::{RelationSet, RelationStore};

/// The last version is what is read, whole; the first has number 1.
///
/// # Panics
/// When the backend does otherwise.
pub async fn relations_are_kept_by_version<S: RelationStore>(store: &S) {
    assert_eq!(store.relations_version().await.expect("a version"), 0);
    assert_eq!(store.load_relations().await.expect("relations"), None);
    for round in 1..=4_u8 {
        let set = RelationSet {
            version: 0,
            trained_at: Timestamp(i64::from(round) * 1_000),
            orders: u64::from(round),
            last_order_at: (round > 1).then_some(Timestamp(i64::from(round))),
            settings: serde_json::json!({"ridge": round}),
            learned: vec![round; 10_000],
            together: vec![],
        };
        let version = store.save_relations(set.clone()).await.expect("saved");
        assert_eq!(version, u64::from(round));
        assert_eq!(store.relations_version().await.expect("a version"), version);
        let read = store.load_relations().await.expect("relations");
        assert_eq!(read, Some(RelationSet { version, ..set }));
    }
}
