//! Actions that tell servers over TLS.

use std::fs;

use multiflexi_fixture::{
    Authority, SchedulerOptions, Stack, eventually,
    receiver::{Receiver, Told},
};
use serde_json::Value;

/// Lets a server be told of the jobs of a run template, once.
fn hook(stack: &Stack, template: i64, receiver: &Receiver) -> i64 {
    let (template, uri) = (template.to_string(), format!("uri={}/hook", receiver.url()));
    stack.cli.create([
        "action:create",
        "--template",
        &template,
        "--kind",
        "WebHook",
        "--on",
        "always",
        "--set",
        &uri,
        "--set",
        "max_attempts=1",
    ])
}

#[test]
fn a_server_is_told_if_its_certificate_is_of_an_authority_that_is_trusted() {
    let [ours, another] = ["ours", "another"].map(|name| Authority::new(name).unwrap());
    let folder = tempfile::Builder::new().prefix("mf-ca-").tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    fs::write(&file, ours.pem()).unwrap();
    let file = file.to_str().unwrap();
    let arguments = ["--allow-private-requests", "127.0.0.0/8", "--request-ca", file];
    let arguments = arguments.map(str::to_owned).into();
    let stack =
        Stack::with(SchedulerOptions { arguments, ..Default::default() }, Default::default());
    let certified = |authority: &Authority, host| {
        Receiver::start_tls(authority.certify(host).unwrap()).unwrap()
    };
    let trusted = certified(&ours, "127.0.0.1");
    let strange = certified(&another, "127.0.0.1");
    let misnamed = certified(&ours, "192.0.2.1");
    let template = stack.script("exit 0", &[]);
    let receivers = [&trusted, &strange, &misnamed];
    let hooks = receivers.map(|receiver| hook(&stack, template, receiver));
    let job = stack.cli.create(["job:create", "--template", &template.to_string(), "--queue"]);

    let listed = eventually("all are told or given up", || {
        let listed = stack.cli.json(["action:list", "--job", &job.to_string()]);
        let listed = listed["actions"].as_array().unwrap().clone();
        let all = listed.len() == hooks.len();
        (all && listed.iter().all(|one| one["ended"].is_string())).then_some(listed)
    });
    let of = |receiver: &Receiver| -> &Value {
        let named = |one: &&Value| one["outcome"].as_str().unwrap().contains(&receiver.url());
        listed.iter().find(named).unwrap_or_else(|| panic!("{}: {listed:#?}", receiver.url()))
    };
    let [Told { path, status: Some(200), .. }] = &trusted.told()[..] else {
        panic!("{:?}, {listed:#?}", trusted.told())
    };
    assert_eq!(path, "/hook");
    assert_eq!(listed.iter().filter(|one| one["state"] == "succeeded").count(), 1, "{listed:#?}");
    for (refused, why) in [(&strange, "UnknownIssuer"), (&misnamed, "not valid for")] {
        assert!(refused.told().is_empty(), "nothing is said to a stranger");
        let (state, outcome) = (&of(refused)["state"], of(refused)["outcome"].as_str().unwrap());
        assert_eq!(state, "failed", "{outcome}");
        assert!(outcome.contains("its certificate is not trusted"), "{outcome}");
        assert!(outcome.contains(why) && outcome.contains("--request-ca"), "{outcome}");
    }
}
