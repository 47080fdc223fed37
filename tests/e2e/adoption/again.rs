//! Imports that are repeated.

use std::fs;

use multiflexi_fixture::eventually;

use super::{Adoption, HOSTILE, assert_says, by_id, counts};

#[test]
#[ignore = "needs MariaDB: apt-get install mariadb-server"]
fn an_import_is_repeated_without_change_and_brings_only_what_is_new_or_changed() {
    let adoption = Adoption::new(HOSTILE);
    adoption.import(&[]);
    let database = adoption.data().join("multiflexi.db");
    let before = fs::read(&database).unwrap();
    let kinds = ["company", "application", "credential_type", "credential", "run_template", "job"];
    let nothing_changes = |more: &[&str]| {
        let again = adoption.import(more);
        for kind in kinds {
            let [read, created, unchanged, changed, skipped] = counts(&again, kind);
            assert_eq!((created, changed), (0, 0), "{kind}: {again:#}");
            assert_eq!(read, unchanged + skipped, "{kind}");
        }
    };
    nothing_changes(&["--dry-run"]);
    nothing_changes(&[]);
    assert!(fs::read(&database).unwrap() == before, "the database is the same, byte by byte");

    let (mut scheduler, cli) = adoption.scheduler();
    let update = |words: &[&str]| assert_eq!(cli.run(words).code, 0, "{words:?}");
    update(&["runtemplate:update", "31", "--env", "GREETING=ours"]);
    update(&["company:update", "12", "--name", "Ours"]);
    update(&["runtemplate:delete", "32", "--cascade"]);
    scheduler.terminate();
    adoption.source.run(
        "USE flexi; UPDATE configuration SET value = 'theirs' WHERE name = 'GREETING'; \
         UPDATE configuration SET value = 'new' WHERE name = 'BANK_TOKEN'; \
         INSERT INTO configuration (app_id, company_id, name, value, runtemplate_id) \
             VALUES (21, 11, 'ADDED', 'x', 31); \
         DELETE FROM configuration WHERE name = 'NULLED'; \
         UPDATE apps SET cmdparams = '{GREETING}' WHERE id = 21; \
         UPDATE credata SET value = 'hunter2-changed' WHERE credential_id = 51 AND name = 'BANK_TOKEN'; \
         DELETE FROM runtplcreds WHERE runtemplate_id = 31; \
         UPDATE job SET `end` = '2025-03-03 11:00:00', exitcode = 0 WHERE id = 63; \
         INSERT INTO company (id, name, slug) VALUES (15, 'New', 'new')",
    );
    let dry = adoption.import(&["--dry-run"]);
    let report = adoption.import(&[]);
    assert_eq!(dry["counts"], report["counts"]);
    assert_eq!(counts(&report, "company"), [5, 1, 4, 0, 0]);
    assert_eq!(counts(&report, "application"), [3, 0, 1, 1, 1]);
    assert_eq!(counts(&report, "credential"), [4, 0, 2, 1, 1]);
    assert_eq!(counts(&report, "run_template"), [5, 0, 1, 1, 3]);
    assert_eq!(counts(&report, "job"), [8, 1, 4, 0, 3]);
    assert_says!(
        report,
        "kept" "run_template" 31 "GREETING",
        "changed" "run_template" 31 "ADDED, BANK_TOKEN, NULLED",
        "changed" "application" 21 "definition",
        "changed" "credential" 51 "BANK_TOKEN",
        "skipped" "run_template" 32 "deleted here",
    );
    let (mut scheduler, cli) = adoption.scheduler();
    let template = cli.json(["runtemplate:show", "31"]);
    assert_eq!(template["environment"]["GREETING"], "ours");
    assert_eq!(template["environment"]["ADDED"], "x");
    assert!(template["environment"].get("NULLED").is_none());
    assert_eq!(cli.json(["credential:show", "51"])["run_template_ids"], serde_json::json!([]));
    assert_eq!(cli.json(["company:show", "12"])["name"], "Ours");
    // Its own id is below those that were given out since.
    let moved = report["ids"].as_array().unwrap();
    let job = moved.iter().find(|one| one["kind"] == "job" && one["from"] == 63).unwrap();
    assert_eq!(cli.json(["job:show", &job["to"].to_string()])["state"], "succeeded");
    assert_eq!(cli.run(["secret:rotate-key"]).code, 0);
    scheduler.terminate();
    let again = adoption.import(&[]);
    assert_eq!(counts(&again, "run_template"), [5, 0, 2, 0, 3], "it is read with the new key");
    assert_says!(again, "kept" "run_template" 31 "GREETING");
}

#[test]
#[ignore = "needs MariaDB: apt-get install mariadb-server"]
fn an_import_that_is_killed_is_ended_by_the_next() {
    let adoption = Adoption::new(HOSTILE);
    // It gets as far as the output of the first job, and no further.
    let lock =
        adoption.source.session("LOCK TABLES flexi.job_output_lines WRITE; SELECT 'locked';");
    let mut import = adoption.command(&adoption.url(), &[]).spawn().unwrap();
    eventually("the import waits", || {
        let waiting = "SELECT COUNT(*) FROM information_schema.PROCESSLIST \
             WHERE USER = 'reader' AND STATE LIKE 'Waiting for table%'";
        (adoption.source.run(waiting).trim() == "1").then_some(())
    });
    import.kill().unwrap();
    import.wait().unwrap();
    drop(lock);
    let report = adoption.import(&[]);
    assert_eq!(counts(&report, "company"), [4, 0, 4, 0, 0]);
    assert_eq!(counts(&report, "run_template"), [5, 0, 3, 0, 2]);
    assert_eq!(counts(&report, "job"), [8, 4, 0, 0, 4]);
    assert_eq!(counts(&report, "artifact"), [4, 4, 0, 0, 0]);
    let again = adoption.import(&[]);
    assert_eq!(counts(&again, "job"), [8, 0, 4, 0, 4]);
    let (_scheduler, cli) = adoption.scheduler();
    assert_eq!(by_id(&cli.json(["job:list"])).len(), 4);
}
