//! 500 run templates over a year, in which the clocks change twice in each of three zones:
//! two schedulers decide what is due, late or in time, alone or at once, and are started
//! again at random.

use std::{collections::BTreeSet, path::Path, time::Duration};

use chrono_tz::Tz;
use multiflexi_scheduler::{
    domain::{
        application::Definition,
        ids::{ApplicationId, CompanyId, RunTemplateId},
        job::Overflow,
        retry::RetryPolicy,
        schedule::{Interval, Overlap, Rhythm},
    },
    store::{
        CreateCompany, CreateRunTemplate, FireSchedules, Location, NewRunTemplate, Page,
        PutApplication, ScheduleChange, SetSchedule, SlotOutcome, Store,
    },
    vault::Vault,
};

use crate::{oracle::Oracle, rhythm::ZONES};

const SECOND: i64 = 1_000_000;
const DAY: i64 = 24 * 3600;
const TEMPLATES: u64 = 500;

/// Numbers that look random and are the same each time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, most: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % most
    }
}

/// Schedules of all kinds; most in the hours in which clocks change.
fn expression(index: u64, numbers: &mut Numbers) -> String {
    let (minute, hour) = (numbers.below(60), numbers.below(5));
    let (day, week_day) = (1 + numbers.below(28), numbers.below(7));
    match index {
        0 => format!("{minute} * * * *"),
        1..10 => format!("{minute} 1-3 * * *"),
        10..18 => format!("{minute} */6 * * *"),
        18..20 => format!("*/20 2 * * {week_day}"),
        20..80 => format!("{minute} {hour} * * *"),
        80..200 => format!("{minute} {hour} * * SUN"),
        200..300 => format!("{minute} {hour} * * {week_day}"),
        300..350 => format!("{minute} {hour} {day} * *"),
        350..400 => format!("{minute} {hour} L * *"),
        400..450 => format!("{minute} {hour} * * {week_day}#{}", 1 + numbers.below(4)),
        450..480 => format!("{minute} {hour} * MAR,OCT,NOV FRI#L"),
        _ => format!("{minute} {hour} {day} {} *", 1 + numbers.below(12)),
    }
}

/// A scheduled run template, and its independent calculation.
struct Scheduled {
    id: RunTemplateId,
    oracle: Oracle,
    zone: Tz,
}

async fn open(location: &Location) -> Store {
    let vault = Vault::open(Path::new("/nowhere/keys")).unwrap();
    Store::open(location, vault).await.unwrap()
}

async fn owner(store: &Store) -> (ApplicationId, CompanyId) {
    let definition = Definition::new("application", "/bin/true", "").unwrap();
    let put = PutApplication { id: None, definition: definition.into(), replace: false };
    let application = store.change(put).await.unwrap().id();
    let company = CreateCompany { name: "company".to_owned(), ..CreateCompany::default() };
    (application, store.change(company).await.unwrap())
}

async fn schedule(store: &Store, first: i64) -> Vec<Scheduled> {
    let (application, company) = owner(store).await;
    let mut numbers = Numbers(88_172_645_463_325_252);
    let mut all = Vec::new();
    for index in 0..TEMPLATES {
        let new = NewRunTemplate {
            name: format!("template {index}"),
            application,
            company,
            environment: Default::default(),
            timeout: None,
            grace: Duration::from_secs(10),
            lost_after: Duration::from_secs(600),
            retry: RetryPolicy::default(),
            overflow: Overflow::Block,
            priority: 0,
            max_running: None,
            keep: Default::default(),
        };
        let id = store.change(CreateRunTemplate(new)).await.unwrap();
        let (said, zone) = (expression(index, &mut numbers), ZONES[index as usize % 3]);
        let change = ScheduleChange {
            rhythm: Some(Rhythm::new(Interval::Cron, &said).unwrap()),
            zone: Some(zone),
            not_before: Some(Some(first)),
            overlap: Some(Overlap::Allow),
            catch_up: Some(1000),
            ..ScheduleChange::default()
        };
        store.change(SetSchedule { id, change, zone }).await.unwrap();
        all.push(Scheduled { id, oracle: Oracle::new(&said), zone });
    }
    all
}

/// Lets the schedulers decide what is due at a time.
async fn fire(stores: &[Store; 2], now: i64, numbers: &mut Numbers) -> usize {
    let mut jobs = 0;
    loop {
        let mut fire = || FireSchedules { limit: 1 + numbers.below(200) as i64, now: Some(now) };
        let (one, other) = (stores[0].change(fire()), stores[1].change(fire()));
        let (one, other) = match numbers.below(3) {
            0 => (one.await.unwrap(), Default::default()),
            1 => (Default::default(), other.await.unwrap()),
            _ => {
                let (one, other) = tokio::join!(one, other);
                (one.unwrap(), other.unwrap())
            }
        };
        jobs += one.jobs.len() + other.jobs.len();
        if one.templates + other.templates == 0 {
            return jobs;
        }
    }
}

/// How many seconds there are from a time to the next slot.
async fn until_next(store: &Store, time: i64) -> i64 {
    let (now, wait) = (store.now().await.unwrap(), store.next_slot().await.unwrap());
    let next = now / SECOND + wait.map_or(0, |wait| wait.as_secs() as i64);
    (next - time).clamp(1, DAY)
}

async fn slots(store: &Store, id: RunTemplateId) -> (BTreeSet<i64>, [usize; 2]) {
    let (mut slots, mut outcomes) = (BTreeSet::new(), [0; 2]);
    let mut after = None;
    loop {
        let rows = store.slots(id, Page { size: 1000, after }).await.unwrap().rows;
        let Some(last) = rows.last() else { return (slots, outcomes) };
        after = Some(last.slot);
        for row in rows {
            assert!(row.job.is_some(), "{row:?}");
            match row.outcome {
                SlotOutcome::Fired => outcomes[0] += 1,
                SlotOutcome::CaughtUp => outcomes[1] += 1,
                other => panic!("{other} at {}", row.slot),
            }
            slots.insert(row.slot / SECOND);
        }
    }
}

/// Each slot of the independent calculation is fired once, and no other.
async fn a_year(location: &Location, longest_step: u64) {
    let mut stores = [open(location).await, open(location).await];
    let now = stores[0].now().await.unwrap();
    let first = (now / SECOND / DAY + 1) * DAY;
    let last = first + 365 * DAY;
    let scheduled = schedule(&stores[0], first * SECOND).await;

    let mut numbers = Numbers(362_436_069);
    let (mut jobs, mut time, mut restarts) = (0, first, 0);
    while time < last {
        // The clock is put back now and then: nothing fires twice.
        if numbers.below(40) == 0 {
            assert_eq!(fire(&stores, (time - 3600) * SECOND, &mut numbers).await, 0);
        }
        // In time, late, or long after: while it is down nothing is lost either.
        let step = match numbers.below(10) {
            // At the next slot, or a few seconds after it.
            0..4 => until_next(&stores[0], time).await + numbers.below(10) as i64,
            4 => numbers.below(7 * DAY as u64) as i64,
            _ => numbers.below(longest_step) as i64,
        };
        time = last.min(time + step);
        if numbers.below(50) == 0 {
            let one = numbers.below(2) as usize;
            stores[one].close().await;
            stores[one] = open(location).await;
            restarts += 1;
        }
        jobs += fire(&stores, time * SECOND, &mut numbers).await;
    }

    let (mut expected_jobs, mut outcomes) = (0, [0; 2]);
    for Scheduled { id, oracle, zone } in scheduled {
        let expected = oracle.fires(zone, first, last);
        let (fired, by_outcome) = slots(&stores[0], id).await;
        assert_eq!(fired, expected, "run template {id}: {oracle:?} in {zone}");
        expected_jobs += expected.len();
        outcomes = [outcomes[0] + by_outcome[0], outcomes[1] + by_outcome[1]];
    }
    let counts = stores[0].queue_counts().await.unwrap().states;
    let in_queue: i64 = counts.iter().map(|(_, count)| count).sum();
    assert_eq!((jobs, in_queue as usize), (expected_jobs, expected_jobs));
    let [in_time, late] = outcomes;
    println!(
        "{TEMPLATES} run templates fired {jobs} times in a year, {in_time} in time and {late} \
         late, none missing and none twice, over {restarts} restarts"
    );
    assert!(in_time > 100 && late > 100 && restarts > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_year_of_schedules_fires_each_slot_once() {
    let folder = tempfile::tempdir().unwrap();
    let name = folder.path().join("db").display().to_string();
    a_year(&Location { url: format!("sqlite://{name}?mode=rwc"), name }, 12 * 3600).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: apt-get install postgresql"]
async fn a_year_of_schedules_fires_each_slot_once_on_postgresql() {
    let mut server = multiflexi_fixture::postgres::Postgres::start();
    let url = server.database().url;
    a_year(&Location { url, name: "the test's database".to_owned() }, DAY as u64).await;
}
