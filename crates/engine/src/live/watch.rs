//! Segments and RFM kept true as things happen.
//!
//! [`Watch`] holds in memory what every batch asks: the members of all built segments, what each of them reads, and the
//! cut points in force. For a batch of inputs it says who moves ([`Watch::see`]), for memberships that time alone changes
//! likewise ([`Watch::flip`]): nothing is written. What it answers goes into the same transaction as the batch
//! (`StepCommit::members`, `StepCommit::scores`), and only when that is on disk is it told to the memory
//! ([`Watch::committed`]): a batch that was refused leaves no trace.
//!
//! ```text
//! inputs ─▶ orders: rescored with the cut points in force ─▶ group moves ┐
//!        └▶ segments that read what changed ─▶ members, flips, states ───┴▶ Seen ─▶ commit ─▶ committed
//! ```
//!
//! What is kept of a contact's history for a segment (`segment::State`) takes every event in exactly once: beside it stands
//! the number of the last input that is in it (see [`states`]).

pub mod build;
pub mod reads;
pub mod states;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
};

use model::{ContactId, Event, RfmPlacement, Slug, Timestamp, event::kind};
use roaring::RoaringTreemap;
use segment::SegmentFile;
use serde_json::{Map, Value};
use storage::{
    Result, Storage,
    live::Input,
    rfm::{LiveScore, NO_GROUP},
    segments::{FLIPS_AHEAD, MemberAnswer},
};

use super::Ground;
use crate::{
    rfm::Rescorer,
    segments::{
        Catalogue, Workspace,
        contacts::{self, Given, Kept, Question},
    },
};
use reads::Interest;

/// A segment that was built and is kept true.
struct Watched {
    file: Arc<SegmentFile>,
    fingerprint: String,
    members: RoaringTreemap,
    /// Those whose condition its own one asks in place, itself included, as places in [`Watch::segments`].
    asks: Vec<usize>,
}

/// What batches ask of segments and RFM, in memory.
pub struct Watch {
    workspace: Arc<Workspace>,
    /// By slug.
    segments: Vec<Watched>,
    interest: Interest,
    rescorer: Rescorer,
    catalogue: Arc<Catalogue>,
    /// Segments that must be built before they can be kept true.
    unbuilt: Vec<Slug>,
    /// For each build under way: contacts to whom anything happened since it began.
    touched: Vec<Arc<Mutex<RoaringTreemap>>>,
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.segments.iter().map(|one| one.file.slug.as_str())).finish()
    }
}

/// What a batch does to segments and RFM: to be committed with it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seen {
    /// For `StepCommit::members`.
    pub members: Vec<(Slug, String, Vec<MemberAnswer>)>,
    /// For `StepCommit::scores`.
    pub scores: Vec<LiveScore>,
    /// What the contacts of the batch are to be told in this very batch, by contact: changes of RFM groups, then segments
    /// left, then segments entered; each with how many inputs caused each other before it.
    pub events: Vec<(Event, u8)>,
    moved: BTreeMap<(String, ContactId), bool>,
    /// Everybody to whom something happened.
    touched: RoaringTreemap,
}

impl Seen {
    /// Whether there is nothing to commit.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty() && self.scores.is_empty()
    }

    /// How many memberships change.
    #[must_use]
    pub fn moves(&self) -> usize {
        self.moved.len()
    }
}

impl Watch {
    /// Loads it: all segments that were built for the condition that they have now, and the cut points in force. Others
    /// are laid aside: what would have moved their members by itself would be due for ever, as nobody answers it.
    ///
    /// # Errors
    /// What storage says.
    pub async fn load<S: Storage>(store: &S, workspace: &Arc<Workspace>) -> Result<Self> {
        let built: BTreeMap<Slug, String> =
            store.load_segments().await?.into_iter().map(|one| (one.slug, one.fingerprint)).collect();
        let (mut segments, mut unbuilt) = (Vec::new(), Vec::new());
        for file in workspace.segments.values() {
            let fingerprint = workspace.fingerprint(file);
            let members = match built.get(&file.slug) {
                Some(known) if *known == fingerprint => store.load_members(file.slug.clone()).await?,
                _ => None,
            };
            match members.filter(|(record, _)| record.fingerprint == fingerprint) {
                Some((_, members)) => {
                    segments.push(Watched { file: Arc::clone(file), fingerprint, members, asks: Vec::new() });
                }
                None => unbuilt.push(file.slug.clone()),
            }
        }
        let aside = built.into_iter().filter(|(slug, fingerprint)| {
            !fingerprint.is_empty() && segments.iter().all(|one| one.file.slug != *slug)
        });
        let aside: Vec<Slug> = aside.map(|(slug, _)| slug).collect();
        if !aside.is_empty() {
            store.lay_segments_aside(aside).await?;
        }
        let rescorer = Rescorer::load(store).await?;
        let mut watch = Self {
            workspace: Arc::clone(workspace),
            segments,
            interest: Interest::default(),
            rescorer,
            catalogue: Arc::default(),
            unbuilt,
            touched: Vec::new(),
        };
        watch.index(store).await?;
        Ok(watch)
    }

    /// Learns anew what the watched segments read.
    async fn index<S: Storage>(&mut self, store: &S) -> Result<()> {
        let places: BTreeMap<&str, usize> =
            self.segments.iter().enumerate().map(|(place, one)| (one.file.slug.as_str(), place)).collect();
        let asks: Vec<Vec<usize>> = self
            .segments
            .iter()
            .map(|one| {
                let all = reads::all_segments(&self.workspace, &one.file);
                all.iter().filter_map(|slug| places.get(slug.as_str()).copied()).collect()
            })
            .collect();
        for (one, asks) in self.segments.iter_mut().zip(asks) {
            one.asks = asks;
        }
        self.interest = Interest::of(&self.workspace, self.segments.iter().map(|one| &*one.file));
        if self.interest.products() {
            self.catalogue = Arc::new(Catalogue::load(store).await?);
        }
        Ok(())
    }

    /// Takes the catalogue as it is now: conditions on products ask that of the last load.
    ///
    /// # Errors
    /// What storage says.
    pub async fn reload_catalogue<S: Storage>(&mut self, store: &S) -> Result<()> {
        if self.interest.products() {
            self.catalogue = Arc::new(Catalogue::load(store).await?);
        }
        Ok(())
    }

    /// Takes the cut points of the last runs.
    ///
    /// # Errors
    /// What storage says.
    pub async fn reload_scores<S: Storage>(&mut self, store: &S) -> Result<()> {
        self.rescorer = Rescorer::load(store).await?;
        Ok(())
    }

    /// What segments and conditions it keeps true.
    #[must_use]
    pub const fn workspace(&self) -> &Arc<Workspace> {
        &self.workspace
    }

    /// Whether what an event tells still stands: a wave that says "entered" reaches some contacts after they have left
    /// again.
    #[must_use]
    pub fn still_stands(&self, event: &Event, contact: ContactId) -> bool {
        let member = || self.is_member(event.properties.get("segment")?.as_str()?, contact);
        match event.kind.as_str() {
            kind::SEGMENT_ENTERED => member().unwrap_or(true),
            kind::SEGMENT_EXITED => !member().unwrap_or(false),
            _ => true,
        }
    }

    /// Segments whose members are not known for the condition that they have now: they are to be built.
    #[must_use]
    pub fn unbuilt(&self) -> &[Slug] {
        &self.unbuilt
    }

    /// Whether a contact is in a segment; none when the segment is not kept true here.
    #[must_use]
    pub fn is_member(&self, slug: &str, contact: ContactId) -> Option<bool> {
        Some(self.segments[self.place(slug)?].members.contains(contact.0.cast_unsigned()))
    }

    /// The members of a segment; none when the segment is not kept true here.
    #[must_use]
    pub fn members(&self, slug: &str) -> Option<&RoaringTreemap> {
        Some(&self.segments[self.place(slug)?].members)
    }

    /// Whether a contact will be in a segment when what was seen is committed.
    #[must_use]
    pub fn is_member_after(&self, seen: &Seen, slug: &str, contact: ContactId) -> Option<bool> {
        // Most batches move nobody: the key is made only when they do.
        let moved = (!seen.moved.is_empty()).then(|| seen.moved.get(&(slug.to_owned(), contact))).flatten();
        moved.copied().or_else(|| self.is_member(slug, contact))
    }

    /// Whether any segment's answer may change when these fields of a contact's profile do: whoever writes fields need
    /// not raise `Contact Updated` otherwise.
    #[must_use]
    pub fn reads_any_field<'f>(&self, mut fields: impl Iterator<Item = &'f str>) -> bool {
        fields.any(|field| self.interest.reads_field(field))
    }

    fn place(&self, slug: &str) -> Option<usize> {
        self.segments.binary_search_by(|one| one.file.slug.as_str().cmp(slug)).ok()
    }

    /// What a batch of inputs does to segments and RFM as of `now`. Nothing is written, and the memory stays as it is.
    ///
    /// # Errors
    /// What storage says.
    pub async fn see<S: Storage>(
        &self,
        store: &S,
        _ground: &Ground,
        inputs: &[Input],
        now: Timestamp,
    ) -> Result<Seen> {
        let mut seen = Seen::default();
        let mut causes: BTreeMap<ContactId, u8> = BTreeMap::new();
        let (mut bought, mut gone) = (BTreeSet::new(), BTreeSet::new());
        let mut asked: Vec<BTreeSet<ContactId>> = vec![BTreeSet::new(); self.segments.len()];
        for input in inputs {
            gone.extend(reads::gone(&input.event));
        }
        seen.touched.extend(gone.iter().map(|contact| contact.0.cast_unsigned()));
        for input in inputs.iter().filter(|input| input.event.contact != ContactId(0)) {
            let contact = input.event.contact;
            seen.touched.insert(contact.0.cast_unsigned());
            let known = causes.entry(contact).or_default();
            *known = (*known).max(input.causes);
            if reads::is_order(&input.event.kind) || input.event.kind == kind::CONTACT_MERGED {
                bought.insert(contact);
            }
            self.interest.touched(&input.event, &mut |place| {
                asked[place].insert(contact);
            });
        }
        let mut placed = BTreeMap::new();
        let mut events = Vec::new();
        if !bought.is_empty() && !self.rescorer.is_empty() {
            let moved =
                self.rescore(store, bought.into_iter().collect(), now, &mut seen, &mut placed).await?;
            for (contact, change) in moved {
                self.interest.rfm(&change.model, &mut |place| {
                    asked[place].insert(contact);
                });
                events.push((contact, 0, change.event(contact, now)));
            }
            // A score may change without the group.
            for score in &seen.scores {
                self.interest.rfm(score.model.as_str(), &mut |place| {
                    asked[place].insert(score.contact);
                });
            }
        }
        self.answer(store, &asked, inputs, placed, now, &mut seen, &mut events).await?;
        self.leave(&gone, &mut seen);
        finish(&mut seen, events, &causes);
        Ok(seen)
    }

    /// Those who are no more (merged, erased) leave all segments; nobody is told so.
    fn leave(&self, gone: &BTreeSet<ContactId>, seen: &mut Seen) {
        for one in self.segments.iter().filter(|_| !gone.is_empty()) {
            let left: Vec<ContactId> = gone
                .iter()
                .copied()
                .filter(|contact| one.members.contains(contact.0.cast_unsigned()))
                .collect();
            seen.moved.extend(left.iter().map(|contact| ((one.file.slug.to_string(), *contact), false)));
            let answers: Vec<MemberAnswer> = left
                .into_iter()
                .map(|contact| MemberAnswer { contact, member: false, flip: None, state: None })
                .collect();
            if !answers.is_empty() {
                seen.members.push((one.file.slug.clone(), one.fingerprint.clone(), answers));
            }
        }
    }

    /// What the passing of time does to memberships that were due to change until `now`. Nothing is written.
    ///
    /// # Errors
    /// What storage says.
    pub async fn flip<S: Storage>(
        &self,
        store: &S,
        _ground: &Ground,
        due: &[(Slug, ContactId)],
        now: Timestamp,
    ) -> Result<Seen> {
        let mut asked: Vec<BTreeSet<ContactId>> = vec![BTreeSet::new(); self.segments.len()];
        for (slug, contact) in due {
            if let Some(place) = self.place(slug.as_str()) {
                asked[place].insert(*contact);
            }
        }
        let (mut seen, mut events) = (Seen::default(), Vec::new());
        seen.touched.extend(due.iter().map(|(_, contact)| contact.0.cast_unsigned()));
        self.answer(store, &asked, &[], BTreeMap::new(), now, &mut seen, &mut events).await?;
        finish(&mut seen, events, &BTreeMap::new());
        Ok(seen)
    }

    /// Scores these contacts with the cut points in force, and moves what follows from it: for those whom an order
    /// rescored while a run over the whole base was under way. Nothing is written.
    ///
    /// # Errors
    /// What storage says.
    pub async fn rescored<S: Storage>(
        &self,
        store: &S,
        contacts: Vec<ContactId>,
        now: Timestamp,
    ) -> Result<Seen> {
        let (mut seen, mut placed, mut events) = (Seen::default(), BTreeMap::new(), Vec::new());
        seen.touched.extend(contacts.iter().map(|contact| contact.0.cast_unsigned()));
        let mut asked: Vec<BTreeSet<ContactId>> = vec![BTreeSet::new(); self.segments.len()];
        for (contact, change) in self.rescore(store, contacts, now, &mut seen, &mut placed).await? {
            events.push((contact, 0, change.event(contact, now)));
        }
        for score in &seen.scores {
            self.interest.rfm(score.model.as_str(), &mut |place| {
                asked[place].insert(score.contact);
            });
        }
        self.answer(store, &asked, &[], placed, now, &mut seen, &mut events).await?;
        finish(&mut seen, events, &BTreeMap::new());
        Ok(seen)
    }

    /// Takes the moves into memory, once they are committed.
    pub fn committed(&mut self, seen: &Seen) {
        // Builds that are over, or were given up, want to know nothing any more.
        self.touched.retain(|touched| Arc::strong_count(touched) > 1);
        for touched in &self.touched {
            *touched.lock().unwrap_or_else(PoisonError::into_inner) |= &seen.touched;
        }
        for ((slug, contact), member) in &seen.moved {
            if let Some(place) = self.place(slug) {
                let members = &mut self.segments[place].members;
                let id = contact.0.cast_unsigned();
                if *member {
                    members.insert(id)
                } else {
                    members.remove(id)
                };
            }
        }
    }

    async fn rescore<S: Storage>(
        &self,
        store: &S,
        contacts: Vec<ContactId>,
        now: Timestamp,
        seen: &mut Seen,
        placed: &mut BTreeMap<ContactId, Vec<RfmPlacement>>,
    ) -> Result<Vec<(ContactId, GroupChange)>> {
        let before = store.load_placements(contacts.clone()).await?;
        let scores = self.rescorer.scores(store, contacts.clone(), now).await?;
        let mut before: BTreeMap<ContactId, Vec<RfmPlacement>> = contacts.into_iter().zip(before).collect();
        let mut moves = Vec::new();
        for score in scores {
            let own = before.entry(score.contact).or_default();
            let place = own.iter().position(|one| one.model == score.model.as_str());
            let known = place.map(|place| &own[place]);
            let (recency, frequency, monetary) = digits(score.code);
            let group = known.map(|known| known.group.as_str());
            if group.is_none() && score.group == NO_GROUP {
                continue;
            }
            let same = known.is_some_and(|known| {
                known.group == score.group
                    && (known.recency, known.frequency, known.monetary) == (recency, frequency, monetary)
            });
            if same {
                continue;
            }
            let moves_on = group != Some(score.group.as_str());
            if moves_on {
                let (model, from, to) =
                    (score.model.to_string(), group.map(str::to_owned), score.group.clone());
                moves.push((score.contact, GroupChange { model, from, to }));
            }
            let placement = RfmPlacement {
                model: score.model.to_string(),
                recency,
                frequency,
                monetary,
                group: score.group.clone(),
                previous_group: match moves_on {
                    true => group.map(str::to_owned),
                    false => known.and_then(|known| known.previous_group.clone()),
                },
                since: known.filter(|_| !moves_on).map_or(now, |known| known.since),
            };
            match place {
                Some(place) => own[place] = placement,
                None => own.push(placement),
            }
            placed.insert(score.contact, own.clone());
            seen.scores.push(score);
        }
        Ok(moves)
    }

    /// Asks each segment of its contacts.
    #[expect(clippy::too_many_arguments, reason = "one step of `see`, cut off for its length")]
    async fn answer<S: Storage>(
        &self,
        store: &S,
        asked: &[BTreeSet<ContactId>],
        inputs: &[Input],
        placements: BTreeMap<ContactId, Vec<RfmPlacement>>,
        now: Timestamp,
        seen: &mut Seen,
        events: &mut Vec<(ContactId, u8, Event)>,
    ) -> Result<()> {
        if asked.iter().all(BTreeSet::is_empty) {
            return Ok(());
        }
        let catalogue = self.catalogue(store, inputs).await?;
        let states = self.states(store, asked, inputs, &catalogue, now).await?;
        let kept: Vec<Kept<'_>> = states
            .iter()
            .map(|(place, states)| Kept {
                condition: &self.segments[*place].file.condition,
                states: &states.by_contact,
            })
            .collect();
        let ids: Vec<Vec<ContactId>> = asked.iter().map(|set| set.iter().copied().collect()).collect();
        let questions: Vec<Question<'_>> = self
            .segments
            .iter()
            .zip(&ids)
            .map(|(one, contacts)| Question { condition: &one.file.condition, contacts })
            .collect();
        let given = Given { kept: &kept, placements, catalogue: Some(catalogue) };
        let answers = contacts::answer(store, &self.workspace, &questions, given, now).await?;
        for (place, (one, outcomes)) in self.segments.iter().zip(answers).enumerate() {
            let mut members = Vec::with_capacity(outcomes.len());
            for (contact, outcome) in ids[place].iter().zip(outcomes) {
                let was = one.members.contains(contact.0.cast_unsigned());
                if was != outcome.member {
                    seen.moved.insert((one.file.slug.to_string(), *contact), outcome.member);
                    events.push((
                        *contact,
                        if outcome.member { 2 } else { 1 },
                        segment_event(&one.file.slug, *contact, outcome.member, now),
                    ));
                }
                members.push(MemberAnswer {
                    contact: *contact,
                    member: outcome.member,
                    flip: outcome.next_flip.filter(|at| at.since(now) <= FLIPS_AHEAD),
                    state: states.get(&place).and_then(|states| states.bytes(*contact)),
                });
            }
            if !members.is_empty() {
                seen.members.push((one.file.slug.clone(), one.fingerprint.clone(), members));
            }
        }
        Ok(())
    }

    /// The catalogue, with products that were not known when it was loaded.
    async fn catalogue<S: Storage>(&self, store: &S, inputs: &[Input]) -> Result<Arc<Catalogue>> {
        let is_known = |id: &str| segment::Products::by_external_id(&*self.catalogue, id).is_some();
        let text =
            |map: &Map<String, Value>| map.get("product_id").and_then(Value::as_str).is_none_or(is_known);
        let known = |input: &Input| {
            let lines = input.event.properties.get("products").and_then(Value::as_array);
            let lines = lines.into_iter().flatten().filter_map(Value::as_object);
            text(&input.event.properties) && lines.into_iter().all(text)
        };
        if self.interest.products() && !inputs.iter().all(known) {
            return Ok(Arc::new(Catalogue::load(store).await?));
        }
        Ok(Arc::clone(&self.catalogue))
    }
}

/// A change of a group.
struct GroupChange {
    model: String,
    from: Option<String>,
    to: String,
}

impl GroupChange {
    fn event(&self, contact: ContactId, now: Timestamp) -> Event {
        group_event(&self.model, self.from.as_deref(), &self.to, contact, now)
    }
}

/// The three scores of a code.
const fn digits(code: u16) -> (u8, u8, u8) {
    ((code / 100 % 10) as u8, (code / 10 % 10) as u8, (code % 10) as u8)
}

/// The event of a change of group. Who had no group before comes from `none`.
#[must_use]
pub fn group_event(model: &str, from: Option<&str>, to: &str, contact: ContactId, at: Timestamp) -> Event {
    let properties = [("model", model), ("from", from.unwrap_or(NO_GROUP)), ("to", to)];
    event(kind::RFM_GROUP_CHANGED, contact, at, &properties)
}

/// The event of a contact that enters a segment, or leaves it.
#[must_use]
pub fn segment_event(slug: &Slug, contact: ContactId, entered: bool, at: Timestamp) -> Event {
    let kind = if entered { kind::SEGMENT_ENTERED } else { kind::SEGMENT_EXITED };
    event(kind, contact, at, &[("segment", slug.as_str())])
}

fn event(kind: &str, contact: ContactId, at: Timestamp, properties: &[(&str, &str)]) -> Event {
    let properties: Map<String, Value> =
        properties.iter().map(|(name, value)| ((*name).to_owned(), Value::from(*value))).collect();
    Event { contact, at, received_at: at, kind: kind.to_owned(), message_id: None, properties }
}

fn finish(seen: &mut Seen, mut events: Vec<(ContactId, u8, Event)>, causes: &BTreeMap<ContactId, u8>) {
    events.sort_by_key(|(contact, order, _)| (*contact, *order));
    seen.events = events
        .into_iter()
        .map(|(contact, _, event)| (event, causes.get(&contact).map_or(0, |known| known.saturating_add(1))))
        .collect();
}
