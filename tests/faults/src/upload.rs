//! A large artifact whose upload is cut again and again.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use multiflexi_fixture::{
    Agent, AgentOptions, Cli, Scheduler, SchedulerOptions, eventually,
    proxy::{Mode, Proxy},
};

use crate::fault::pause;

/// How often it is cut.
const CUTS: u64 = 5;

/// Uploads an artifact of so many MiB through cuts, and checks that it is whole and
/// that little was sent twice.
pub fn run(mebibytes: u64) -> anyhow::Result<()> {
    let folder = tempfile::Builder::new().prefix("mf-upload-").tempdir()?;
    let scheduler = Scheduler::start(&folder.path().join("data"), SchedulerOptions::default());
    let proxy = Proxy::start(scheduler.address)?;
    let agent_folder = folder.path().join("agent");
    let _agent = Agent::start(&agent_folder, &proxy.url(), AgentOptions::default());
    let cli = Cli::new(&scheduler.url());
    cli.create(["company:create", "--name", "Acme"]);
    let words = ["application:create", "--name", "sh", "--executable", "sh", "--cmdparams"];
    cli.create(words.into_iter().chain(["-c {SCRIPT}"]));
    let size = mebibytes << 20;
    let script = format!("SCRIPT=head -c {size} /dev/urandom > large; sha256sum < large");
    let words = ["runtemplate:create", "--name", "large", "--app", "1", "--company", "1", "--env"];
    cli.create(words.into_iter().chain([script.as_str()]));
    let job = cli.create(["job:create", "--template", "1", "--queue"]).to_string();
    eventually("the upload begins", || (proxy.sent() > 1 << 20).then_some(()));
    let begun = proxy.sent();
    for cut in 1..=CUTS {
        let goal = begun + size * cut / (CUTS + 1);
        while proxy.sent() < goal {
            pause(Duration::from_millis(1));
        }
        proxy.set(Mode::Cut);
        pause(Duration::from_millis(300));
        proxy.set(Mode::Pass);
    }
    let output = cli.run(["job:logs", &job, "--follow"]).text();
    let hash = output.split_whitespace().next().context("the job printed no hash")?;
    let shown = cli.json(["job:show", &job]);
    ensure!(shown["state"] == "succeeded", "the job is {}", shown["state"]);
    let list = cli.json(["artifact:list", "--job", &job]);
    let found = list["artifacts"].as_array().into_iter().flatten();
    let mut large = found.filter(|artifact| artifact["filename"] == "large");
    let large = large.next().context("the artifact is not there")?;
    ensure!(large["sha256"] == hash, "its hash is {} and should be {hash}", large["sha256"]);
    let verified = cli.run(["job:verify", &job]);
    ensure!(verified.code == 0, "{}", verified.text());
    let sent = proxy.sent();
    println!(
        "{mebibytes} MiB, cut {CUTS} times: {:.1} MiB sent in all, hash right",
        sent as f64 / 1048576.0
    );
    ensure!(sent * 10 < size * 12, "{sent} bytes were sent for {size}");
    Ok(())
}
