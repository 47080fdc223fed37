//! Schedules are brought when it is asked for: both sides would run their jobs.

use std::{collections::BTreeMap, fs};

use multiflexi_fixture::eventually;
use serde_json::Value;

use super::{Adoption, HOSTILE, assert_says, by_id, counts};

/// Run templates of every sort of schedule.
const SCHEDULED: &str = "
    USE flexi;
    UPDATE runtemplate SET interv = 'c', cron = '30 2 24 12 *', delay = 60, executor = 'Native',
        active = 1 WHERE id = 31;
    UPDATE runtemplate SET interv = 'y' WHERE id = 32;
    UPDATE runtemplate SET interv = 'd' WHERE id = 33;
    UPDATE runtemplate SET interv = 'c', cron = '61 * * * *' WHERE id = 35;
    INSERT INTO runtemplate (id, app_id, company_id, interv, name, executor, active, cron) VALUES
        (36, 21, 11, 'h', 'Inactive', 'Native', 0, NULL),
        (37, 21, 11, 'd', 'In a container', 'Docker', 1, NULL),
        (38, 21, 11, 'm', 'Set here', 'Native', 1, NULL),
        (39, 21, 11, 'y', 'Has a leftover', 'Native', 1, '0 2 * * *'),
        (40, 21, 11, 'i', 'Often', 'Native', 1, NULL);
";

/// The schedules of a report, by the run template's id there.
fn scheduled(report: &Value) -> BTreeMap<i64, &Value> {
    let all = report["schedules"].as_array().unwrap();
    all.iter().map(|one| (one["run_template"].as_i64().unwrap(), one)).collect()
}

#[test]
#[ignore = "needs MariaDB: apt-get install mariadb-server"]
fn schedules_are_named_until_they_are_asked_for_and_then_start_jobs() {
    let mut adoption = Adoption::new(HOSTILE);
    let zone = ("MULTIFLEXI_TIMEZONE".to_owned(), "Europe/Prague".to_owned());
    adoption.environment.push(zone);
    adoption.source.run(SCHEDULED);
    let report = adoption.import(&[]);
    let left = &report["not_brought"]["schedules"];
    assert_eq!((&left["count"], report["schedules"].as_array().unwrap().len()), (&9.into(), 0));
    let named = left["items"].to_string();
    for part in ["31 \\\"Nightly", "30 2 24 12 *", "61 * * * *", "\\\"Often"] {
        assert!(named.contains(part), "{part}: {named}");
    }
    let (mut scheduler, cli) = adoption.scheduler();
    assert!(by_id(&cli.json(["schedule:list"])).is_empty());
    assert_eq!(cli.run(["runtemplate:schedule", "38", "--interval", "w"]).code, 0);
    scheduler.terminate();

    let mut dry = adoption.import(&["--with-schedules", "--dry-run"]);
    let report = adoption.import(&["--with-schedules"]);
    dry["dry_run"] = false.into();
    // Between the two a minute may have passed.
    let often = |report: &Value| scheduled(report)[&40]["next"].as_str().unwrap().len();
    assert_eq!(often(&dry), often(&report));
    let but_often = |report: &Value| {
        let mut report = report.clone();
        report["schedules"].as_array_mut().unwrap().retain(|one| one["run_template"] != 40);
        report
    };
    assert_eq!(but_often(&dry), but_often(&report));
    assert_eq!(counts(&report, "schedule"), [9, 5, 1, 0, 3]);
    assert!(report["not_brought"].get("schedules").is_none());
    assert_says!(
        report,
        "skipped" "schedule" 33 "its run template is not here",
        "skipped" "schedule" 35 "61 * * * *",
        "skipped" "schedule" 37 "run with Docker there",
        "kept" "schedule" 38 "was set here",
        "remarks" "schedule" 39 "does not count",
    );
    let all = scheduled(&report);
    assert!(all.keys().eq(&[31, 32, 36, 38, 39, 40]), "{all:?}");
    assert!(all[&31]["next"].as_str().unwrap().ends_with("-12-24T02:31:00+01:00"), "{all:?}");
    assert!(all[&32]["next"].as_str().unwrap().ends_with("-01-01T00:00:00+01:00"), "{all:?}");
    assert!(all[&31]["on_there"] == true && all[&31]["time_zone"] == "Europe/Prague");
    assert!(all[&36]["on_there"] == false && all[&36]["next"].is_null(), "{all:?}");

    let database = adoption.data().join("multiflexi.db");
    let before = fs::read(&database).unwrap();
    let again = adoption.import(&["--with-schedules"]);
    assert_eq!(counts(&again, "schedule"), [9, 0, 6, 0, 3]);
    assert!(adoption.import(&[])["not_brought"]["schedules"]["count"] == 4, "those left out");
    assert!(fs::read(&database).unwrap() == before, "the database is the same, byte by byte");

    let (mut scheduler, cli) = adoption.scheduler();
    let here = |id: &str| cli.json(["runtemplate:show", id])["schedule"].clone();
    assert_eq!(here("31")["cron"], "30 2 24 12 *");
    assert_eq!(
        (&here("31")["delay_seconds"], &here("31")["overlap"]),
        (&60.0.into(), &"queue".into())
    );
    assert_eq!((&here("36")["interval"], &here("36")["next"]), (&"h".into(), &Value::Null));
    assert_eq!(here("38")["interval"], "w");
    eventually("a schedule that was brought starts a job", || {
        let jobs = cli.json(["job:list", "--template", "40"]);
        (!by_id(&jobs).is_empty()).then_some(())
    });
    let off = ["runtemplate:schedule", "31", "--interval", "n"];
    assert_eq!(cli.run(off).code, 0);
    scheduler.terminate();

    // One that is switched off there has moved; what was changed on both sides stays.
    adoption.source.run(
        "USE flexi; UPDATE runtemplate SET cron = '0 3 * * *' WHERE id = 31; \
         UPDATE runtemplate SET interv = 'n' WHERE id = 32; \
         UPDATE runtemplate SET interv = 'd', delay = 5 WHERE id = 36; \
         UPDATE runtemplate SET active = 0 WHERE id = 40",
    );
    let report = adoption.import(&["--with-schedules"]);
    assert_eq!(counts(&report, "schedule"), [9, 0, 5, 1, 3]);
    assert_says!(
        report,
        "kept" "schedule" 31 "schedule",
        "kept" "run_template" 40 "stays active here",
        "changed" "schedule" 36 "delay, schedule",
    );
    let all = scheduled(&report);
    assert!(all[&31]["next"].is_null() && all[&31]["schedule"] == "n", "{all:?}");
    for moved in [32, 40] {
        assert!(all[&moved]["on_there"] == false && all[&moved]["next"].is_string(), "{all:?}");
    }
    let (_scheduler, cli) = adoption.scheduler();
    let listed = by_id(&cli.json(["schedule:list"]));
    assert!(listed.keys().eq(&[32, 36, 38, 39, 40]), "{listed:?}");
    assert_eq!(cli.json(["runtemplate:show", "36"])["schedule"]["interval"], "d");
}
