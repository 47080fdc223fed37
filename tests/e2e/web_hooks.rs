//! Actions that tell servers of jobs.

use std::collections::{BTreeMap, BTreeSet};

use hmac::{Hmac, KeyInit as _, Mac as _};
use multiflexi_fixture::{
    SchedulerOptions, Stack, eventually,
    receiver::{Manner, Receiver, Told},
    search,
};
use serde_json::{Value, json};
use sha2::Sha256;

/// A stack whose scheduler may ask servers on this host.
fn stack() -> Stack {
    let arguments = ["--allow-private-requests", "127.0.0.0/8"].map(str::to_owned).into();
    Stack::with(SchedulerOptions { arguments, ..Default::default() }, Default::default())
}

/// Gives a run template an action.
fn action(stack: &Stack, template: i64, kind: &str, on: &str, set: &[&str]) -> i64 {
    let template = template.to_string();
    let words = ["action:create", "--template", &template, "--kind", kind, "--on", on];
    stack.cli.create(words.into_iter().chain(set.iter().flat_map(|setting| ["--set", *setting])))
}

/// What follows the end of a job, once all of it is done.
fn followed(stack: &Stack, job: i64) -> Vec<Value> {
    eventually("all that follows is done", || {
        let actions = stack.show(job)["actions"].as_array().unwrap().clone();
        actions.iter().all(|action| action["ended"].is_string()).then_some(actions)
    })
}

fn document(told: &Told) -> Value {
    serde_json::from_str(&told.body).unwrap()
}

#[test]
fn every_event_arrives_in_order_though_its_receiver_fails_and_the_scheduler_is_killed() {
    const JOBS: usize = 20;
    let mut stack = stack();
    let receiver = Receiver::start().unwrap();
    let template = stack.script("exit 0", &[]);
    let paths = ["/first", "/second", "/third"];
    for path in paths {
        let uri = format!("uri={}{path}", receiver.url());
        let tries =
            ["timeout=1s", "max_attempts=1000", "retry_backoff=fixed", "retry_min_gap=50ms"];
        let set: Vec<&str> = [uri.as_str()].into_iter().chain(tries).collect();
        action(&stack, template, "WebHook", "always", &set);
    }
    receiver.set(Manner::Answer(500, "not now".to_owned()));
    let (id, count) = (template.to_string(), JOBS.to_string());
    let created = stack.cli.json(["job:create", "--template", &id, "--count", &count, "--queue"]);
    let jobs: Vec<i64> =
        created["job_ids"].as_array().unwrap().iter().filter_map(Value::as_i64).collect();
    let more = |what: &str, enough: &dyn Fn(&[Told]) -> bool| {
        eventually(what, || enough(&receiver.told()).then_some(()));
    };
    more("it was told of each, and again", &|told| told.len() > 2 * JOBS);
    receiver.set(Manner::Hang);
    more("it hangs", &|told| told.iter().filter(|told| told.status.is_none()).count() > JOBS);
    stack.scheduler.restart();
    receiver.down();
    eventually("nobody can reach it", || {
        let waiting = stack.cli.json(["action:list", "--state", "pending", "--all"]);
        let waiting = waiting["actions"].as_array().unwrap().clone();
        let refused = |one: &Value| one["outcome"].as_str().unwrap_or("").contains("reached");
        waiting.iter().any(refused).then_some(())
    });
    stack.scheduler.restart();
    receiver.set(Manner::well());
    receiver.up().unwrap();
    let well = |told: &[Told]| told.iter().filter(|told| told.status == Some(200)).count();
    more("it hears some", &|told| well(told) > JOBS / 2);
    // Some it has heard of, and the scheduler does not know that.
    stack.scheduler.restart();

    let mut known = BTreeMap::new();
    for job in &jobs {
        let done = followed(&stack, *job);
        assert_eq!(done.len(), paths.len(), "{done:?}");
        assert!(done.iter().all(|action| action["state"] == "succeeded"), "{done:?}");
        assert!(done[0]["tries"].as_i64().unwrap() > 1, "{done:?}");
    }
    let told = receiver.told();
    for told in &told {
        let (body, event) = (document(told), told.headers["x-multiflexi-event"].clone());
        assert_eq!(told.headers["idempotency-key"], event);
        assert_eq!(body["id"].as_str(), Some(event.as_str()));
        let of = (body["job_id"].as_i64().unwrap(), told.path.clone());
        let same = known.entry(of).or_insert_with(|| event.clone());
        assert_eq!(*same, event, "an event has one id, however often it is told");
    }
    assert_eq!(known.len(), jobs.len() * paths.len());
    let ids: BTreeSet<&String> = known.values().collect();
    assert_eq!(ids.len(), known.len(), "no two have one id");
    // Who leaves out what it has heard of has each once, and each job's in their order.
    let (mut heard, mut order) = (BTreeSet::new(), BTreeMap::<i64, Vec<String>>::new());
    for told in told.iter().filter(|told| told.status == Some(200)) {
        if heard.insert(told.headers["x-multiflexi-event"].clone()) {
            let job = document(told)["job_id"].as_i64().unwrap();
            order.entry(job).or_default().push(told.path.clone());
        }
    }
    assert_eq!(heard.len(), known.len());
    assert_eq!(order.keys().copied().collect::<Vec<_>>(), jobs);
    assert!(order.values().all(|order| order == &paths), "{order:?}");
}

#[test]
fn a_receiver_that_hangs_delays_only_what_is_for_it() {
    const JOBS: usize = 300;
    let stack = stack();
    let (hangs, well) = (Receiver::start().unwrap(), Receiver::start().unwrap());
    hangs.set(Manner::Hang);
    let template = stack.script("exit 0", &[]);
    let uri = format!("uri={}/", hangs.url());
    // Two actions that ask the same have the same places.
    for _ in 0..2 {
        action(&stack, template, "WebHook", "always", &[&uri, "timeout=5min"]);
    }
    let (id, count) = (template.to_string(), JOBS.to_string());
    stack.cli.json(["job:create", "--template", &id, "--count", &count, "--queue"]);
    eventually("all have ended", || {
        let counted = stack.cli.json(["runtemplate:show", &id])["runs"]["succeeded"].as_u64();
        (counted == Some(JOBS as u64)).then_some(())
    });
    eventually("it hangs", || (hangs.told().len() == 16).then_some(()));

    let next = stack.script("exit 0", &[]);
    let other = stack.script("exit 0", &[]);
    action(&stack, other, "LaunchJob", "always", &[&format!("run_template_id={next}")]);
    action(&stack, other, "WebHook", "always", &[&format!("uri={}/", well.url())]);
    let job = stack.queued(other);
    stack.ended(job);
    let done = followed(&stack, job);
    assert!(done.iter().all(|action| action["state"] == "succeeded"), "{done:?}");
    assert_eq!((hangs.told().len(), well.told().len()), (16, 1));

    let waits = format!("waits: 16 requests to {} are on their way", hangs.url());
    let pending = eventually("the rest says why it waits", || {
        let pending = stack.cli.json(["action:list", "--state", "pending", "--all"]);
        let pending = pending["actions"].as_array().unwrap().clone();
        let says = pending.iter().filter(|one| one["outcome"] == waits.as_str()).count();
        (says == JOBS - 16).then_some(pending)
    });
    let put_off = pending.iter().find(|one| one["outcome"] == waits.as_str()).unwrap();
    assert!(put_off["tries"] == 0 && put_off["started"].is_null(), "{put_off}");
    let shown = stack.cli.run(["job:show", &put_off["job_id"].to_string()]).text();
    assert!(shown.contains(&waits), "{shown}");
    // Once it answers, whoever waits has its turn at once.
    hangs.set(Manner::well());
    eventually("it was told of all", || {
        let well = hangs.told().iter().filter(|told| told.status == Some(200)).count();
        (well >= 2 * (JOBS - 16)).then_some(())
    });
}

#[test]
fn a_web_hook_says_what_it_is_told_to_and_shows_no_secret() {
    let stack = stack();
    let receiver = Receiver::start().unwrap();
    let template = stack.script("exit 3", &["--env", "WHO=me"]);
    let uri = format!(
        "uri={}/hook/t0p-secret?token=hunter2-in-query&job={{JOB_ID}}",
        receiver.url().replace("//", "//user:pass-in-url@")
    );
    let whole = action(
        &stack,
        template,
        "WebHook",
        "fail",
        &[
            &uri,
            "secret=signing-secret",
            "headers=Authorization: Bearer bearer-secret\nX-Plain: yes",
        ],
    );
    let own = [
        format!("uri={}/own", receiver.url()),
        r#"body={"text": "job {JOB_ID} of {COMPANY_NAME} {STATE}", "code": {EXIT_CODE}, "signal": {SIGNAL}}"#
            .to_owned(),
        "method=PUT".to_owned(),
    ];
    let own =
        action(&stack, template, "WebHook", "exit in 2..5", &own.each_ref().map(String::as_str));
    action(&stack, template, "WebHook", "exit == 4", &[&uri]);
    let job = stack.queued(template);
    stack.ended(job);
    let done = followed(&stack, job);
    assert_eq!(done.len(), 2, "{done:?}");
    assert_eq!(done[0]["outcome"], format!("{} answered 200", receiver.url()));

    let [first, second] = &receiver.told()[..] else { panic!("{:?}", receiver.told()) };
    assert_eq!(first.path, format!("/hook/t0p-secret?token=hunter2-in-query&job={job}"));
    assert_eq!(first.headers["content-type"], "application/json");
    assert_eq!(first.headers["authorization"], "Bearer bearer-secret");
    assert_eq!(first.headers["x-plain"], "yes");
    let event = document(first);
    assert!(event["event"] == "job.ended" && event["state"] == "failed", "{event}");
    assert!(event["exit_code"] == 3 && event["signal"].is_null() && event["attempt"] == 1);
    assert!(event["company"]["name"] == "Acme" && event["ended"].is_string(), "{event}");
    assert_eq!(event["run_template"]["id"], template);
    let signature = &first.headers["x-multiflexi-signature"];
    let (time, mac) = signature.strip_prefix("t=").unwrap().split_once(",v1=").unwrap();
    let mut ours = Hmac::<Sha256>::new_from_slice(b"signing-secret").unwrap();
    ours.update(format!("{time}.{}", first.body).as_bytes());
    let ours: String = ours.finalize().into_bytes().iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(mac, ours);
    assert!(second.method == "PUT" && second.path == "/own");
    let text = format!("job {job} of Acme failed");
    assert_eq!(document(second), json!({"text": text, "code": 3, "signal": null}));

    // A server that repeats what it was told tells nobody.
    stack.cli.json(["action:delete", &own.to_string()]);
    let repeated = "no hunter2-in-query, bearer-secret, signing-secret, t0p-secret, pass-in-url";
    receiver.set(Manner::Answer(400, repeated.to_owned()));
    let job = stack.queued(template);
    stack.ended(job);
    let done = followed(&stack, job);
    assert!(done[0]["state"] == "failed" && done[0]["tries"] == 1, "{done:?}");
    let outcome = done[0]["outcome"].as_str().unwrap();
    assert!(outcome.contains("answered 400 Bad Request: no ***, ***, ***"), "{outcome}");
    let whole = whole.to_string();
    let server = format!("{}/***", receiver.url());
    let shown = stack.cli.json(["action:show", &whole]);
    assert_eq!(shown["settings"]["uri"], server.as_str(), "{shown}");
    let mut shown = stack.cli.run(["action:list"]).text();
    for words in [["action:show", &whole], ["job:show", &job.to_string()]] {
        shown += &stack.cli.run(words).text();
        shown += &stack.cli.json(words).to_string();
    }
    shown += &stack.cli.run(["action:list", "--job", &job.to_string()]).text();
    shown += &stack.scheduler.log.so_far().join("\n");
    let secrets =
        ["hunter2-in-query", "bearer-secret", "signing-secret", "t0p-secret", "pass-in-url"];
    for secret in secrets {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
    stack.cli.run(["secret:rotate-key"]);
    let job = stack.queued(template);
    stack.ended(job);
    followed(&stack, job);
    let authorized = |told: &Told| told.headers.get("authorization").cloned();
    let last: Vec<_> = receiver.told().iter().filter_map(authorized).collect();
    assert_eq!(last, ["Bearer bearer-secret"; 3], "it is the same after the key is another");
    for secret in secrets {
        let (files, found) = search(&stack.folder().join("data"), secret);
        assert!(files > 0 && found.is_empty(), "{secret} is in {found:?}");
    }
}

#[test]
fn each_preset_asks_as_its_server_wants_it() {
    let stack = stack();
    let receiver = Receiver::start().unwrap();
    let template = stack.script("exit 7", &[]);
    let url = receiver.url();
    receiver.set(Manner::Answer(
        201,
        r#"{"number": 12, "issue": {"id": 34}, "id": "AAMkTask"}"#.to_owned(),
    ));
    let at = |field: &str, path: &str| format!("{field}={url}{path}");
    let known = url.replacen("://", "://rm-user:rm-password@", 1);
    let kinds: [(&str, Vec<String>); 6] = [
        ("Slack", vec![at("uri", "/slack"), "text=<{COMPANY_NAME}>: {STATE}".to_owned()]),
        ("Teams", vec![at("uri", "/teams")]),
        (
            "Github",
            vec![
                at("api", ""),
                "repository=acme/jobs".to_owned(),
                "token=gh-token".to_owned(),
                "labels=Bug, job".to_owned(),
            ],
        ),
        (
            "RedmineIssue",
            vec![
                format!("url={known}/redmine/"),
                "token=rm-token".to_owned(),
                "project_id=books".to_owned(),
            ],
        ),
        (
            "TriggerJenkins",
            vec![
                at("url", "/jenkins"),
                "job_name=folder/a job".to_owned(),
                "user=me".to_owned(),
                "api_token=jk-token".to_owned(),
                "token=remote-token".to_owned(),
                "parameters=JOB={JOB_ID}\nWHO={COMPANY_NAME}".to_owned(),
            ],
        ),
        (
            "ToDo",
            vec![
                at("api", "/graph"),
                "access_token=td-token".to_owned(),
                "list_id=AAMk=".to_owned(),
                "due_in=24h".to_owned(),
                "importance=high".to_owned(),
            ],
        ),
    ];
    for (kind, set) in &kinds {
        let set: Vec<&str> = set.iter().map(String::as_str).collect();
        action(&stack, template, kind, "always", &set);
    }
    stack.cli.json(["company:update", &stack.company.to_string(), "--name", "A & Co"]);
    let job = stack.queued(template);
    stack.ended(job);
    let done = followed(&stack, job);
    let outcomes: Vec<&str> = done.iter().filter_map(|one| one["outcome"].as_str()).collect();
    assert_eq!(
        outcomes,
        [
            format!("said it at {url}"),
            format!("said it at {url}"),
            "opened issue 12 of acme/jobs".to_owned(),
            format!("opened issue 34 at {url}"),
            format!("started a build of folder/a job at {url}"),
            format!("made a task at {url}"),
        ]
    );
    let told = receiver.told();
    let [slack, teams, github, redmine, jenkins, to_do] = &told[..] else { panic!("{told:?}") };
    assert_eq!(document(slack), json!({"text": "<A &amp; Co>: failed"}));
    let card = &document(teams)["attachments"][0];
    assert_eq!(card["contentType"], "application/vnd.microsoft.card.adaptive");
    assert!(card["content"]["body"][0]["text"].as_str().unwrap().contains("failed"), "{card}");
    assert_eq!(github.path, "/repos/acme/jobs/issues");
    assert_eq!(github.headers["authorization"], "Bearer gh-token");
    assert_eq!(document(github)["labels"], json!(["Bug", "job"]));
    assert!(document(github)["body"].as_str().unwrap().contains("Exit code: 7"));
    assert_eq!(redmine.path, "/redmine/issues.json");
    assert_eq!(redmine.headers["x-redmine-api-key"], "rm-token");
    assert_eq!(redmine.headers["authorization"], "Basic cm0tdXNlcjpybS1wYXNzd29yZA==");
    let shown = &done[3]["settings"]["url"];
    assert_eq!(*shown, url.replacen("://", "://***@", 1) + "/redmine/");
    let (files, found) = search(&stack.folder().join("data"), "rm-password");
    assert!(files > 0 && found.is_empty(), "{found:?}");
    assert_eq!(document(redmine)["issue"]["project_id"], "books");
    assert_eq!(
        jenkins.path,
        "/jenkins/job/folder/job/a%20job/buildWithParameters?token=remote-token"
    );
    assert_eq!(jenkins.headers["authorization"], "Basic bWU6amstdG9rZW4=");
    assert_eq!(jenkins.body, format!("JOB={job}&WHO=A+%26+Co"));
    assert_eq!(to_do.path, "/graph/me/todo/lists/AAMk=/tasks");
    assert_eq!(document(to_do)["importance"], "high");
    assert_eq!(document(to_do)["dueDateTime"]["timeZone"], "UTC");
    for told in &told {
        assert_eq!(told.method, "POST");
    }
}

#[test]
fn what_is_asked_is_not_this_host_unless_that_is_allowed() {
    let stack = Stack::start();
    let receiver = Receiver::start().unwrap();
    let template = stack.script("exit 0", &[]);
    action(&stack, template, "WebHook", "always", &[&format!("uri={}/", receiver.url())]);
    action(&stack, template, "WebHook", "always", &["uri=http://localhost:1/"]);
    let job = stack.queued(template);
    stack.ended(job);
    for one in followed(&stack, job) {
        assert!(one["state"] == "failed" && one["tries"] == 1, "{one}");
        let outcome = one["outcome"].as_str().unwrap();
        assert!(outcome.contains("loopback") && outcome.contains("--allow-private-requests"));
    }
    assert!(receiver.told().is_empty());
}

#[test]
fn what_cannot_be_told_is_refused_at_the_door_and_what_failed_is_done_again() {
    let stack = stack();
    let receiver = Receiver::start().unwrap();
    let company = stack.company.to_string();
    let uri = format!("uri={}/", receiver.url());
    let words = ["action:create", "--company", &company, "--kind", "WebHook", "--on"];
    let said = |on: &str, set: &[&str]| {
        let set = set.iter().flat_map(|setting| ["--set", *setting]);
        let refused = stack.cli.run(words.into_iter().chain([on]).chain(set));
        assert_eq!(refused.code, 65, "{}", refused.stderr);
        refused.stderr
    };
    assert!(said("exit = 3", &[&uri]).contains("character 6, \"=\""));
    assert!(said("always", &[]).contains("uri is missing"));
    let quoted = said("always", &["uri=ftp://hunter2@example.org/"]);
    assert!(quoted.contains("https://example.org/path") && !quoted.contains("hunter2"), "{quoted}");
    assert!(said("always", &[&uri, "body={\"a\": {STATE}}"]).contains("put texts in quotes"));
    assert!(said("always", &[&uri, "headers=no colon"]).contains("a line each"));
    assert!(said("always", &[&uri, "timeout=1h"]).contains("timeout of WebHook is \"1h\""));
    assert!(said("always", &[&uri, "retry_backoff=soon"]).contains("exponential"));

    let one = stack.cli.create(words.into_iter().chain(["always", "--set", &uri]));
    let shown = stack.cli.json(["action:show", &one.to_string()]);
    assert!(shown["company_id"] == stack.company && shown["run_template_id"] == 0, "{shown}");
    let changed = stack.cli.json(["action:update", &one.to_string(), "--on", "exit >= 2"]);
    assert!(changed["on"] == "exit >= 2" && changed["settings"]["uri"] == shown["settings"]["uri"]);
    let listed = stack.cli.json(["action:list", "--company", &company]);
    assert_eq!(listed["actions"].as_array().unwrap().len(), 1);

    receiver.set(Manner::Answer(404, "nobody here".to_owned()));
    let (well, badly) = (stack.script("exit 0", &[]), stack.script("exit 2", &[]));
    let (well, badly) = (stack.queued(well), stack.queued(badly));
    stack.ended(well);
    stack.ended(badly);
    let failed = followed(&stack, badly);
    assert!(failed[0]["state"] == "failed", "{failed:?}");
    assert!(failed[0]["outcome"].as_str().unwrap().ends_with("404 Not Found: nobody here"));
    assert!(followed(&stack, well).is_empty());
    receiver.set(Manner::well());
    let id = failed[0]["id"].to_string();
    stack.cli.json(["action:retry", &id]);
    let done = followed(&stack, badly);
    assert!(done[0]["state"] == "succeeded" && done[0]["tries"] == 1, "{done:?}");
    let events: BTreeSet<String> =
        receiver.told().iter().map(|told| told.headers["idempotency-key"].clone()).collect();
    assert_eq!(events.len(), 1, "it is the same event");
    let again = stack.cli.run(["action:retry", &id]);
    assert!(again.code == 77 && again.stderr.contains("is succeeded"), "{}", again.stderr);

    // One that waits for its next try is left undone, or done now as its action is told now.
    receiver.set(Manner::Answer(503, String::new()));
    let job = stack.queued(stack.script("exit 3", &[]));
    let waiting = eventually("it waits for its next try", || {
        let one = stack.show(job)["actions"][0].clone();
        (one["state"] == "pending" && one["outcome"].is_string()).then_some(one)
    });
    let id = waiting["id"].to_string();
    let cancelled = stack.cli.json(["action:cancel", &id]);
    assert!(cancelled["state"] == "cancelled" && cancelled["due"].is_null(), "{cancelled}");
    let outcome = cancelled["outcome"].as_str().unwrap();
    assert!(outcome.starts_with("cancelled; its last try: ") && outcome.contains("503"));
    let again = stack.cli.run(["action:cancel", &id]);
    assert!(again.code == 77 && again.stderr.contains("is cancelled"), "{}", again.stderr);
    receiver.set(Manner::well());
    let right = format!("uri={}/right", receiver.url());
    stack.cli.json(["action:update", &one.to_string(), "--set", &right]);
    stack.cli.json(["action:retry", &id]);
    let done = followed(&stack, job);
    assert_eq!(done[0]["state"], "succeeded", "{done:?}");
    assert_eq!(receiver.told().last().unwrap().path, "/right");
}
