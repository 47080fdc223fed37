//! One long job through a new agent program, a scheduler that is down, and a
//! connection that swallows everything; its follower reconnects by itself.

use std::{fs, path::PathBuf, time::Duration};

use anyhow::ensure;
use multiflexi_fixture::{
    Agent, AgentOptions, Cli, Lines, Scheduler, SchedulerOptions, processes, programs,
    proxy::{Mode, Proxy},
};

use crate::fault::pause;

/// Runs a job of five times `outage`, with two outages of that length.
#[expect(clippy::zombie_processes, reason = "an error ends this program, and so its children")]
pub fn run(outage: Duration) -> anyhow::Result<()> {
    let folder = tempfile::Builder::new().prefix("mf-outages-").tempdir()?;
    let mut scheduler = Scheduler::start(&folder.path().join("data"), SchedulerOptions::default());
    let proxy = Proxy::start(scheduler.address)?;
    let program = folder.path().join("multiflexi-agent");
    install(&program)?;
    let options = AgentOptions { program: Some(program.clone()), ..AgentOptions::default() };
    let mut agent = Agent::start(&folder.path().join("agent"), &proxy.url(), options);
    let cli = Cli::new(&scheduler.url());
    cli.create(["company:create", "--name", "Acme"]);
    let words = ["application:create", "--name", "sh", "--executable", "sh", "--cmdparams"];
    cli.create(words.into_iter().chain(["-c {SCRIPT}"]));
    let lines = u64::try_from(outage.as_millis() * 5 / 100)?;
    let script = format!(
        "SCRIPT=i=0; while [ $i -lt {lines} ]; do i=$((i+1)); echo $i; sleep 0.1; done; echo $i > n"
    );
    let words = ["runtemplate:create", "--name", "long", "--app", "1", "--company", "1", "--env"];
    cli.create(words.into_iter().chain([script.as_str()]));
    let job = cli.create(["job:create", "--template", "1"]).to_string();
    let mut follower = cli.start(["job:run", &job]);
    let seen = Lines::of(follower.stdout.take().expect("it is piped"));
    seen.at_least(3);

    println!("the agent's program is replaced");
    install(&program)?;
    processes::signal(agent.pid(), rustix::process::Signal::HUP);
    agent.wait();
    agent.start_again();
    pause(outage / 4);

    println!("the scheduler is down for {outage:?}");
    scheduler.kill();
    pause(outage);
    scheduler.restart();
    pause(outage / 4);

    println!("the connection swallows everything for {outage:?}");
    proxy.set(Mode::BlackHole);
    pause(outage);
    proxy.set(Mode::Pass);

    let status = follower.wait()?;
    ensure!(status.success(), "the follower ended with {status}");
    let seen = seen.at_least(usize::MAX);
    let expected: Vec<String> = (1..=lines).map(|line| line.to_string()).collect();
    ensure!(seen == expected, "the follower saw {} lines of {lines}", seen.len());
    let shown = cli.json(["job:show", &job]);
    ensure!(shown["state"] == "succeeded" && shown["attempt"] == 1, "{shown}");
    println!("{lines} lines, each seen once, in one attempt");
    Ok(())
}

/// Puts another file with the agent's program in the place of the one that runs.
fn install(program: &PathBuf) -> anyhow::Result<()> {
    let new = program.with_extension("new");
    fs::copy(programs::agent(), &new)?;
    fs::rename(new, program)?;
    Ok(())
}
