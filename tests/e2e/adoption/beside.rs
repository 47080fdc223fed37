//! An import where there is something already: jobs that run, and things of the same names.

use std::fs;

use multiflexi_fixture::{Agent, AgentOptions};

use super::{Adoption, HOSTILE, assert_says, counts};

#[test]
#[ignore = "needs MariaDB: apt-get install mariadb-server"]
fn an_import_beside_a_running_scheduler_disturbs_no_job_and_can_be_used_at_once() {
    let adoption = Adoption::new(HOSTILE);
    let (scheduler, cli) = adoption.scheduler();
    let folder = adoption.folder.path();
    let _agent = Agent::start(&folder.join("agent"), &scheduler.url(), AgentOptions::default());
    let go = folder.join("go");
    let script = format!("-c 'until [ -e {} ]; do sleep 0.02; done; echo on'", go.display());
    let words = ["application:create", "--name", "Waits", "--executable", "sh", "--cmdparams"];
    cli.create(words.into_iter().chain([script.as_str()]));
    cli.create(["company:create", "--name", "Acme"]);
    cli.create(["runtemplate:create", "--name", "Waits", "--app", "1", "--company", "1"]);
    let waits = cli.create(["job:create", "--template", "1", "--queue"]);
    cli.wait_for_state(waits, "running");

    let report = adoption.import(&[]);
    assert_eq!(counts(&report, "run_template")[1], 3, "{report:#}");

    let brought = cli.create(["job:create", "--template", "32"]);
    let run = cli.run(["job:run", &brought.to_string()]);
    assert_eq!((run.code, run.text()), (0, "company a b\n".to_owned()), "{}", run.stderr);
    fs::File::create(go).unwrap();
    cli.wait_for_state(waits, "succeeded");
    assert_eq!(cli.run(["job:logs", &waits.to_string()]).text(), "on\n");
}

#[test]
#[ignore = "needs MariaDB: apt-get install mariadb-server"]
fn what_is_here_already_is_never_merged_by_its_name() {
    let adoption = Adoption::new(HOSTILE);
    let (mut scheduler, cli) = adoption.scheduler();
    for _ in 0..70 {
        cli.create(["company:create", "--name", &format!("filler {}", fastest())]);
    }
    cli.create(["company:create", "--name", "Café \"Olé\" & Söhne's", "--slug", "mine"]);
    let file = adoption.folder.path().join("another.app.json");
    let another = serde_json::json!({
        "name": "Another", "executable": "true", "description": "", "environment": {},
        "uuid": "AAAAAAAA-1111-4111-8111-111111111111",
    });
    fs::write(&file, another.to_string()).unwrap();
    cli.create(["application:create", "--name", "First", "--executable", "true"]);
    let known = cli.json(["application:import-json", file.to_str().unwrap()]);
    let known = known["applications"][0]["id"].as_i64().unwrap();
    scheduler.terminate();
    // This one's definition is on this host: it says more than the rows.
    let file = adoption.folder.path().join("odd.app.json");
    let odd = serde_json::json!({
        "name": "Odd", "executable": "php", "description": "from its file", "environment": {},
    });
    fs::write(&file, odd.to_string()).unwrap();
    let file = file.to_str().unwrap();
    adoption.source.run(&format!("UPDATE flexi.apps SET deffile = '{file}' WHERE id = 23"));
    let report = adoption.import(&[]);
    assert_eq!(counts(&report, "company"), [4, 3, 0, 0, 1]);
    assert_says!(
        report,
        "skipped" "company" 11 "not imported from there",
        "skipped" "credential" 51 "company 11 was not imported",
        "skipped" "run_template" 31 "company 11 was not imported",
        "skipped" "job" 61 "run template 31 was not imported",
        "remarks" "application" 21 "already, by its UUID",
        "remarks" "application" 23 "taken from the file",
    );
    let (_scheduler, cli) = adoption.scheduler();
    assert_eq!(cli.json(["application:show", "23"])["description"], "from its file");
    let moved = report["ids"].as_array().unwrap();
    assert!(moved.iter().any(|one| one["from"] == 21 && one["to"] == known), "{moved:?}");
    assert!(moved.iter().any(|one| one["kind"] == "company" && one["from"] == 12));
}

/// A number of its own.
fn fastest() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
