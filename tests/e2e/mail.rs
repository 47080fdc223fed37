//! Actions that send mail.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use multiflexi_fixture::{MailServer, SchedulerOptions, Stack, eventually};
use serde_json::Value;

fn followed(stack: &Stack, job: i64) -> Vec<Value> {
    eventually("all that follows is done", || {
        let actions = stack.show(job)["actions"].as_array().unwrap().clone();
        actions.iter().all(|action| action["ended"].is_string()).then_some(actions)
    })
}

#[test]
#[ignore = "needs aiosmtpd: apt-get install python3-aiosmtpd"]
fn a_mail_reaches_its_reader_once_the_server_takes_it_and_shows_no_password() {
    let server = MailServer::start();
    let environment = [
        ("MULTIFLEXI_SMTP", server.url()),
        ("MULTIFLEXI_MAIL_FROM", "Jobs <jobs@example.org>".to_owned()),
        ("SSL_CERT_FILE", server.authority().display().to_string()),
    ];
    let environment = environment.map(|(name, value)| (name.to_owned(), value)).into();
    let options = SchedulerOptions { environment, ..Default::default() };
    let stack = Stack::with(options, Default::default());
    let template = stack.script("exit 3", &[]).to_string();
    let words = ["action:create", "--template", &template, "--kind", "Mail", "--on", "fail"];
    let tries = ["--set", "retry_backoff=fixed", "--set", "retry_min_gap=50ms"];
    let subject = "subject=\u{17d}lu\u{165}: {COMPANY_NAME} {STATE}\u{1f41b}";
    let to = ["--set", "to=Eve <eve@example.org>, bob@example.org", "--set", subject];
    stack.cli.create(words.iter().chain(&tries).chain(&to));
    let refused = ["--set", "to=nobody@example.org"];
    stack.cli.create(words.iter().chain(&tries).chain(&refused));
    let said = stack.cli.run(words.iter().chain(&["--set", "to=nobody"]));
    assert!(said.code == 65 && said.stderr.contains("to of Mail is \"nobody\""), "{said:?}");

    let job = stack.queued(template.parse().unwrap());
    stack.ended(job);
    eventually("it was told that the server is closed", || {
        let action = stack.show(job)["actions"][0].clone();
        let outcome = action["outcome"].as_str().unwrap_or_default().to_owned();
        (outcome.contains("451") && action["tries"].as_i64() > Some(1)).then_some(())
    });
    assert!(server.mails().is_empty());
    server.open();
    let done = followed(&stack, job);
    assert_eq!(done[0]["state"], "succeeded", "{done:?}");
    let outcome = done[0]["outcome"].as_str().unwrap();
    assert!(outcome.starts_with(&format!("{} took a mail for Eve", server.name())), "{outcome}");
    let refused = &done[1];
    assert!(refused["state"] == "failed" && refused["tries"] == 1, "{refused}");
    assert!(refused["outcome"].as_str().unwrap().contains("no such user here"), "{refused}");
    let mails = server.mails();
    assert_eq!(mails.len(), 1, "{mails:?}");
    let mail = &mails[0];
    for part in [
        "From: Jobs <jobs@example.org>",
        "To: Eve <eve@example.org>,\n bob@example.org",
        "Subject: =?utf-8?b?",
        "Message-ID: <",
        "X-RcptTo: eve@example.org, bob@example.org",
    ] {
        assert!(mail.contains(part), "{part:?} is not in {mail}");
    }
    let body: String = mail.split_once("\n\n").unwrap().1.split_whitespace().collect();
    let body = String::from_utf8(STANDARD.decode(body).unwrap()).unwrap();
    assert!(body.contains("Exit code: 3"), "{body}");
    let log = stack.scheduler.log.so_far().join("\n");
    let shown = stack.cli.run(["job:show", &job.to_string()]).text();
    for text in [&log, &shown] {
        assert!(!text.contains("p@ss") && !text.contains("p%40ss"), "{text}");
    }
}

#[test]
fn mail_without_a_server_is_refused_at_the_door() {
    let stack = Stack::start();
    let template = stack.script("exit 3", &[]).to_string();
    let words = ["action:create", "--template", &template, "--kind", "Mail", "--on", "fail"];
    let said = stack.cli.run(words.iter().chain(&["--set", "to=eve@example.org"]));
    assert!(said.code == 65 && said.stderr.contains("MULTIFLEXI_SMTP"), "{said:?}");
}
