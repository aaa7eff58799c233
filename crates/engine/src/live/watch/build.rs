//! Segments built over the whole base while batches go on.
//!
//! A build begins by asking to be told of every contact to whom something happens ([`Watch::begin`]), then looks at the
//! whole base in the background ([`Build::run`]), and ends between two batches: whoever was touched meanwhile is asked
//! again, and members, flips and what is told to those who moved are committed at once ([`Watch::finish`]).

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use model::{ContactId, Slug, Timestamp};
use roaring::RoaringTreemap;
use segment::SegmentFile;
use storage::{
    Result, Storage,
    segments::{FLIPS_AHEAD, Moved, NewMembers, Tell},
};

use super::{Watch, Watched};
use crate::segments::{BATCH, Progress, Workspace, bulk, contacts};

/// Contacts that are asked again at once, between two batches: some tenths of a second.
pub const CATCH_UP: u64 = 10_000;

/// A build that is about to begin.
pub struct Build {
    workspace: Arc<Workspace>,
    file: Arc<SegmentFile>,
    touched: Arc<Mutex<RoaringTreemap>>,
}

/// What a build found, to be finished.
pub struct Built {
    workspace: Arc<Workspace>,
    file: Arc<SegmentFile>,
    touched: Arc<Mutex<RoaringTreemap>>,
    members: RoaringTreemap,
    flips: BTreeMap<ContactId, Timestamp>,
    at: Timestamp,
}

impl Build {
    /// Looks at the whole base as of `at`. Nothing is written.
    ///
    /// # Errors
    /// What storage says.
    pub async fn run<S: Storage>(self, store: &S, at: Timestamp, progress: Progress) -> Result<Built> {
        let Self { workspace, file, touched } = self;
        let found = bulk::find(store, &workspace, &file.condition, at, progress).await?;
        let mut built =
            Built { workspace, file, touched, members: found.members, flips: BTreeMap::new(), at };
        let near: Vec<ContactId> = found.near.iter().map(|id| ContactId(id.cast_signed())).collect();
        for batch in near.chunks(BATCH) {
            let outcomes =
                contacts::evaluate(store, &built.workspace, &[&built.file.condition], batch.to_vec(), at)
                    .await?;
            let flips = outcomes.into_iter().filter_map(|(contact, outcome)| {
                Some((contact, outcome[0].next_flip.filter(|flip| flip.since(at) <= FLIPS_AHEAD)?))
            });
            built.flips.extend(flips);
        }
        Ok(built)
    }
}

impl Built {
    /// The segment.
    #[must_use]
    pub fn slug(&self) -> &Slug {
        &self.file.slug
    }

    /// Asks again some of those to whom something has happened meanwhile; whether that was all.
    async fn catch_up<S: Storage>(&mut self, store: &S, now: Timestamp) -> Result<bool> {
        let (ids, all) = {
            let mut touched = self.touched.lock().unwrap_or_else(PoisonError::into_inner);
            let ids: Vec<u64> = touched.iter().take(CATCH_UP as usize).collect();
            for id in &ids {
                touched.remove(*id);
            }
            (ids, touched.is_empty())
        };
        let ids: Vec<ContactId> = ids.into_iter().map(|id| ContactId(id.cast_signed())).collect();
        for batch in ids.chunks(BATCH) {
            let outcomes =
                contacts::evaluate(store, &self.workspace, &[&self.file.condition], batch.to_vec(), now)
                    .await?;
            for (contact, outcome) in outcomes {
                let id = contact.0.cast_unsigned();
                if outcome[0].member {
                    self.members.insert(id)
                } else {
                    self.members.remove(id)
                };
                match outcome[0].next_flip.filter(|flip| flip.since(now) <= FLIPS_AHEAD) {
                    Some(flip) => self.flips.insert(contact, flip),
                    None => self.flips.remove(&contact),
                };
            }
        }
        Ok(all)
    }
}

impl Watch {
    /// Begins a build of a segment; none when there is no such segment. Run it beside the batches.
    pub fn begin(&mut self, slug: &str) -> Option<Build> {
        let file = Arc::clone(self.workspace.segments.get(slug)?);
        let touched = Arc::new(Mutex::new(RoaringTreemap::new()));
        self.touched.push(Arc::clone(&touched));
        Some(Build { workspace: Arc::clone(&self.workspace), file, touched })
    }

    /// Ends a build, between two batches. Answers with who moved; none when so much has happened meanwhile that it is to
    /// be called again (after a batch or two), with what is handed back.
    ///
    /// # Errors
    /// What storage says: the build is lost then, and nothing of it is committed.
    pub async fn finish<S: Storage>(
        &mut self,
        store: &S,
        mut built: Built,
        tell: Tell,
        now: Timestamp,
    ) -> Result<std::result::Result<Moved, Box<Built>>> {
        if !built.catch_up(store, now).await? {
            return Ok(Err(Box::new(built)));
        }
        let Built { file, members, flips, at, workspace, .. } = built;
        let fingerprint = workspace.fingerprint(&file);
        let new = NewMembers {
            slug: file.slug.clone(),
            fingerprint: fingerprint.clone(),
            members: members.clone(),
            flips: flips.into_iter().collect(),
            at,
            tell,
        };
        let moved = store.commit_members(new).await?;
        if self.workspace.segments.get(file.slug.as_str()).is_none_or(|known| !Arc::ptr_eq(known, &file)) {
            // The rules were loaded anew meanwhile: the segment is built again, if it is still there.
            return Ok(Ok(moved));
        }
        match self.place(file.slug.as_str()) {
            Some(place) => {
                let own = &mut self.segments[place];
                (own.members, own.fingerprint) = (members, fingerprint);
            }
            None => {
                self.unbuilt.retain(|slug| *slug != file.slug);
                self.segments.push(Watched { file, fingerprint, members, asks: Vec::new() });
                self.segments.sort_by(|a, b| a.file.slug.as_str().cmp(b.file.slug.as_str()));
                self.index(store).await?;
            }
        }
        Ok(Ok(moved))
    }
}
