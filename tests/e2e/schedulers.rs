//! Several schedulers on one PostgreSQL, or on one MariaDB.

use std::path::PathBuf;

use multiflexi_fixture::{
    Agent, AgentOptions, Cli, Lines, Scheduler, SchedulerOptions,
    database::{Database, Server},
    eventually,
};

/// Schedulers that share a database, and an agent of each.
struct Group {
    database: Database,
    agents: Vec<Agent>,
    schedulers: Vec<Scheduler>,
    // The server goes after those who use it.
    server: Server,
    folder: tempfile::TempDir,
}

impl Group {
    fn start(size: usize) -> Self {
        let folder = tempfile::Builder::new().prefix("mf-test-").tempdir().unwrap();
        let mut server = Server::start();
        let database = server.database();
        let environment = database.environment.clone();
        let data = folder.path().join("data");
        let options = SchedulerOptions { environment, ..SchedulerOptions::default() };
        let schedulers: Vec<_> =
            (0..size).map(|_| Scheduler::start(&data, options.clone())).collect();
        let mut group = Self { database, agents: Vec::new(), schedulers, server, folder };
        for number in 0..size {
            let url = group.schedulers[number].url();
            group.agent(number, &url);
        }
        group
    }

    fn agent(&mut self, number: usize, urls: &str) {
        let name = format!("agent-{number}");
        let options = AgentOptions { name, slots: 2, ..AgentOptions::default() };
        let folder = self.agent_folder(number);
        self.agents.push(Agent::start(&folder, urls, options));
    }

    fn agent_folder(&self, number: usize) -> PathBuf {
        self.folder.path().join(format!("agent-{number}"))
    }

    fn urls(&self) -> String {
        let urls: Vec<String> = self.schedulers.iter().map(Scheduler::url).collect();
        urls.join(",")
    }

    fn cli(&self, number: usize) -> Cli {
        Cli::new(&self.schedulers[number].url())
    }

    /// Says to all schedulers again and again what one of them says that is not there.
    fn announce(&self, piece: &str, times: usize) {
        match &self.server {
            Server::Postgres(server) => {
                let one = format!("SELECT pg_notify('multiflexi', '{piece}'), pg_sleep(0.01);\n");
                server.run_in(&self.database, &one.repeat(times));
            }
            Server::MariaDb(server) => {
                let name =
                    &self.database.environment.iter().find(|(name, _)| name == "DB_DATABASE");
                let name = name.map(|(_, name)| name.as_str()).unwrap_or_default();
                let one = format!(
                    "INSERT INTO announcement (said, at) VALUES ('{piece}', UNIX_TIMESTAMP() * 1000000); \
                     DO SLEEP(0.01);\n"
                );
                server.run(&format!("USE `{name}`;\n{}", one.repeat(times)));
            }
        }
    }

    /// A run template of a shell script.
    fn script(&self, script: &str) -> String {
        let cli = self.cli(0);
        let count = cli.json(["application:list"])["applications"].as_array().unwrap().len();
        let name = format!("app {count}");
        let words = ["application:create", "--name", &name, "--executable", "sh", "--cmdparams"];
        let application = cli.create(words.into_iter().chain(["-c {SCRIPT}"])).to_string();
        let company = match cli.json(["company:list"])["companies"][0]["id"].as_i64() {
            Some(company) => company,
            None => cli.create(["company:create", "--name", "Acme"]),
        };
        let (company, script) = (company.to_string(), format!("SCRIPT={script}"));
        let words = ["runtemplate:create", "--name", "t", "--app", &application];
        let more = ["--company", &company, "--env", &script];
        cli.create(words.into_iter().chain(more)).to_string()
    }
}

#[test]
#[ignore = "needs PostgreSQL: apt-get install postgresql"]
fn a_job_is_run_followed_and_cancelled_through_any_scheduler() {
    let group = Group::start(2);
    let template =
        group.script("i=0; while [ $i -lt 20 ]; do i=$((i+1)); echo $i; sleep 0.05; done");
    let expected: String = (1..=20).map(|line| format!("{line}\n")).collect();
    for number in [0, 1, 0, 1] {
        let job = group.cli(number).create(["job:create", "--template", &template]).to_string();
        let answer = group.cli(1 - number).run(["job:run", &job]);
        assert_eq!((answer.code, answer.text()), (0, expected.clone()), "{}", answer.stderr);
    }
    for cli in [group.cli(0), group.cli(1)] {
        let status = cli.json(["queue:status"]);
        assert!(status["agents_connected"] == 2 && status["slots_total"] == 4, "{status}");
    }

    // Live, through whichever scheduler has not the agent.
    let template = group.script("echo begun; exec sleep 1000");
    let job = group.cli(0).create(["job:create", "--template", &template, "--queue"]);
    group.cli(1).wait_for_state(job, "running");
    let job = job.to_string();
    let mut followers: Vec<_> =
        [0, 1].map(|number| group.cli(number).start(["job:logs", &job, "--follow"])).into();
    for follower in &mut followers {
        Lines::of(follower.stdout.take().unwrap()).at_least(1);
    }
    group.cli(0).json(["job:cancel", &job]);
    for follower in &mut followers {
        assert!(follower.wait().unwrap().success());
    }
    let template = group.script("exec sleep 1000");
    for number in [0, 1] {
        let job = group.cli(0).create(["job:create", "--template", &template, "--queue"]);
        group.cli(number).wait_for_state(job, "running");
        let cancelled = group.cli(number).json(["job:cancel", &job.to_string(), "--wait"]);
        assert_eq!(cancelled["state"], "cancelled");
    }
}

#[test]
#[ignore = "needs PostgreSQL: apt-get install postgresql"]
fn a_job_goes_on_when_its_agent_connects_to_another_scheduler() {
    let mut group = Group::start(2);
    group.agents.clear();
    let urls = group.urls();
    group.agent(7, &urls);
    let template = group.script(
        "i=0; while [ $i -lt 60 ]; do i=$((i+1)); echo $i; sleep 0.1; done; echo $i > file",
    );
    let cli = Cli::new(&urls);
    let job = cli.create(["job:create", "--template", &template]).to_string();
    let mut follower = cli.start(["job:run", &job]);
    let seen = Lines::of(follower.stdout.take().unwrap());
    seen.at_least(5);
    // Each is killed in turn, and with it the connection of whoever uses it.
    for number in [0, 1, 0, 1] {
        group.schedulers[number].restart();
        seen.at_least(seen.so_far().len() + 5);
    }
    assert!(follower.wait().unwrap().success());
    let expected: Vec<String> = (1..=60).map(|line: u32| line.to_string()).collect();
    assert_eq!(seen.at_least(60), expected);
    let shown = cli.json(["job:show", &job]);
    assert_eq!(shown["attempts"].as_array().unwrap().len(), 1, "{shown}");
    let artifacts = cli.json(["artifact:list", "--job", &job]);
    assert_eq!(artifacts["artifacts"].as_array().unwrap().len(), 3);
}

#[test]
#[ignore = "needs PostgreSQL: apt-get install postgresql"]
fn an_attempt_is_not_forgotten_because_of_news_that_come_late() {
    let group = Group::start(1);
    let template = group.script("yes | head -c 150000000");
    let job = group.cli(0).create(["job:create", "--template", &template, "--queue"]);
    // Its agent was with another scheduler, which says so when it is back here. It must not
    // matter when that is heard: also when the process has ended and its output is on the way.
    group.announce(&format!("{{\"from\":77,\"taken\":[[{job},1,1]]}}"), 300);
    group.cli(0).wait_for_state(job, "succeeded");
    let shown = group.cli(0).json(["job:show", &job.to_string()]);
    assert_eq!(shown["attempts"].as_array().unwrap().len(), 1, "{shown}");
}

#[test]
#[ignore = "needs PostgreSQL: apt-get install postgresql"]
fn what_a_killed_scheduler_had_is_looked_after_by_the_others() {
    let mut group = Group::start(2);
    let template = group.script("exec sleep 1000");
    let jobs: Vec<i64> = (0..4)
        .map(|_| group.cli(0).create(["job:create", "--template", &template, "--queue"]))
        .collect();
    for job in &jobs {
        group.cli(1).wait_for_state(*job, "running");
    }
    group.schedulers[0].kill();
    let cli = group.cli(1);
    let states = || -> Vec<String> {
        let state = |job: &i64| cli.json(["job:show", &job.to_string()])["state"].clone();
        jobs.iter().map(|job| state(job).as_str().unwrap().to_owned()).collect()
    };
    eventually("its agent's jobs are unreachable", || {
        let states = states();
        let of = |what: &str| states.iter().filter(|state| *state == what).count();
        (of("unreachable") == 2 && of("running") == 2).then_some(())
    });
    assert_eq!(cli.json(["queue:status"])["agents_connected"], 1);
}

#[test]
#[ignore = "needs PostgreSQL: apt-get install postgresql"]
fn a_database_that_is_away_for_thirty_seconds_costs_nothing() {
    let mut group = Group::start(2);
    let go = group.folder.path().join("go");
    let template = group.script(&format!(
        "i=0; until [ -e {} ]; do i=$((i+1)); echo $i; sleep 0.05; done; echo $i > count",
        go.display()
    ));
    let cli = group.cli(0);
    let words = ["job:create", "--template", &template, "--count", "4", "--queue"];
    let jobs = cli.json(words)["job_ids"].as_array().unwrap().clone();
    let jobs: Vec<i64> = jobs.iter().filter_map(serde_json::Value::as_i64).collect();
    for job in &jobs {
        cli.wait_for_state(*job, "running");
    }
    group.server.stop();
    let refused = cli.run(["job:create", "--template", &template]);
    assert!(refused.code != 0 && refused.stderr.contains("database is away"), "{}", refused.stderr);
    // The jobs end in the middle of it.
    outage();
    std::fs::File::create(&go).unwrap();
    outage();
    group.server.start_again();
    for job in &jobs {
        cli.wait_for_state(*job, "succeeded");
        let id = job.to_string();
        let shown = cli.json(["job:show", &id]);
        assert_eq!(shown["attempts"].as_array().unwrap().len(), 1, "{shown}");
        let printed = cli.run(["job:logs", &id]).text();
        let count = printed.lines().count();
        assert!(count > 100, "it went on: {count}");
        let numbers = printed.lines().map(|line| line.parse::<usize>().unwrap());
        assert!(numbers.eq(1..=count), "each line once, in order");
        let artifacts = cli.json(["artifact:list", "--job", &id]);
        let artifacts = artifacts["artifacts"].as_array().unwrap().clone();
        let file = artifacts.iter().find(|one| one["filename"] == "count").unwrap();
        let kept = cli.run(["artifact:get", &file["id"].to_string(), "--output", "-"]);
        assert_eq!(kept.text(), format!("{count}\n"), "{}", kept.stderr);
    }
    let after = cli.create(["job:create", "--template", &template]).to_string();
    assert_eq!(cli.run(["job:run", &after]).code, 0);
}

/// Half of the thirty seconds.
#[expect(clippy::disallowed_methods, reason = "that nothing happens for a while is the test")]
fn outage() {
    std::thread::sleep(std::time::Duration::from_secs(15));
}
