//! Traces: what a job's scheduler and agent send to a collector, and what its process is told.

use std::collections::{BTreeMap, BTreeSet};

use multiflexi_fixture::{
    AgentOptions, Answer, Collector, SchedulerOptions, Span, Stack, eventually, http,
    receiver::Receiver,
};
use serde_json::Value;

fn stack(environment: Vec<(String, String)>) -> Stack {
    let scheduler = SchedulerOptions {
        environment: environment.clone(),
        arguments: vec!["--metrics".to_owned(), "127.0.0.1:0".to_owned()],
        ..SchedulerOptions::default()
    };
    Stack::with(scheduler, AgentOptions { environment, ..AgentOptions::default() })
}

/// The spans of a job, once all of these have come.
fn spans(collector: &Collector, job: i64, awaited: &[&str]) -> Vec<Span> {
    eventually("all spans have come", || {
        let spans = collector.spans();
        let id = job.to_string();
        let of_job = |span: &Span| span.attributes.get("multiflexi.job.id") == Some(&id);
        let spans: Vec<Span> = spans.into_iter().filter(of_job).collect();
        let there = |name: &&str| spans.iter().any(|span| span.name == **name);
        awaited.iter().all(there).then_some(spans)
    })
}

fn one<'s>(spans: &'s [Span], name: &str) -> &'s Span {
    let found: Vec<&Span> = spans.iter().filter(|span| span.name == name).collect();
    assert_eq!(found.len(), 1, "{name} in {spans:#?}");
    found[0]
}

const ALL: [&str; 9] = [
    "submit",
    "queued",
    "dispatch",
    "attempt",
    "process",
    "upload",
    "output stored",
    "run_end",
    "action",
];

#[test]
fn a_web_hook_is_sent_the_trace_of_its_job() {
    let collector = Collector::start();
    let allowed = ("MULTIFLEXI_ALLOW_PRIVATE_REQUESTS".to_owned(), "127.0.0.0/8".to_owned());
    let stack = stack(collector.environment().into_iter().chain([allowed]).collect());
    let receiver = Receiver::start().unwrap();
    let template = stack.script("true", &[]);
    let (id, uri) = (template.to_string(), format!("uri={}/told", receiver.url()));
    let words = ["action:create", "--template", &id, "--kind", "WebHook", "--on", "always"];
    let created = stack.cli.run(words.into_iter().chain(["--set", &uri]));
    assert_eq!(created.code, 0, "{}", created.stderr);
    let job = stack.queued(template);
    let told = eventually("it was told", || receiver.told().into_iter().next());
    let spans = spans(&collector, job, &["action"]);
    let action = one(&spans, "action");
    assert_eq!(told.headers["traceparent"], format!("00-{}-{}-01", action.trace, action.id));
}

#[test]
fn a_job_is_one_trace_of_scheduler_and_agent_and_its_process_is_in_it() {
    let collector = Collector::start();
    let stack = stack(collector.environment());
    let template = stack.script("echo $TRACEPARENT; echo 1 > result.csv; exit 3", &[]);
    let id = template.to_string();
    let words = ["action:create", "--template", &id, "--kind", "Sleep", "--on", "fail"];
    let created = stack.cli.run(words.into_iter().chain(["--set", "seconds=0"]));
    assert_eq!(created.code, 0, "{}", created.stderr);
    let job = stack.job(template);
    let ran = stack.cli.run(["job:run", &job.to_string()]);
    assert_eq!(ran.code, 3, "{}", ran.stderr);
    let spans = spans(&collector, job, &ALL);

    let traces: BTreeSet<&str> = spans.iter().map(|span| span.trace.as_str()).collect();
    assert_eq!(traces.len(), 1, "{spans:#?}");
    let ids: BTreeSet<&str> = spans.iter().map(|span| span.id.as_str()).collect();
    assert_eq!(ids.len(), spans.len(), "each span has an id of its own: {spans:#?}");
    let submit = one(&spans, "submit");
    assert_eq!(submit.parent, "", "nothing is above");
    let of: BTreeMap<&str, (&str, &str)> = [
        ("queued", (submit.id.as_str(), "multiflexi-scheduler")),
        ("dispatch", (submit.id.as_str(), "multiflexi-scheduler")),
        ("attempt", (submit.id.as_str(), "multiflexi-agent")),
        ("process", (one(&spans, "attempt").id.as_str(), "multiflexi-agent")),
        ("upload", (one(&spans, "attempt").id.as_str(), "multiflexi-agent")),
        ("output stored", (submit.id.as_str(), "multiflexi-scheduler")),
        ("run_end", (submit.id.as_str(), "multiflexi-scheduler")),
        ("action", (submit.id.as_str(), "multiflexi-scheduler")),
    ]
    .into();
    for (name, (parent, service)) in of {
        let span = one(&spans, name);
        assert_eq!((span.parent.as_str(), span.service.as_str()), (parent, service), "{name}");
        assert!(span.times[0] <= span.times[1], "{span:?}");
    }
    let process = one(&spans, "process");
    assert_eq!(ran.text().trim(), format!("00-{}-{}-01", process.trace, process.id));
    assert_eq!(process.attributes["process.exit.code"], "3");
    assert!(process.failed && one(&spans, "run_end").failed && !one(&spans, "action").failed);
    assert_eq!(one(&spans, "upload").attributes["multiflexi.artifact.filename"], "result.csv");

    // It is the system's, and no one else's.
    let environment = stack.cli.json(["job:env", &job.to_string()]);
    let known = variable(&environment, "TRACEPARENT");
    assert_eq!(
        (known["value"].as_str(), known["layer"].as_str()),
        (Some(ran.text().trim()), Some("system"))
    );
}

fn variable(environment: &Value, name: &str) -> Value {
    let variables = environment["variables"].as_array().unwrap();
    let found = variables.iter().find(|variable| variable["name"] == name);
    found.unwrap_or_else(|| panic!("no {name} in {environment}")).clone()
}

#[test]
fn attempts_that_follow_one_another_share_the_trace_of_their_job() {
    let collector = Collector::start();
    let stack = stack(collector.environment());
    let template = stack.script(
        "echo $TRACEPARENT; test $MULTIFLEXI_ATTEMPT = 2",
        &["--max-attempts", "2", "--retry-min-gap", "1ms"],
    );
    let job = stack.queued(template);
    let spans = eventually("both attempts have ended", || {
        let spans = spans(&collector, job, &["run_end", "attempt"]);
        let ends = |name: &str| spans.iter().filter(|span| span.name == name).count() == 2;
        (ends("run_end") && ends("attempt") && ends("process")).then_some(spans)
    });
    let traces: BTreeSet<&str> = spans.iter().map(|span| span.trace.as_str()).collect();
    assert_eq!(traces.len(), 1, "{spans:#?}");
    let numbers = spans.iter().filter(|span| span.name == "process");
    let numbers: BTreeSet<&str> =
        numbers.map(|span| span.attributes["multiflexi.attempt"].as_str()).collect();
    assert_eq!(numbers, BTreeSet::from(["1", "2"]));
}

#[test]
fn an_agent_that_is_killed_sends_the_spans_of_what_went_on_when_it_is_back() {
    let collector = Collector::start();
    let mut stack = stack(collector.environment());
    let gate = stack.folder().join("gate");
    let script = format!("while [ ! -e {} ]; do sleep 0.05; done; echo 1 > file", gate.display());
    let job = stack.queued(stack.script(&script, &[]));
    eventually("it runs", || (stack.show(job)["state"] == "running").then_some(()));
    stack.agent.kill_session();
    stack.agent.start_again();
    stack.agent.wait_until_connected();
    std::fs::write(gate, "").unwrap();
    let spans = spans(&collector, job, &["process", "upload", "attempt", "run_end"]);
    assert_eq!(one(&spans, "process").parent, one(&spans, "attempt").id);
    assert_eq!(one(&spans, "process").trace, one(&spans, "run_end").trace);
}

#[test]
fn a_scheduler_that_is_killed_goes_on_with_the_trace_when_it_is_back() {
    let collector = Collector::start();
    let mut stack = stack(collector.environment());
    let gate = stack.folder().join("gate");
    let script = format!("while [ ! -e {} ]; do sleep 0.05; done; echo done", gate.display());
    let job = stack.queued(stack.script(&script, &[]));
    // What it has not sent yet goes with it.
    spans(&collector, job, &["submit", "queued", "dispatch"]);
    stack.scheduler.restart();
    eventually("its agent is back", || (stack.show(job)["state"] == "running").then_some(()));
    std::fs::write(gate, "").unwrap();
    let spans = spans(&collector, job, &["process", "attempt", "run_end", "output stored"]);
    let traces: BTreeSet<&str> = spans.iter().map(|span| span.trace.as_str()).collect();
    assert_eq!(traces.len(), 1, "{spans:#?}");
    assert_eq!(one(&spans, "run_end").parent, one(&spans, "submit").id);
}

#[test]
fn jobs_that_a_job_asks_for_are_in_its_trace_and_below_its_process() {
    let collector = Collector::start();
    let stack = stack(collector.environment());
    let template = stack.script("exit 0", &[]).to_string();
    let client = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let words = ["job:create", "--template", &template, "--queue", "-q"];
    let mut command = stack.cli.command(words);
    let output = command.env("TRACEPARENT", client).env("TRACESTATE", "a=b").output();
    let created = Answer::of(output.expect("the command line can be started"));
    assert_eq!(created.code, 0, "{}", created.stderr);
    let job: i64 = created.text().trim().parse().unwrap();
    let spans = spans(&collector, job, &["submit", "process", "attempt", "run_end"]);
    assert!(
        spans.iter().all(|span| span.trace == "4bf92f3577b34da6a3ce929d0e0e4736"),
        "{spans:#?}"
    );
    assert_eq!(one(&spans, "submit").parent, "00f067aa0ba902b7");
    let environment = stack.cli.json(["job:env", &job.to_string()]);
    assert_eq!(variable(&environment, "TRACESTATE")["value"], "a=b");
    let told = variable(&environment, "TRACEPARENT");
    let process = one(&spans, "process");
    assert_eq!(told["value"], format!("00-{}-{}-01", process.trace, process.id));
    assert_eq!(told["layer"], "system");
}

#[test]
fn what_the_sampler_leaves_out_is_not_sent_and_the_process_knows() {
    let collector = Collector::start();
    let mut environment = collector.environment();
    environment.push(("OTEL_TRACES_SAMPLER".to_owned(), "always_off".to_owned()));
    let stack = stack(environment);
    let (_, ran) = stack.run("echo $TRACEPARENT");
    assert!(ran.text().trim().ends_with("-00"), "{}", ran.text());
    // What is sent is sent by the time that a program has stopped.
    let Stack { mut scheduler, mut agent, .. } = stack;
    agent.terminate();
    scheduler.terminate();
    assert_eq!(collector.spans().len(), 0, "{:#?}", collector.spans());
}

#[test]
fn no_secret_is_in_a_span() {
    let collector = Collector::start();
    let stack = stack(collector.environment());
    let template = stack.script(
        "echo $PASSWORD; echo $PASSWORD >&2; echo $PASSWORD > file; exit 1",
        &["--secret", "PASSWORD=correct-horse-battery"],
    );
    let id = template.to_string();
    let words = ["action:create", "--template", &id, "--kind", "Sleep", "--on", "always"];
    assert_eq!(stack.cli.run(words.into_iter().chain(["--set", "seconds=0"])).code, 0);
    let job = stack.queued(template);
    let spans = spans(&collector, job, &ALL);
    assert!(!format!("{spans:?}").contains("correct-horse-battery"), "{spans:#?}");
}

#[test]
fn a_collector_that_is_away_holds_up_no_job_and_what_is_dropped_is_counted() {
    // Nobody listens there, and there is room for one span.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut environment = Collector::environment_at(nobody);
    environment.push(("OTEL_BSP_MAX_QUEUE_SIZE".to_owned(), "1".to_owned()));
    let stack = stack(environment);
    let template = stack.script("exit 0", &[]).to_string();
    stack.cli.json(["job:create", "--template", &template, "--count", "50", "--queue"]);
    eventually("all jobs have ended well", || {
        let listed = stack.cli.json(["job:list", "--state", "succeeded", "--all"]);
        (listed["jobs"].as_array()?.len() == 50).then_some(())
    });
    let metrics = multiflexi_fixture::metrics::endpoint(&stack.scheduler.log);
    let scraped = http::get(metrics, "/metrics").unwrap();
    let dropped =
        multiflexi_fixture::metrics::value(&scraped, "multiflexi_trace_spans_dropped_total");
    assert!(dropped > Some(50.0), "{dropped:?}");
}
