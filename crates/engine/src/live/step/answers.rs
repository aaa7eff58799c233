//! Answers to what the contacts of a batch need, by kind, for all of them at once.

use std::collections::HashMap;

use journey::{
    Found, Need,
    run::{CouponNeed, Passages},
};
use model::Slug;
use storage::{Result, Storage};

use super::{
    super::{
        conditions,
        coupons::{CouponAsk, Lease},
        load,
        trials::Samples,
    },
    Actor, Batch, Scene,
};

impl<S: Storage> Batch<'_, S> {
    /// Answers what the actors need, by kind.
    pub(super) async fn answer(
        &self,
        actors: &mut [Actor],
        needs: Vec<(usize, Vec<Need>)>,
        scene: &Scene<'_>,
        lease: &mut Lease,
        samples: &mut Samples,
    ) -> Result<()> {
        self.conditions(actors, &needs, scene).await?;
        self.coupons(actors, &needs, lease).await?;
        self.memberships(actors, &needs).await?;
        let sampled: Vec<(usize, u16)> = sampled(actors, &needs);
        let mut needs: HashMap<usize, Vec<Need>> = needs.into_iter().collect();
        let mut asking: Vec<load::Asking<'_>> = Vec::with_capacity(needs.len());
        for (place, actor) in actors.iter_mut().enumerate() {
            let Some(needs) = needs.remove(&place) else { continue };
            if let Some((run, live)) = actor.running() {
                asking.push(load::Asking { run, journey: &live.rules.journey, needs });
            }
        }
        load::answer(self.store, &self.ground.shelf.catalogue, self.now, &mut asking).await?;
        for (place, node) in sampled {
            let Some((run, live)) = actors[place].running() else { continue };
            let Some(trial) = live.rules.journey.node(node).step.trial() else { continue };
            let taken = samples.ask(self.store, live, node, trial).await?;
            let known = run.answers().passages(node).unwrap_or_default();
            run.answers().set_passages(node, Passages { taken, ..known });
        }
        Ok(())
    }

    /// Conditions about histories, and the orders and events that they find.
    async fn conditions(
        &self,
        actors: &mut [Actor],
        needs: &[(usize, Vec<Need>)],
        scene: &Scene<'_>,
    ) -> Result<()> {
        for finds in [false, true] {
            let asked: Vec<(usize, u16)> = needs
                .iter()
                .flat_map(|(place, needs)| {
                    needs.iter().filter_map(move |need| match need {
                        Need::Condition(condition) if !finds => Some((*place, *condition)),
                        Need::Found(condition) if finds => Some((*place, *condition)),
                        _ => None,
                    })
                })
                .filter(|(place, _)| actors[*place].goes_on().is_some())
                .collect();
            if asked.is_empty() {
                continue;
            }
            let (holds, found) = self.questions(actors, &asked, scene, finds).await?;
            for ((place, condition), holds) in asked.iter().zip(holds) {
                if let Some((run, _)) = actors[*place].running() {
                    run.answers().set_condition(*condition, holds);
                }
            }
            for ((place, condition), found) in asked.iter().zip(found) {
                if let Some((run, _)) = actors[*place].running() {
                    run.answers().set_found(*condition, found);
                }
            }
        }
        Ok(())
    }

    /// The answers to conditions of runs: whether they hold, or what they find.
    async fn questions(
        &self,
        actors: &[Actor],
        asked: &[(usize, u16)],
        scene: &Scene<'_>,
        finds: bool,
    ) -> Result<(Vec<bool>, Vec<Option<Found>>)> {
        let running: Vec<_> =
            asked.iter().filter_map(|(place, n)| Some((actors[*place].goes_on()?, *n))).collect();
        let worlds: Vec<_> = running.iter().map(|((_, live), _)| scene.world(live)).collect();
        let data: Vec<_> =
            running.iter().zip(&worlds).map(|(((run, _), _), world)| run.data(world)).collect();
        let asks: Vec<conditions::Ask<'_>> = running
            .iter()
            .zip(&data)
            .map(|(((run, live), n), data)| conditions::Ask {
                condition: &live.rules.journey.conditions[usize::from(*n)],
                contact: run.person().contact.id,
                person: Some(run.person()),
                data,
            })
            .collect();
        let (workspace, catalogue) = (&self.ground.workspace, &self.ground.shelf.catalogue);
        Ok(if finds {
            (Vec::new(), conditions::find(self.store, workspace, catalogue, &asks, self.now).await?)
        } else {
            (conditions::answer(self.store, workspace, catalogue, &asks, self.now).await?, Vec::new())
        })
    }

    /// Codes of coupon sets.
    async fn coupons(
        &self,
        actors: &mut [Actor],
        needs: &[(usize, Vec<Need>)],
        lease: &mut Lease,
    ) -> Result<()> {
        let mut asked: Vec<(usize, CouponNeed)> = Vec::new();
        for (place, needs) in needs {
            asked.extend(needs.iter().filter_map(|need| match need {
                Need::Coupon(need) => Some((*place, *need)),
                _ => None,
            }));
        }
        let mut asks = Vec::with_capacity(asked.len());
        for (place, need) in &asked {
            let Some((run, live)) = actors[*place].goes_on() else { continue };
            let set = live.rules.journey.coupons[usize::from(need.set)].clone();
            asks.push(CouponAsk { contact: run.person().contact.id, set, reuse: need.reuse });
        }
        let found = lease.answer(self.store, asks, self.now).await?;
        for ((place, need), coupon) in asked.into_iter().zip(found) {
            if let Some((run, _)) = actors[place].running() {
                run.answers().set_coupon(need, coupon);
            }
        }
        Ok(())
    }

    /// Membership of segments that are not kept in memory, or that read what the run wrote: their conditions are asked.
    async fn memberships(&self, actors: &mut [Actor], needs: &[(usize, Vec<Need>)]) -> Result<()> {
        let mut asked: Vec<(usize, u16, Slug)> = Vec::new();
        for (place, needs) in needs {
            let Some((_, live)) = actors[*place].goes_on() else { continue };
            asked.extend(needs.iter().filter_map(|need| match need {
                Need::Member(slot) => {
                    Some((*place, *slot, live.rules.journey.segments[usize::from(*slot)].clone()))
                }
                _ => None,
            }));
        }
        let ground = self.ground;
        let mut known = vec![false; asked.len()];
        let holds = {
            let mut asks = Vec::with_capacity(asked.len());
            for (number, (place, _, slug)) in asked.iter().enumerate() {
                let Some(file) = ground.workspace.segments.get(slug.as_str()) else { continue };
                let Some((run, _)) = actors[*place].goes_on() else { continue };
                asks.push((
                    number,
                    conditions::Ask {
                        condition: &file.condition,
                        contact: run.person().contact.id,
                        person: Some(run.person()),
                        data: &segment::NoData,
                    },
                ));
            }
            let questions: Vec<conditions::Ask<'_>> = asks.iter().map(|(_, ask)| *ask).collect();
            let catalogue = &ground.shelf.catalogue;
            let holds =
                conditions::answer(self.store, &ground.workspace, catalogue, &questions, self.now).await?;
            asks.iter().map(|(number, _)| *number).zip(holds).collect::<Vec<_>>()
        };
        for (number, holds) in holds {
            known[number] = holds;
        }
        for ((place, slot, _), member) in asked.into_iter().zip(known) {
            if let Some((run, _)) = actors[place].running() {
                run.answers().set_member(slot, member);
            }
        }
        Ok(())
    }
}

/// Who asks whether the sample of an A/B test takes them, and at which node.
fn sampled(actors: &[Actor], needs: &[(usize, Vec<Need>)]) -> Vec<(usize, u16)> {
    let is_sampled = |place: usize, node: u16| {
        let trial = actors[place].goes_on().and_then(|(_, live)| live.rules.journey.node(node).step.trial());
        trial.is_some_and(|trial| trial.sample.is_some())
    };
    let asked = needs.iter().flat_map(|(place, needs)| needs.iter().map(move |need| (*place, need)));
    asked
        .filter_map(|(place, need)| match need {
            Need::Passages(node) if is_sampled(place, *node) => Some((place, *node)),
            _ => None,
        })
        .collect()
}
