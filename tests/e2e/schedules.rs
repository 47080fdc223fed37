//! Jobs that start by themselves.

use std::time::{SystemTime, UNIX_EPOCH};

use multiflexi_fixture::{AgentOptions, Clock, SchedulerOptions, Stack, eventually};
use serde_json::Value;

fn seconds_now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64
}

/// What became of the slots of a run template, oldest first.
fn history(stack: &Stack, template: i64) -> Vec<Value> {
    let answer = stack.cli.json(["schedule:history", &template.to_string(), "--all"]);
    let mut slots = answer["slots"].as_array().unwrap().clone();
    slots.reverse();
    slots
}

fn schedule(stack: &Stack, template: i64, more: &[&str]) -> Value {
    let id = template.to_string();
    stack.cli.json(["runtemplate:schedule", &id].into_iter().chain(more.iter().copied()))
}

fn jobs(stack: &Stack, template: i64) -> Vec<Value> {
    let words = ["job:list", "--template", &template.to_string(), "--all", "--order", "id"];
    stack.cli.json(words)["jobs"].as_array().unwrap().clone()
}

#[test]
fn jobs_start_by_themselves_until_they_are_told_to_stop() {
    let stack = Stack::start();
    let template = stack.script("echo by itself", &[]);
    let set = schedule(&stack, template, &["--cron", "* * * * * *", "--overlap", "allow"]);
    assert_eq!(set["schedule"]["cron"], "* * * * * *");
    assert!(set["schedule"]["next"].is_string());
    let made = eventually("three jobs were made", || {
        let made = jobs(&stack, template);
        (made.len() >= 3).then_some(made)
    });
    let first = stack.ended(made[0]["id"].as_i64().unwrap());
    assert_eq!(first["state"], "succeeded");
    assert!(first["slot"].as_str().unwrap().ends_with(".000000Z"), "{first}");
    stack.cli.run(["runtemplate:disable", &template.to_string()]);
    let shown = stack.cli.json(["runtemplate:show", &template.to_string()]);
    assert!(shown["schedule"]["next"].is_null(), "{shown}");
    let made = jobs(&stack, template);
    let mut slots: Vec<&str> = made.iter().map(|job| job["slot"].as_str().unwrap()).collect();
    slots.dedup();
    assert_eq!(slots.len(), made.len(), "no slot has two jobs");
    let history = history(&stack, template);
    assert!(history.iter().all(|slot| slot["outcome"] == "fired"), "{history:?}");
    assert_eq!(shown["schedule"]["last"], history.last().unwrap()["time"]);
    let listed = stack.cli.json(["schedule:list"]);
    assert_eq!(listed["schedules"][0]["id"], template);
}

#[test]
fn a_run_before_that_has_not_ended_is_met_as_told() {
    let stack = Stack::start();
    let script = "trap 'exit 0' TERM; while :; do sleep 0.02; done";
    let skipping = stack.script(script, &[]);
    schedule(&stack, skipping, &["--cron", "* * * * * *"]);
    let skipped = eventually("a slot is skipped", || {
        history(&stack, skipping).into_iter().find(|slot| slot["outcome"] == "skipped")
    });
    assert!(skipped["note"].as_str().unwrap().starts_with("the run before"), "{skipped}");
    assert_eq!(jobs(&stack, skipping).len(), 1);
    schedule(&stack, skipping, &["--interval", "n"]);

    let replacing = stack.script(script, &[]);
    schedule(&stack, replacing, &["--cron", "* * * * * *", "--overlap", "replace"]);
    eventually("jobs replace each other", || {
        let made = jobs(&stack, replacing);
        let cancelled = made.iter().filter(|job| job["state"] == "cancelled").count();
        (cancelled >= 2).then_some(())
    });
    schedule(&stack, replacing, &["--interval", "n"]);
    let running = |job: &&Value| job["state"] == "running";
    assert!(jobs(&stack, replacing).iter().filter(running).count() <= 1);
}

#[test]
#[ignore = "needs libfaketime: apt-get install faketime"]
fn what_was_missed_while_no_scheduler_ran_is_caught_up_and_a_clock_put_back_fires_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::new(&folder.path().join("clock"));
    let options =
        SchedulerOptions { environment: clock.environment(), ..SchedulerOptions::default() };
    let mut stack = Stack::with(options, AgentOptions::default());
    let daily = stack.script("echo daily", &[]);
    let set = schedule(&stack, daily, &["--interval", "d", "--timezone", "Europe/Prague"]);
    let next = set["schedule"]["next"].as_str().unwrap().to_owned();

    // Three days and more without a scheduler.
    stack.scheduler.kill();
    clock.set(3 * 24 * 3600 + 3600);
    stack.scheduler.restart();
    let slots = eventually("the last slot is caught up", || {
        let slots = history(&stack, daily);
        slots.iter().any(|slot| slot["outcome"] == "caught_up").then_some(slots)
    });
    assert_eq!((slots.len(), &slots[0]["outcome"]), (2, &"missed".into()), "{slots:?}");
    assert_eq!(slots[0]["since"], *next);
    let job = stack.ended(slots[1]["job_id"].as_i64().unwrap());
    assert_eq!((&job["state"], &job["slot"]), (&"succeeded".into(), &slots[1]["time"]));
    let following = schedule(&stack, daily, &[])["next"].as_str().unwrap().to_owned();

    // Two days back: another schedule shows that the scheduler sees that time.
    clock.set(24 * 3600);
    let now = seconds_now() + 24 * 3600;
    let other = stack.script("true", &[]);
    let seen = || {
        let set = schedule(&stack, other, &["--cron", "* * * * * *"]);
        let next = set["schedule"]["next"].as_str().unwrap().to_owned();
        let next: chrono::DateTime<chrono::Utc> = next.parse().unwrap();
        (next.timestamp() < now + 3600).then_some(())
    };
    eventually("the scheduler sees the clock", seen);
    eventually("it fires by that clock", || (!jobs(&stack, other).is_empty()).then_some(()));
    assert_eq!(history(&stack, daily), slots, "nothing fires twice");
    assert_eq!(schedule(&stack, daily, &[])["next"], *following);
    // That it waits is said; set anew it begins by that clock.
    let listed = stack.cli.run(["schedule:list"]).text();
    assert!(listed.contains(&format!("runtemplate:schedule {daily} --interval d")), "{listed}");
    let shown = schedule(&stack, daily, &[]);
    assert_eq!((&shown["clock_was_ahead"], &shown["last"]), (&true.into(), &slots[1]["time"]));
    stack.scheduler.log.find("warning", |line| line.contains("the clock was ahead").then_some(()));
    let anew = schedule(&stack, daily, &["--interval", "d"]);
    assert_eq!(anew["schedule"]["clock_was_ahead"], false);
    assert!(anew["schedule"]["last"].is_null(), "{anew}");
    assert!(anew["schedule"]["next"].as_str().unwrap() < following.as_str(), "{anew}");
}

#[test]
fn a_preview_shows_what_will_happen() {
    let stack = Stack::start();
    let preview = |more: &[&str]| {
        let words = ["schedule:preview"].into_iter().chain(more.iter().copied());
        stack.cli.json(words)["slots"].as_array().unwrap().clone()
    };
    // Clocks are put forward in the night to 29 March 2026, and back in that to 25 October.
    let spring = [
        "--timezone",
        "Europe/Prague",
        "--from",
        "2026-03-28T00:00:00Z",
        "--to",
        "2026-03-30T12:00:00Z",
    ];
    let slots = preview(&[&["--cron", "30 2 * * *"], &spring[..]].concat());
    let local: Vec<&str> = slots.iter().map(|slot| slot["local"].as_str().unwrap()).collect();
    let expected =
        ["2026-03-28T02:30:00+01:00", "2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"];
    assert_eq!(local, expected);
    let autumn = [
        "--timezone",
        "Europe/Prague",
        "--from",
        "2026-10-24T22:00:00Z",
        "--to",
        "2026-10-25T03:00:00Z",
    ];
    let slots = preview(&[&["--cron", "30 1-3 * * *"], &autumn[..]].concat());
    let local: Vec<&str> = slots.iter().map(|slot| slot["local"].as_str().unwrap()).collect();
    let expected = [
        "2026-10-25T01:30:00+02:00",
        "2026-10-25T02:30:00+02:00",
        "2026-10-25T02:30:00+01:00",
        "2026-10-25T03:30:00+01:00",
    ];
    assert_eq!(local, expected);

    // Of a run template, with what is missed and caught up.
    let template = stack.script("true", &[]);
    let more = ["--interval", "h", "--overlap", "allow", "--catch-up", "2", "--delay", "5m"];
    schedule(&stack, template, &more);
    let id = template.to_string();
    let down = "2027-01-01T02:30:00Z..2027-01-01T07:30:00Z";
    let slots = preview(&[
        &id,
        "--from",
        "2027-01-01T01:00:00Z",
        "--to",
        "2027-01-01T08:00:00Z",
        "--assume-down",
        down,
    ]);
    let seen: Vec<(&str, &str)> = slots
        .iter()
        .map(|slot| (&slot["time"].as_str().unwrap()[11..16], slot["outcome"].as_str().unwrap()))
        .collect();
    let expected = [
        ("01:00", "fired"),
        ("02:00", "fired"),
        ("05:00", "missed"),
        ("06:00", "caught_up"),
        ("07:00", "caught_up"),
        ("08:00", "fired"),
    ];
    assert_eq!(seen, expected);
    assert_eq!(slots[0]["start"], "2027-01-01T01:05:00.000000Z");
    assert_eq!(slots[3]["start"], "2027-01-01T07:30:00.000000Z");
    assert_eq!(slots[2]["since"], "2027-01-01T03:00:00.000000Z");
    // With runs that take longer than an hour.
    let words = [
        &id,
        "--from",
        "2027-01-01T01:00:00Z",
        "--to",
        "2027-01-01T04:00:00Z",
        "--overlap",
        "skip",
        "--catch-up",
        "one",
        "--delay",
        "0s",
        "--assume-runtime",
        "90m",
    ];
    let slots = preview(&words);
    let seen: Vec<&str> = slots.iter().map(|slot| slot["outcome"].as_str().unwrap()).collect();
    assert_eq!(seen, ["fired", "skipped", "fired", "skipped"]);
}

#[test]
fn a_preview_says_that_it_is_cut_or_why_it_is_empty_and_times_say_their_zone() {
    let stack = Stack::start();
    let preview = ["schedule:preview", "--cron", "0 2 * * *", "--limit", "2"];
    let cut = stack.cli.json(preview);
    assert_eq!((cut["slots"].as_array().unwrap().len(), &cut["more"]), (2, &true.into()));
    let template = stack.script("true", &[]).to_string();
    let all = stack.cli.json(["schedule:preview", &template]);
    assert_eq!((&all["slots"], &all["more"]), (&Value::Array(Vec::new()), &false.into()));
    let shown = stack.cli.run(["schedule:preview", &template]);
    assert_eq!(shown.text(), "there is no schedule: no job starts by itself\n");
    let yearly = ["--from", "2027-02-01", "--interval", "y"];
    let yearly = stack.cli.run(["schedule:preview", &template].into_iter().chain(yearly));
    assert!(yearly.text().contains("a later --to looks further"), "{}", yearly.text());

    let in_new_york = |words: &[&str]| {
        let mut command = stack.cli.command(words);
        let output = command.env("TZ", "America/New_York").output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let set = ["runtemplate:schedule", &template, "--cron", "0 2\n* * *"];
    let prague = ["--timezone", "Europe/Prague", "--not-before", "2027-01-15", "--catch-up", "one"];
    let said = in_new_york(&[&set[..], &prague].concat());
    assert!(said.ends_with("the next moment is 2027-01-15 20:00:00 -05:00\n"), "{said}");
    let shown = in_new_york(&["runtemplate:schedule", &template]);
    for line in ["0 2 * * *", "2027-01-15 00:00:00 -05:00", "one"] {
        assert!(shown.contains(&format!(" {line}\n")), "{line:?} is not in {shown}");
    }
    let previewed = in_new_york(&["schedule:preview", &template, "--from", "2027-01-16"]);
    let row: Vec<&str> = previewed.lines().nth(2).unwrap().split_whitespace().collect();
    let moment = "2027-01-17T02:00:00+01:00";
    assert_eq!(row, [moment, "fired", moment], "{previewed}");
    // Of an inactive run template nothing will be, and that is said first.
    let template = stack.script("true", &[]);
    schedule(&stack, template, &["--interval", "d"]);
    let id = template.to_string();
    stack.cli.json(["runtemplate:disable", &id]);
    let shown = stack.cli.run(["schedule:preview", &id]).text();
    assert!(shown.starts_with("the run template is inactive"), "{shown}");
    let listed = stack.cli.run(["schedule:list"]).text();
    assert!(listed.contains(&format!("inactive: runtemplate:enable {id}")), "{listed}");
    let times = stack.cli.run(["schedule:preview", &id, "-q"]).text();
    assert!(times.lines().count() == 7 && times.ends_with("Z\n"), "{times}");
    let nothing = stack.cli.run(["schedule:preview"]);
    assert!(nothing.code == 64 && nothing.stderr.contains("--cron or --interval"));
}

#[test]
fn what_is_no_schedule_is_refused_with_what_helps() {
    let stack = Stack::start();
    let template = stack.script("true", &[]).to_string();
    let bad: [(&[&str], &str); 6] = [
        (&["--cron", "61 * * * *"], "its minute is \"61\": take 0 to 59"),
        (&["--cron", "0 0 30 2 *"], "never comes"),
        (&["--interval", "h", "--timezone", "Mars/Olympus"], "Mars/Olympus"),
        (&["--interval", "h", "--catch-up", "5"], "--overlap allow"),
        (
            &["--interval", "h", "--not-before", "2027-02-01", "--not-after", "2027-01-01"],
            "ends before it begins",
        ),
        (&["--cron", "@every 5m"], "@daily"),
    ];
    for (words, says) in bad {
        let words = ["runtemplate:schedule", &template].into_iter().chain(words.iter().copied());
        let answer = stack.cli.run(words);
        assert_eq!(answer.code, 65, "{}", answer.stderr);
        assert!(answer.stderr.contains(says), "{says}: {}", answer.stderr);
    }
    let unknown = stack.cli.run(["runtemplate:schedule", "99", "--interval", "h"]);
    assert_eq!(unknown.code, 66, "{}", unknown.stderr);
    let shown = stack.cli.json(["runtemplate:schedule", &template]);
    assert_eq!((&shown["interval"], &shown["next"]), (&"n".into(), &Value::Null));
}
