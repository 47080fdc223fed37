//! How runs went.

use multiflexi_fixture::Stack;

#[test]
fn the_newest_runs_are_summed_up() {
    let stack = Stack::start();
    let template = stack.script("exit $(cat code)", &[]);
    let code = stack.folder().join("code");
    let id = template.to_string();
    let script = format!("SCRIPT=exit $(cat {})", code.display());
    stack.cli.run(["runtemplate:update", &id, "--env", &script]);
    let stats = || stack.cli.json(["runtemplate:stats", &id]);
    let none = stats();
    assert_eq!((&none["runs"], &none["p50_seconds"]), (&0.into(), &serde_json::Value::Null));
    for exit_code in ["0", "0", "0", "0", "0", "3", "3"] {
        std::fs::write(&code, exit_code).unwrap();
        stack.ended(stack.queued(template));
    }
    let seen = stats();
    assert_eq!((&seen["runs"], &seen["succeeded"]), (&7.into(), &5.into()), "{seen}");
    assert_eq!(seen["streak"], 2);
    assert_eq!(seen["changed"], seen["ended"][1]["ended"]);
    assert_eq!(
        (&seen["ended"][0]["state"], &seen["ended"][0]["exit_code"]),
        (&"failed".into(), &3.into())
    );
    let usual = seen["usual_seconds"].as_f64().unwrap();
    assert!(usual >= seen["p50_seconds"].as_f64().unwrap() + 1.0, "{seen}");

    // One that takes longer than usual.
    let hang = "SCRIPT=until [ -e go ]; do sleep 0.05; done";
    stack.cli.run(["runtemplate:update", &id, "--env", hang]);
    let job = stack.queued(template);
    stack.cli.wait_for_state(job, "running");
    multiflexi_fixture::eventually("it takes longer than usual", || {
        let running = stats()["running"].clone();
        (running[0]["job_id"] == job && running[0]["long"] == true).then_some(())
    });
    let text = stack.cli.run(["runtemplate:stats", &id]).text();
    assert!(text.contains("longer than usual") && text.contains("xx"), "{text}");
    stack.cli.run(["job:cancel", &job.to_string(), "--wait"]);
    assert_eq!(stats()["runs"], 7, "what was cancelled is left out");
    let unknown = stack.cli.run(["runtemplate:stats", "99"]);
    assert_eq!(unknown.code, 66, "{}", unknown.stderr);
}
