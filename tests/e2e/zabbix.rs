//! What a real Zabbix server shows of the jobs, and that it misses nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Write as _,
    net::TcpListener,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use multiflexi_fixture::{
    Agent, AgentOptions, Collector, SchedulerOptions, Stack, eventually, zabbix::Zabbix,
};
use serde_json::{Value, json};

const JOBS: &str = "MultiFlexi jobs by trapper";
const SCHEDULER: &str = "MultiFlexi scheduler by trapper";

/// How long the server is away while jobs run.
const AWAY: Duration = Duration::from_secs(60);

/// The item that hears of each job when it is created.
const CREATED: &str = "multiflexi.job.lld";

fn with_templates() -> Zabbix {
    let zabbix = Zabbix::start();
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/zabbix/multiflexi-6.0.yaml");
    zabbix.import(Path::new(file));
    zabbix
}

fn options(zabbix: &Zabbix, more: &[(&str, &str)]) -> SchedulerOptions {
    let server = zabbix.address.to_string();
    let settings =
        [("ZABBIX_SERVER", server.as_str()), ("ZABBIX_HOST", "flexi"), ("ZABBIX_INTERVAL", "1s")];
    let environment = settings.iter().chain(more);
    let environment =
        environment.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    SchedulerOptions { environment, ..SchedulerOptions::default() }
}

/// The key of what is told of a run template's jobs.
fn key(template: i64) -> String {
    format!("job-[acme--{template}]")
}

fn read(value: &Value) -> Value {
    serde_json::from_str(value["value"].as_str().unwrap()).unwrap()
}

/// The phases that Zabbix has of each job of these run templates, in the order of their times.
fn phases(zabbix: &Zabbix, host: &str, templates: &[i64]) -> BTreeMap<i64, Vec<String>> {
    let mut phases = BTreeMap::<i64, Vec<String>>::new();
    let mut all: Vec<Value> = zabbix.values(host, CREATED);
    for template in templates {
        all.extend(zabbix.values(host, &key(*template)));
    }
    let number = |value: &Value| value.as_str().unwrap().parse::<i64>().unwrap();
    all.sort_by_key(|value| (number(&value["clock"]), number(&value["ns"])));
    for value in all {
        let said = read(&value);
        let (job, phase) = match said.get(0) {
            Some(created) => (&created["{#JOB_ID}"], &created["{#PHASE}"]),
            None => (&said["job_id"], &said["phase"]),
        };
        let job = phases.entry(job.as_i64().unwrap()).or_default();
        job.push(phase.as_str().unwrap().to_owned());
    }
    phases
}

/// Waits until Zabbix has all phases of all these jobs, each once and in order.
fn wait_for_phases(zabbix: &Zabbix, host: &str, templates: &[i64], jobs: &[i64]) {
    let mut found = BTreeMap::new();
    let whole = |found: &BTreeMap<i64, Vec<String>>| {
        jobs.iter().all(|job| found.get(job).is_some_and(|phases| phases.len() >= 3))
    };
    let arrived = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        eventually("Zabbix has all phases of all jobs", || {
            found = phases(zabbix, host, templates);
            whole(&found).then_some(())
        });
    }));
    assert!(arrived.is_ok(), "of {jobs:?} Zabbix has {found:?}; it says {}", zabbix.log());
    for job in jobs {
        assert_eq!(found[job], ["created", "jobStart", "jobDone"], "of job {job}");
    }
}

fn wait_for_problem(zabbix: &Zabbix, host: &str, name: &str) {
    eventually(&format!("there is the problem {name:?}"), || {
        zabbix.problems(host).iter().any(|problem| problem == name).then_some(())
    });
}

#[test]
#[ignore = "needs Zabbix: apt-get install postgresql zabbix-server-pgsql zabbix-frontend-php php-cli php-pgsql zabbix-agent"]
fn zabbix_shows_each_phase_of_each_job_though_it_was_away_and_the_scheduler_killed() {
    let mut zabbix = with_templates();
    let host = zabbix.host("flexi", &[JOBS, SCHEDULER], &json!({}));
    let collector = Collector::start();
    let mut settings = options(&zabbix, &[]);
    settings.environment.extend(collector.environment());
    let mut stack = Stack::with(settings, AgentOptions::default());
    let company = stack.company.to_string();
    stack.cli.json(["company:update", &company, "--slug", "acme"]);
    let well = stack.script("true", &[]);
    let badly = stack.script("exit $CODE", &["--env", "CODE=3"]);
    let templates = [well, badly];

    // What is discovered becomes items, and the values of before wait for them.
    let first = [stack.queued(well), stack.queued(badly)];
    wait_for_phases(&zabbix, &host, &templates, &first);
    let done = read(zabbix.values(&host, &key(badly)).last().unwrap());
    assert_eq!((&done["exitcode"], &done["state"]), (&json!(3), &json!("failed")), "{done}");
    // Each says which trace the job is.
    let submit = eventually("the span of the job has come", || {
        let id = first[1].to_string();
        let mut spans = collector.spans().into_iter().filter(|span| span.name == "submit");
        spans.find(|span| span.attributes.get("multiflexi.job.id") == Some(&id))
    });
    let told: BTreeSet<String> = zabbix
        .values(&host, &key(badly))
        .iter()
        .map(|value| read(value)["traceparent"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(told, [format!("00-{}-{}-01", submit.trace, submit.id)].into());

    let number = |name: &str, template: i64| {
        let item = zabbix.item(&host, &format!("multiflexi.job.{name}[{template}]")).unwrap();
        item["lastvalue"].as_str().unwrap().parse::<f64>().unwrap()
    };
    let numbers = |name: &str| templates.map(|template| number(name, template));
    eventually("the numbers of jobs are items", || {
        (numbers("exitcode") == [0.0, 3.0] && numbers("failed") == [0.0, 1.0]).then_some(())
    });
    assert!(number("succeeded_at", well) > 0.0 && number("duration", well) > 0.0);

    // A failed job is a problem until one succeeds.
    wait_for_problem(&zabbix, &host, "Job failed: template of Acme");
    let again = ["job:create", "--template", &badly.to_string(), "--env", "CODE=0", "--queue"];
    stack.cli.create(again);
    eventually("the problem is over", || zabbix.problems(&host).is_empty().then_some(()));

    // One that has no schedule is expected to succeed only if the macro says so.
    let own = format!("{{$MULTIFLEXI.NO.SUCCESS:\"{badly}\"}}");
    let wish = json!({ "hostid": host, "macro": own, "value": "30s" });
    let own = zabbix.ask("usermacro.create", &wish)["hostmacroids"][0].clone();
    let late = "No success in time: template of Acme";
    wait_for_problem(&zabbix, &host, late);
    let late_ones = zabbix.problems(&host).iter().filter(|problem| *problem == late).count();
    assert_eq!(late_ones, 1, "of {badly} and not of {well}");
    zabbix.ask("usermacro.delete", &json!([own]));
    eventually("nothing is expected any more", || zabbix.problems(&host).is_empty().then_some(()));

    // While the server is away, for a minute, jobs run one after the other, and in the middle of
    // it the scheduler is killed.
    zabbix.stop();
    let begun = Instant::now();
    let mut jobs = Vec::new();
    let mut run_until = |stack: &Stack, time: Duration| {
        while begun.elapsed() < time {
            let job = stack.queued(templates[jobs.len() % 2]);
            stack.ended(job);
            jobs.push(job);
        }
    };
    run_until(&stack, AWAY / 2);
    let away = eventually("it is said that Zabbix is away", || {
        let status = stack.cli.json(["zabbix:status"]);
        (!status["away_since"].is_null() && status["behind"].as_i64() > Some(0)).then_some(status)
    });
    let reason = away["away_reason"].as_str().unwrap();
    assert!(reason.contains(&zabbix.address.to_string()), "{away}");
    stack.scheduler.restart();
    run_until(&stack, AWAY);
    assert_eq!(stack.cli.run(["zabbix:test"]).code, 69);
    zabbix.start_again();
    println!("Zabbix was away for {:?}: {} jobs ran", begun.elapsed(), jobs.len());
    wait_for_phases(&zabbix, &host, &templates, &jobs);
    eventually("Zabbix knows everything", || {
        let status = stack.cli.json(["zabbix:status"]);
        (status["behind"] == 0 && status["away_since"].is_null()).then_some(())
    });

    // Everything is evaluated by the server as it is meant.
    let wish = json!({ "hostids": host, "output": ["description", "error"] });
    for trigger in zabbix.ask("trigger.get", &wish).as_array().unwrap() {
        assert_eq!(trigger["error"], "", "{trigger}");
    }
    let wish = json!({ "hostids": host, "output": ["key_", "error"] });
    for method in ["item.get", "discoveryrule.get"] {
        for item in zabbix.ask(method, &wish).as_array().unwrap() {
            assert_eq!(item["error"], "", "{item}");
        }
    }
}

#[test]
#[ignore = "needs Zabbix: apt-get install postgresql zabbix-server-pgsql zabbix-frontend-php php-cli php-pgsql zabbix-agent"]
fn over_an_encrypted_connection_zabbix_hears_of_agents_queue_and_slow_jobs() {
    let zabbix = with_templates();
    let (identity, secret) = ("flexi key", "5a".repeat(32));
    let macros = [
        ("{$MULTIFLEXI.AGENT.GONE}", "2s"),
        ("{$MULTIFLEXI.QUEUE.STUCK}", "0"),
        ("{$MULTIFLEXI.LONGER.MIN}", "0"),
    ];
    let macros: Vec<Value> =
        macros.iter().map(|(name, value)| json!({ "macro": name, "value": value })).collect();
    let own = json!({
        "tls_accept": 2, "tls_psk_identity": identity, "tls_psk": secret, "macros": macros,
    });
    let host = zabbix.host("flexi", &[JOBS, SCHEDULER], &own);
    let branch = zabbix.host("Branch 1", &[JOBS], &own);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("psk");
    fs::write(&file, &secret).unwrap();
    let psk =
        [("ZABBIX_TLS_PSK_IDENTITY", identity), ("ZABBIX_TLS_PSK_FILE", file.to_str().unwrap())];
    let agent = AgentOptions { slots: 1, ..AgentOptions::default() };
    let mut stack = Stack::with(options(&zabbix, &psk), agent);
    let company = stack.company.to_string();
    let host_of_company = ["--slug", "acme", "--zabbix-host", "Branch 1"];
    stack.cli.json([&["company:update", &company][..], &host_of_company].concat());
    assert_eq!(stack.cli.json(["company:show", &company])["zabbix_host"], "Branch 1");
    eventually("the server knows the host", || {
        (stack.cli.run(["zabbix:test"]).code == 0).then_some(())
    });
    assert_eq!(stack.cli.json(["zabbix:status"])["encrypted"], true);

    // A company's jobs are on its own host.
    let template = stack.script("sleep $LONG", &["--env", "LONG=0"]);
    let first: Vec<i64> = (0..3).map(|_| stack.queued(template)).collect();
    wait_for_phases(&zabbix, &branch, &[template], &first);
    assert_eq!(zabbix.item(&host, &key(template)), None);
    let id = template.to_string();
    stack.cli.create(["job:create", "--template", &id, "--env", "LONG=1", "--queue"]);
    wait_for_problem(&zabbix, &branch, "Job took longer than usual: template of Acme");

    // An agent that goes is a problem.
    let other = AgentOptions { name: "south".to_owned(), ..AgentOptions::default() };
    let mut south = Agent::start(&folder.path().join("south"), &stack.scheduler.url(), other);
    eventually("the agent is discovered", || {
        let connected = "multiflexi.agent.connected[2]";
        (zabbix.item(&host, connected)?["lastvalue"] == "1").then_some(())
    });
    south.kill_all();
    wait_for_problem(&zabbix, &host, "Agent is gone: south");

    // So is a queue in which nothing moves.
    let words = ["job:create", "--template", &id, "--env", "LONG=600", "--queue", "--count", "40"];
    assert_eq!(stack.cli.run(words).code, 0);
    wait_for_problem(&zabbix, &host, "The queue is stuck");
    let size = zabbix.item(&host, "multiflexi.queue.ready").unwrap();
    assert_ne!(size["lastvalue"], "0");

    // A host that wants encryption is told nothing without.
    stack.scheduler.start_with(options(&zabbix, &[]));
    let answer = stack.cli.run(["zabbix:test"]);
    assert_eq!(answer.code, 66, "{}", answer.stderr);
    assert!(answer.stderr.contains("multiflexi.test"), "{}", answer.stderr);
}

#[test]
fn why_zabbix_is_away_is_the_reason_of_now() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let environment = [("ZABBIX_SERVER".to_owned(), address.to_string())].into();
    let options = SchedulerOptions { environment, ..SchedulerOptions::default() };
    let stack = Stack::with(options, AgentOptions::default());
    let away = |refused: bool| {
        eventually("it is said why", || {
            let status = stack.cli.json(["zabbix:status"]);
            let reason = status["away_reason"].as_str()?;
            (reason.contains("refused") == refused).then(|| status["away_since"].clone())
        })
    };
    let since = away(true);
    // Somebody is there who is no Zabbix.
    let listener = TcpListener::bind(address).unwrap();
    thread::spawn(move || {
        for client in listener.incoming() {
            let _ = client.and_then(|mut client| client.write_all(b"220 mail.example ESMTP\r\n"));
        }
    });
    assert_eq!(away(false), since);
}

#[test]
fn what_is_discovered_is_printed_for_zabbix_agents_and_without_a_server_nothing_is_told() {
    let stack = Stack::start();
    let template = stack.script("true", &[]);
    let job = stack.job(template);
    let discovered = |what: &str| {
        let answer = stack.cli.run(["zabbix:lld", what]);
        assert_eq!(answer.code, 0, "{}", answer.stderr);
        serde_json::from_str::<Value>(&answer.text()).unwrap()
    };
    assert_eq!(discovered("company")[0]["{#COMPANY_NAME}"], "Acme");
    assert_eq!(discovered("runtemplate")[0]["{#RUNTEMPLATE}"], template);
    assert_eq!(discovered("agent")[0]["{#AGENT_NAME}"], "agent");
    assert_eq!(discovered("action")[0]["{#RUN_TEMPLATE_ID}"], template);
    assert_eq!(discovered("job")[0]["{#JOB_ID}"], job);
    let status = stack.cli.json(["zabbix:status"]);
    assert_eq!((&status["server"], &status["cursor"]), (&Value::Null, &Value::Null));
    let answer = stack.cli.run(["zabbix:test"]);
    assert!(answer.stderr.contains("ZABBIX_SERVER"), "{}", answer.stderr);
}

#[test]
#[ignore = "needs Zabbix: apt-get install postgresql zabbix-server-pgsql zabbix-frontend-php php-cli php-pgsql zabbix-agent"]
fn an_action_sends_what_a_job_has_left_to_an_item_that_is_discovered() {
    let zabbix = with_templates();
    let host = zabbix.host("flexi", &[JOBS, SCHEDULER], &json!({}));
    let stack = Stack::with(options(&zabbix, &[]), AgentOptions::default());
    stack.cli.json(["company:update", &stack.company.to_string(), "--slug", "acme"]);
    let template = stack.script("echo 42 degrees", &[]);
    let id = template.to_string();
    let words = ["action:create", "--template", &id, "--kind", "Zabbix", "--on", "success"];
    stack.cli.create(words);
    let key = format!("zabbix_action[acme--{id}-data]");
    eventually("the item is discovered", || zabbix.item(&host, &key));
    stack.ended(stack.queued(template));
    let values = eventually("the result has arrived", || {
        Some(zabbix.values(&host, &key)).filter(|values| !values.is_empty())
    });
    assert_eq!(values[0]["value"].as_str().unwrap().trim(), "42 degrees");
}
