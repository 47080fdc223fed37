//! Actions: what follows the ends of jobs.

use std::fs;

use multiflexi_fixture::{Answer, Stack, eventually};
use serde_json::Value;

/// Gives a run template an action; `set` are its settings.
fn create(stack: &Stack, template: i64, kind: &str, on: &str, set: &[&str]) -> Answer {
    let template = template.to_string();
    let words = ["action:create", "--template", &template, "--kind", kind, "--on", on, "-q"];
    let set = set.iter().flat_map(|setting| ["--set", *setting]);
    stack.cli.run(words.into_iter().chain(set))
}

fn action(stack: &Stack, template: i64, kind: &str, on: &str, set: &[&str]) -> String {
    let created = create(stack, template, kind, on, set);
    assert_eq!(created.code, 0, "{}", created.stderr);
    created.text().trim().to_owned()
}

/// What follows the end of a job, once all of it is done.
fn followed(stack: &Stack, job: i64) -> Vec<Value> {
    eventually("all that follows is done", || {
        let actions = stack.show(job)["actions"].as_array().unwrap().clone();
        actions.iter().all(|action| action["ended"].is_string()).then_some(actions)
    })
}

fn jobs_of(stack: &Stack, template: i64) -> Vec<Value> {
    let listed = stack.cli.json(["job:list", "--template", &template.to_string(), "--all"]);
    listed["jobs"].as_array().unwrap().clone()
}

#[test]
fn an_end_is_followed_by_its_actions_in_their_order_and_each_is_on_record() {
    let stack = Stack::start();
    let next = stack.script("echo next", &[]);
    let template = stack.script("exit $CODE", &["--env", "CODE=0"]);
    let launch = format!("run_template_id={next}");
    action(&stack, template, "Sleep", "success", &["seconds=0"]);
    action(&stack, template, "launchjob", "success", &[&launch]);
    action(&stack, template, "Reschedule", "fail", &["delay=7200"]);
    let stop = action(&stack, template, "Stop", "fail", &[]);

    let well = stack.queued(template);
    stack.ended(well);
    let done = followed(&stack, well);
    let kinds: Vec<&str> = done.iter().filter_map(|action| action["kind"].as_str()).collect();
    assert_eq!(kinds, ["Sleep", "LaunchJob"]);
    assert!(done.iter().all(|action| action["state"] == "succeeded"), "{done:?}");
    let launched = jobs_of(&stack, next)[0]["id"].as_i64().unwrap();
    assert_eq!(done[1]["outcome"], format!("launched job {launched}"));
    assert_eq!(stack.ended(launched)["state"], "succeeded");
    let why = stack.cli.run(["job:why", &launched.to_string()]).text();
    assert!(why.contains(&format!("of job {well}")), "{why}");

    let id = template.to_string();
    let waiting = stack.job(template);
    let words = ["job:create", "--template", &id, "--env", "CODE=3", "--queue"];
    let badly = stack.cli.create(words);
    stack.ended(badly);
    let done = followed(&stack, badly);
    assert_eq!(done.len(), 2, "{done:?}");
    let later = jobs_of(&stack, template)[0].clone();
    assert!(later["state"] == "queued" && later["not_before"].is_string(), "{later}");
    assert_eq!(done[1]["action_id"].to_string(), stop);
    assert_eq!(stack.cli.json(["runtemplate:show", &id])["active"], false);

    let listed = stack.cli.json(["action:list", "--job", &badly.to_string()]);
    assert_eq!(listed["actions"].as_array().unwrap().len(), 2);
    let shown = stack.cli.run(["job:show", &badly.to_string()]).text();
    assert!(shown.contains("Reschedule") && shown.contains("is inactive"), "{shown}");
    let refused = stack.cli.run(["job:create", "--template", &id]);
    assert!(refused.code == 77 && refused.stderr.contains("is inactive"), "{}", refused.stderr);
    let run = stack.cli.run(["job:run", &waiting.to_string()]);
    assert_eq!(run.code, 0, "one that is there can be run: {}", run.stderr);
    stack.cli.json(["runtemplate:enable", &id]);
    stack.job(template);
    stack.cli.json(["job:delete", &badly.to_string()]);
    let failed = stack.cli.json(["action:list", "--state", "succeeded", "--all"]);
    let of_jobs = failed["actions"].as_array().unwrap().iter();
    assert!(of_jobs.clone().count() > 0 && of_jobs.clone().all(|one| one["job_id"] != badly));
}

#[test]
fn actions_are_changed_and_deleted_and_what_cannot_be_is_said() {
    let stack = Stack::start();
    let (one, two) = (stack.script("true", &[]), stack.script("true", &[]));
    let said = |kind: &str, on: &str, set: &[&str]| {
        let refused = create(&stack, one, kind, on, set);
        assert_ne!(refused.code, 0);
        refused.stderr
    };
    assert!(said("Lunch", "always", &[]).contains("ChainRuntemplate, "));
    let soon = said("Reschedule", "fail", &["delay=soon"]);
    assert!(soon.contains("delay of Reschedule is \"soon\""), "{soon}");
    assert!(said("LaunchJob", "success", &[]).contains("run_template_id is missing"));
    let kinds = stack.cli.json(["action:kinds"]);
    let names: Vec<&str> =
        kinds["kinds"].as_array().unwrap().iter().filter_map(|k| k["name"].as_str()).collect();
    let ours = ["ChainRuntemplate", "LaunchJob", "Reschedule", "Sleep", "Stop"];
    assert!(ours.iter().all(|kind| names.contains(kind)) && names.is_sorted(), "{names:?}");

    let remarked = create(&stack, one, "WebHook", "fail", &["uri=https://example.org/{NOSUCH}"]);
    assert_eq!(remarked.code, 0);
    assert!(remarked.stderr.contains("{NOSUCH} in uri is no fact"), "{}", remarked.stderr);
    stack.cli.json(["action:delete", remarked.text().trim()]);
    let listed = stack.cli.run(["action:kinds"]).text();
    assert!(listed.lines().all(|line| line.chars().count() < 120), "{listed}");
    let shown = stack.cli.run(["action:kinds", "webhook"]).text();
    assert!(shown.contains("WebHook") && shown.lines().any(|line| line.starts_with("method")));
    let none = stack.cli.run(["action:kinds", "Lunch"]);
    assert!(none.code == 66 && none.stderr.contains("ChainRuntemplate, "), "{}", none.stderr);
    let none = stack.cli.run(["action:cancel", "99999"]);
    assert!(none.code == 66 && none.stderr.contains("action:list --job ID"), "{}", none.stderr);

    let to_two = format!("run_template_id={two}");
    let to_one = format!("run_template_id={one}");
    let id = action(&stack, one, "ChainRuntemplate", "success", &[&to_two]);
    let back = create(&stack, two, "LaunchJob", "always", &[&to_one]);
    assert_eq!(back.code, 65, "{}", back.stderr);
    assert!(back.stderr.contains(&format!("({one} launches {two})")), "{}", back.stderr);
    let itself = said("LaunchJob", "success", &[&to_one]);
    assert!(itself.contains("itself for ever"), "{itself}");

    let changed = stack.cli.json(["action:update", &id, "--on", "always", "--position", "9"]);
    assert!(changed["on"] == "always" && changed["position"] == 9, "{changed}");
    assert_eq!(changed["settings"]["run_template_id"], two.to_string());
    let wrong = stack.cli.run(["action:update", &id, "--unset", "run_template_id"]);
    assert!(wrong.code == 65 && wrong.stderr.contains("is missing"), "{}", wrong.stderr);
    let listed = stack.cli.json(["action:list", "--template", &one.to_string()]);
    assert_eq!(listed["actions"][0], stack.cli.json(["action:show", &id]));
    stack.cli.json(["action:delete", &id]);
    assert_eq!(stack.cli.run(["action:show", &id]).code, 66);
    action(&stack, two, "LaunchJob", "always", &[&to_one]);
    stack.cli.json(["runtemplate:delete", &two.to_string()]);
    assert_eq!(stack.cli.json(["action:list"])["actions"].as_array().unwrap().len(), 0);
}

#[test]
fn each_action_happens_once_though_the_scheduler_is_killed_before_and_while_it_does() {
    const JOBS: usize = 60;
    let mut stack = Stack::start();
    let next = stack.script("exit 0", &[]);
    let go = stack.folder().join("go");
    let script = format!("until [ -e '{}' ]; do sleep 0.02; done", go.display());
    let template = stack.script(&script, &[]);
    let launch = format!("run_template_id={next}");
    action(&stack, template, "Sleep", "success", &["seconds=1"]);
    action(&stack, template, "LaunchJob", "always", &[&launch]);
    action(&stack, template, "Reschedule", "success", &["delay=7200"]);
    let id = template.to_string();
    let created = stack.cli.json(["job:create", "--template", &id, "--count", "60", "--queue"]);
    let jobs: Vec<i64> =
        created["job_ids"].as_array().unwrap().iter().filter_map(Value::as_i64).collect();
    assert_eq!(jobs.len(), JOBS);
    fs::File::create(go).unwrap();
    for job in &jobs {
        stack.ended(*job);
    }
    // All have ended, and what follows waits for its time or is under way.
    stack.scheduler.restart();
    eventually("some actions were done", || {
        let done = stack.cli.json(["action:list", "--state", "succeeded", "--all"]);
        (done["actions"].as_array().unwrap().len() > JOBS).then_some(())
    });
    stack.scheduler.restart();
    for job in &jobs {
        let done = followed(&stack, *job);
        assert_eq!(done.len(), 3, "{done:?}");
        assert!(done.iter().all(|action| action["state"] == "succeeded"), "{done:?}");
    }
    stack.scheduler.restart();
    assert_eq!(jobs_of(&stack, next).len(), JOBS);
    assert_eq!(jobs_of(&stack, template).len(), JOBS + 1, "one waits to be run again");
}

#[test]
fn a_run_template_is_run_again_and_again_and_not_by_more_and_more_jobs() {
    let stack = Stack::start();
    let template = stack.script("exit 0", &[]);
    action(&stack, template, "Reschedule", "success", &["delay=1"]);
    action(&stack, template, "Reschedule", "always", &["delay=1"]);
    let company = stack.company.to_string();
    let words = ["action:create", "--company", &company, "--kind", "Reschedule", "--on", "always"];
    stack.cli.create(words.into_iter().chain(["--set", "delay=1"]));
    // Two that somebody has made become one that goes on.
    let first = stack.queued(template);
    let other = stack.queued(template);
    let jobs = eventually("it was run again three times", || {
        let jobs = jobs_of(&stack, template);
        let ended = jobs.iter().filter(|job| job["state"] == "succeeded").count();
        (ended >= 5).then_some(jobs)
    });
    let waiting = jobs.iter().filter(|job| job["state"] != "succeeded").count();
    assert!(waiting <= 1, "{jobs:?}");
    let mut said: Vec<String> = Vec::new();
    for job in [first, other] {
        let done = followed(&stack, job);
        said.extend(done.iter().filter_map(|one| one["outcome"].as_str().map(str::to_owned)));
    }
    let waits = said.iter().filter(|said| said.ends_with("waits already")).count();
    assert!(said.len() == 6 && waits >= 4, "{said:?}");
    stack.cli.json(["runtemplate:disable", &template.to_string()]);
}

#[test]
fn a_run_template_that_others_lead_to_is_not_deleted_by_itself() {
    let stack = Stack::start();
    let (one, two) = (stack.script("true", &[]), stack.script("true", &[]));
    let to_two = format!("run_template_id={two}");
    let id = action(&stack, one, "LaunchJob", "success", &[&to_two]);
    let refused = stack.cli.run(["runtemplate:delete", &two.to_string()]);
    let sentence = format!("action {id} (LaunchJob) of run template {one} makes jobs of");
    assert!(refused.code == 77 && refused.stderr.contains(&sentence), "{}", refused.stderr);
    stack.cli.json(["runtemplate:delete", &two.to_string(), "--cascade"]);
    assert_eq!(stack.cli.json(["action:list"])["actions"].as_array().unwrap().len(), 0);

    let chained = stack.script("true", &[]);
    let to_chained = format!("run_template_id={chained}");
    action(&stack, one, "LaunchJob", "success", &[&to_chained]);
    let company = stack.company.to_string();
    stack.cli.json(["company:delete", &company, "--cascade"]);
}

#[test]
fn a_job_hands_on_what_it_knows_and_has_left_and_secrets_stay_secret() {
    let stack = Stack::start();
    let show =
        "echo \"$WHO/$HOW/$PARENT\"; cat \"$REPORT\" \"$OUTPUT\" \"$CERT\"; echo \"${#KEY}\"";
    let next = stack.script(show, &[]);
    let cert = stack.folder().join("cert.pem");
    fs::write(&cert, "a certificate\n").unwrap();
    let cert = format!("CERT={}", cert.display());
    let script = "mkdir out; echo '{\"sum\": 7}' > out/report.json; echo printed; exit 3";
    let more = ["--env", "WHO=Eve & Bob", "--secret", "TOKEN=hunter2-handed-on", "--secret-file"];
    let template =
        stack.script(script, &more.into_iter().chain([cert.as_str()]).collect::<Vec<_>>());
    let launch = format!("run_template_id={next}");
    let variables = "variables=WHO={WHO}\nHOW={STATE} {EXIT_CODE} {NOTHING}\nPARENT={JOB_ID}\n\
                     REPORT=@file:out/report.json\nOUTPUT=@file:stdout.txt\nCERT={CERT}\n\
                     KEY=key {TOKEN}";
    action(&stack, template, "ChainRuntemplate", "exit == 3", &[&launch, variables]);
    action(&stack, template, "LaunchJob", "always", &[&launch, "variables=A=@file:nowhere"]);
    let said = create(&stack, template, "LaunchJob", "always", &[&launch, "variables=A"]);
    assert!(said.code == 65 && said.stderr.contains("NAME=VALUE"), "{}", said.stderr);
    let job = stack.queued(template);
    stack.ended(job);
    let done = followed(&stack, job);
    assert_eq!(done[0]["state"], "succeeded", "{done:?}");
    assert!(done[1]["state"] == "failed", "{done:?}");
    let outcome = done[1]["outcome"].as_str().unwrap();
    assert!(outcome.contains("\"nowhere\"") && outcome.contains("left no such file"), "{outcome}");
    let launched = jobs_of(&stack, next)[0]["id"].as_i64().unwrap();
    stack.ended(launched);
    let id = launched.to_string();
    let printed = stack.cli.run(["job:logs", &id]).text();
    let expected = format!(
        "Eve & Bob/failed 3 {{NOTHING}}/{job}\n{{\"sum\": 7}}\nprinted\n***\n{}\n",
        "key hunter2-handed-on".len()
    );
    assert_eq!(printed, expected);
    let environment = stack.cli.json(["job:env", &id]).to_string();
    assert!(!environment.contains("hunter2-handed-on"), "{environment}");
    let (files, found) = multiflexi_fixture::search(&stack.folder().join("data"), "hunter2-handed");
    assert!(files > 0 && found.is_empty(), "{found:?}");
}

#[test]
fn a_custom_command_is_a_job_on_an_agent_and_no_value_changes_what_it_says() {
    let stack = Stack::start();
    // Somebody's own application of that name is not in the way.
    let own = ["application:create", "--name", "CustomCommand", "--executable", "true"];
    stack.cli.create(own);
    let template = stack.script("exit 4", &["--env", "EVIL=$(touch pwned); `id`'\"{STATE}"]);
    let command = "command=echo \"$PARENT_JOB_ID $PARENT_EXIT_CODE\" '{EVIL}'\nprintf '%s' \"$TEXT\"\nls\nexit 9";
    let set = [command, "variables=TEXT={EVIL}", "timeout=20s"];
    let company = stack.company.to_string();
    let words = ["action:create", "--company", &company, "--kind", "CustomCommand", "--on", "fail"];
    let id = stack.cli.create(words.into_iter().chain(set.iter().flat_map(|set| ["--set", *set])));
    for run in 1..=2 {
        let job = stack.queued(template);
        stack.ended(job);
        let done = followed(&stack, job);
        assert_eq!(done[0]["state"], "succeeded", "{done:?}");
        let templates = stack.cli.json(["runtemplate:list", "--company", &company, "--all"]);
        let templates = templates["run_templates"].as_array().unwrap().clone();
        let name = format!("CustomCommand, action {id}");
        let ours: Vec<&Value> =
            templates.iter().filter(|one| one["name"] == name.as_str()).collect();
        assert_eq!(ours.len(), 1, "{templates:?}");
        let jobs = jobs_of(&stack, ours[0]["id"].as_i64().unwrap());
        assert_eq!(jobs.len(), run);
        let launched = jobs.iter().filter_map(|job| job["id"].as_i64()).max().unwrap();
        assert_eq!(done[0]["outcome"], format!("launched job {launched}, which runs the command"));
        let shown = stack.ended(launched);
        assert!(shown["state"] == "failed" && shown["exit_code"] == 9, "{shown}");
        let printed = stack.cli.run(["job:logs", &launched.to_string()]).text();
        assert_eq!(printed, format!("{job} 4 {{EVIL}}\n$(touch pwned); `id`'\"{{STATE}}"));
        assert!(followed(&stack, launched).is_empty(), "nothing follows a command");
    }
}

#[test]
fn many_that_have_failed_are_done_again_at_once() {
    let stack = Stack::start();
    let templates = [stack.script("true", &[]), stack.script("true", &[])];
    // This host is not asked, and so each fails for good.
    for template in templates {
        action(&stack, template, "WebHook", "always", &["uri=http://127.0.0.1:1/"]);
    }
    for template in [templates[0], templates[0], templates[1]] {
        let job = stack.queued(template);
        stack.ended(job);
        assert_eq!(followed(&stack, job)[0]["state"], "failed");
    }
    let listed = |more: &[&str]| {
        let words = ["action:list", "--state", "failed"].into_iter().chain(more.iter().copied());
        stack.cli.json(words)["actions"].as_array().unwrap().len()
    };
    let one = templates[0].to_string();
    assert_eq!((listed(&[]), listed(&["--template", &one])), (3, 2));
    let company = stack.company.to_string();
    assert_eq!(listed(&["--kind", "webhook", "--company", &company, "--since", "1h"]), 3);
    assert_eq!(listed(&["--kind", "Mail"]), 0);

    let retry = ["action:retry", "--state", "failed", "--template", &one];
    let planned = stack.cli.json(retry.into_iter().chain(["--dry-run"]));
    assert_eq!((&planned["changed"], &planned["dry_run"]), (&2.into(), &true.into()));
    let begun = || {
        let failed = stack.cli.json(["action:list", "--state", "failed", "--template", &one]);
        let ended = failed["actions"].as_array().unwrap().iter().map(|one| one["ended"].clone());
        ended.collect::<Vec<_>>()
    };
    let before = begun();
    assert_eq!(stack.cli.json(retry)["changed"], 2);
    eventually("they have failed again", || {
        let now = begun();
        (now.len() == 2 && now.iter().all(|ended| !before.contains(ended))).then_some(())
    });
    let none = stack.cli.json(["action:cancel", "--state", "pending", "--kind", "WebHook"]);
    assert_eq!((&none["changed"], &none["refused"]), (&0.into(), &0.into()));
    let nothing = stack.cli.run(["action:retry"]);
    assert_eq!(nothing.code, 64, "{}", nothing.stderr);
}
