//! Schedules: each slot is decided once, with its job.

use std::time::Duration;

use multiflexi_scheduler::{
    domain::{
        job::State,
        schedule::{Interval, Overlap, Rhythm},
    },
    store::{
        Cancelled, FireSchedules, Fired, Page, ScheduleChange, SetSchedule, SlotOutcome, SlotRow,
        TrimSlots, UpdateRunTemplate,
    },
};

use crate::{
    databases::Database,
    world::{World, exited},
};

const MINUTE: i64 = 60_000_000;

impl World {
    async fn with_schedule(&self, overlap: Overlap, catch_up: u32) -> i64 {
        let change = ScheduleChange {
            rhythm: Some(Rhythm::new(Interval::Minute, "").unwrap()),
            overlap: Some(overlap),
            catch_up: Some(catch_up),
            ..ScheduleChange::default()
        };
        self.set(change).await;
        // So far ahead that the test's own time does not matter.
        let first = self.first_slot().await.unwrap() + 1000 * MINUTE;
        self.set(ScheduleChange { not_before: Some(Some(first)), ..Default::default() }).await;
        first
    }

    async fn set(&self, change: ScheduleChange) {
        let set = SetSchedule { id: self.template, change, zone: chrono_tz::UTC };
        self.store.change(set).await.unwrap();
    }

    async fn first_slot(&self) -> Option<i64> {
        self.store.schedule(self.template).await.unwrap().next
    }

    async fn fire(&self, now: i64) -> Fired {
        self.store.change(FireSchedules { limit: 10, now: Some(now) }).await.unwrap()
    }

    async fn slots(&self) -> Vec<SlotRow> {
        let page = Page { size: 1000, after: None };
        let mut slots = self.store.slots(self.template, page).await.unwrap().rows;
        slots.reverse();
        slots
    }

    async fn activate(&self, active: bool) {
        let update =
            UpdateRunTemplate { active: Some(active), ..UpdateRunTemplate::of(self.template) };
        self.store.change(update).await.unwrap();
    }
}

fn outcomes(slots: &[SlotRow]) -> Vec<(i64, SlotOutcome)> {
    slots.iter().map(|slot| (slot.slot, slot.outcome)).collect()
}

pub async fn a_slot_is_fired_once_with_its_job(database: Box<dyn Database>) {
    let world = World::new(database).await;
    assert_eq!(world.store.next_slot().await.unwrap(), None);
    let slot = world.with_schedule(Overlap::Allow, 1).await;
    assert_eq!(slot % MINUTE, 0);
    let wait = world.store.next_slot().await.unwrap().unwrap();
    assert!((995 * 60..=1001 * 60).contains(&wait.as_secs()), "{wait:?}");
    assert_eq!(world.fire(slot - 1).await.templates, 0, "it is not due");

    let fired = world.fire(slot).await;
    let job = world.store.job(fired.jobs[0]).await.unwrap();
    assert_eq!((fired.jobs.len(), job.slot, job.state), (1, Some(slot), State::Queued));
    assert_eq!(job.by, "schedule");
    assert_eq!(world.fire(slot).await.templates, 0, "it is decided");
    // The clock is put back: what was decided stays decided.
    assert_eq!(world.fire(slot - 60 * MINUTE).await.templates, 0);
    let row = world.store.schedule(world.template).await.unwrap();
    assert_eq!((row.last, row.next), (Some(slot), Some(slot + MINUTE)));

    // So it does if the schedule is set anew, and its next slot is found again.
    world.set(ScheduleChange { catch_up: Some(0), ..ScheduleChange::default() }).await;
    assert_eq!(world.first_slot().await, Some(slot));
    let again = world.fire(slot).await;
    assert_eq!((again.templates, again.jobs.len()), (1, 0));
    assert_eq!(outcomes(&world.slots().await), [(slot, SlotOutcome::Fired)]);
    assert_eq!(world.slots().await[0].job, Some(job.id));
}

pub async fn what_was_missed_is_caught_up_as_told(database: Box<dyn Database>) {
    let world = World::new(database).await;
    for (catch_up, made) in [(0, 1), (1, 2), (3, 4)] {
        let before = world.slots().await.len();
        let next = world.with_schedule(Overlap::Allow, catch_up).await;
        // The last of these is in time; the five before it are late.
        let first = next + i64::from(catch_up) * 100 * MINUTE;
        world.set(ScheduleChange { not_before: Some(Some(first)), ..Default::default() }).await;
        let fired = world.fire(first + 5 * MINUTE + 1).await;
        assert_eq!(fired.jobs.len(), made, "catch-up {catch_up}");
        let slots = world.slots().await[before..].to_vec();
        let missed = slots[0].clone();
        assert_eq!(missed.outcome, SlotOutcome::Missed);
        assert_eq!((missed.since, missed.job), (Some(first), None));
        assert_eq!(missed.slot, first + (5 - i64::from(catch_up) - 1) * MINUTE);
        assert!(missed.note.contains("no scheduler"), "{missed:?}");
        let late = slots.iter().filter(|slot| slot.outcome == SlotOutcome::CaughtUp).count();
        assert_eq!(late, catch_up as usize);
        assert_eq!(slots.last().unwrap().outcome, SlotOutcome::Fired);
        assert_eq!(world.first_slot().await, Some(first + 6 * MINUTE));
    }
}

pub async fn a_run_that_has_not_ended_meets_the_next_as_told(database: Box<dyn Database>) {
    let mut world = World::new(database).await;
    for overlap in [Overlap::Skip, Overlap::Queue, Overlap::Allow, Overlap::Replace] {
        let name = format!("template for {overlap}");
        world.template =
            crate::world::template(&world.store, &name, "", Duration::from_secs(600)).await;
        let slot = world.with_schedule(overlap, 1).await;
        let first = world.fire(slot).await.jobs[0];
        let key = world.claim(1).await.launches[0].key;
        assert_eq!(key.job, first);
        world.store.change(world.accept(vec![key])).await.unwrap();
        let second = world.fire(slot + MINUTE).await;
        let third = world.fire(slot + 2 * MINUTE).await;
        let made = (second.jobs.len(), third.jobs.len());
        let claimed = world.claim(10).await.launches.len();
        let notes: Vec<String> = world.slots().await.into_iter().map(|slot| slot.note).collect();
        match overlap {
            Overlap::Skip => {
                assert_eq!((made, claimed), ((0, 0), 0));
                assert_eq!(notes[1], "the run before has not ended");
            }
            // The second waits for the first, and the third finds it waiting.
            Overlap::Queue => {
                assert_eq!((made, claimed), ((1, 0), 0));
                assert_eq!(notes[2], "a run waits already");
                assert_eq!(world.state(second.jobs[0]).await, State::Queued);
            }
            Overlap::Allow => assert_eq!((made, claimed), ((1, 1), 2)),
            // The agent is told to end the first; the second never began.
            Overlap::Replace => {
                assert_eq!((made, claimed), ((1, 1), 0));
                let [(job, Cancelled::OnAgent(_, on_agent))] = second.cancelled[..] else {
                    panic!("{second:?}")
                };
                assert_eq!((job, on_agent), (first, key));
                assert_eq!(world.state(second.jobs[0]).await, State::Cancelled);
            }
        }
        world.end(exited(key, 0), None).await;
        let next = world.claim(10).await.launches;
        match overlap {
            Overlap::Queue => assert_eq!(next[0].key.job, second.jobs[0]),
            Overlap::Replace => assert_eq!(next[0].key.job, third.jobs[0]),
            _ => assert!(next.is_empty()),
        }
    }
}

pub async fn an_inactive_run_template_starts_nothing(database: Box<dyn Database>) {
    let world = World::new(database).await;
    let slot = world.with_schedule(Overlap::Skip, 1).await;
    world.activate(false).await;
    assert_eq!((world.first_slot().await, world.store.next_slot().await.unwrap()), (None, None));
    assert_eq!(world.fire(slot + 1000 * MINUTE).await.templates, 0);
    world.set(ScheduleChange::default()).await;
    assert_eq!(world.first_slot().await, None, "it is inactive still");
    world.activate(true).await;
    assert!(world.first_slot().await.unwrap() >= slot, "what was meanwhile is not made up for");
    assert!(world.slots().await.is_empty());
    let nothing = ScheduleChange { rhythm: Some(Rhythm::default()), ..ScheduleChange::default() };
    world.set(nothing).await;
    assert_eq!(world.first_slot().await, None);
}

pub async fn what_contradicts_itself_is_refused_and_changes_nothing(database: Box<dyn Database>) {
    let world = World::new(database).await;
    let slot = world.with_schedule(Overlap::Skip, 1).await;
    let never = Rhythm::new(Interval::Cron, "0 0 30 2 *").unwrap();
    let bad = [
        ScheduleChange { catch_up: Some(5), ..Default::default() },
        ScheduleChange { catch_up: Some(5000), ..Default::default() },
        ScheduleChange { rhythm: Some(never), ..Default::default() },
        ScheduleChange { delay: Some(Duration::from_secs(1 << 40)), ..Default::default() },
        ScheduleChange {
            not_before: Some(Some(2)),
            not_after: Some(Some(1)),
            ..Default::default()
        },
    ];
    for change in bad {
        let set = SetSchedule { id: world.template, change, zone: chrono_tz::UTC };
        let refused = world.store.change(set.clone()).await;
        assert!(refused.is_err(), "{set:?}");
    }
    let row = world.store.schedule(world.template).await.unwrap();
    assert_eq!((row.next, row.schedule.catch_up), (Some(slot), 1));
}

pub async fn what_a_clock_that_was_ahead_has_silenced_is_known_and_begins_anew(
    database: Box<dyn Database>,
) {
    let world = World::new(database).await;
    let near = world.with_schedule(Overlap::Allow, 1).await;
    assert!(world.store.schedules_ahead().await.unwrap().is_empty());
    world.fire(near).await;
    let first = near + 7 * 24 * 60 * MINUTE;
    world.fire(first).await;
    let row = world.store.schedule(world.template).await.unwrap();
    assert_eq!((row.last, row.ahead), (Some(first), true));
    assert_eq!(world.store.schedules_ahead().await.unwrap(), [world.template]);

    let always = ScheduleChange { not_before: Some(None), ..ScheduleChange::default() };
    world.set(always).await;
    let row = world.store.schedule(world.template).await.unwrap();
    assert_eq!((row.last, row.ahead), (None, false));
    // What is less than a week ahead is not decided again.
    assert_eq!(outcomes(&world.slots().await), [(near, SlotOutcome::Fired)]);
    let next = row.next.unwrap();
    assert!(next < near);
    assert_eq!(world.fire(next).await.jobs.len(), 1);
    assert_eq!(world.slots().await.len(), 2);
    assert!(world.store.schedules_ahead().await.unwrap().is_empty());
}

pub async fn the_oldest_slots_are_forgotten(database: Box<dyn Database>) {
    let world = World::new(database).await;
    let slot = world.with_schedule(Overlap::Allow, 1000).await;
    world.fire(slot + 998 * MINUTE).await;
    world.fire(slot + 1500 * MINUTE).await;
    let page = Page { size: 2000, after: None };
    assert_eq!(world.store.slots(world.template, page).await.unwrap().rows.len(), 1501);
    let mut after = multiflexi_scheduler::domain::ids::RunTemplateId(0);
    while let Some(next) = world.store.change(TrimSlots(after)).await.unwrap() {
        after = next;
    }
    let left = world.store.slots(world.template, page).await.unwrap().rows;
    assert_eq!((left.len(), left[0].slot), (1000, slot + 1500 * MINUTE));
}
