//! Files that are given to jobs as variables.

use std::{fs, path::Path, process::Command};

use multiflexi_fixture::{Stack, search};
use serde_json::json;

/// Names a file for `--file`.
fn of(name: &str, path: &Path) -> String {
    format!("{name}={}", path.display())
}

#[test]
fn a_file_is_delivered_for_the_jobs_user_alone_and_is_gone_afterwards() {
    let stack = Stack::start();
    let file = stack.folder().join("set tings.ini");
    fs::write(&file, "[a]\nb=\u{e9}\n").unwrap();
    let given = of("SETTINGS", &file);
    let script =
        "cat \"$SETTINGS\"; stat -c '%a %F' \"$SETTINGS\"; echo \"$1\"; echo \"$SETTINGS\"; ls";
    let script = format!("SCRIPT={script}");
    let more = ["--env", &script, "--env", "PLACE=in {SETTINGS}", "--file", &given];
    let template = stack.template("sh", "-c {SCRIPT} sh {PLACE}", &more).to_string();
    let shown = stack.cli.json(["runtemplate:show", &template]);
    let files = json!([
        {"name": "SETTINGS", "file_name": "set tings.ini", "size_bytes": 9, "secret": false}
    ]);
    assert_eq!(shown["files"], files);
    let job = stack.job(template.parse().unwrap());
    let answer = stack.cli.run(["job:run", &job.to_string()]);
    let text = answer.text();
    let mut lines = text.lines();
    assert_eq!(lines.by_ref().take(3).collect::<Vec<_>>(), ["[a]", "b=\u{e9}", "600 regular file"]);
    let (argument, path) = (lines.next().unwrap(), lines.next().unwrap());
    assert_eq!(argument, format!("in {path}"));
    assert!(path.ends_with("/files/SETTINGS/set tings.ini"), "{path}");
    assert_eq!(lines.next(), None, "the working directory is empty: {text}");
    assert!(!Path::new(path).exists());
    let artifacts = stack.cli.json(["artifact:list", "--job", &job.to_string()]);
    assert_eq!(artifacts["artifacts"].as_array().unwrap().len(), 2, "stdout and stderr");

    let env = stack.cli.json(["job:env", &job.to_string()]);
    let variables = env["variables"].as_array().unwrap();
    let settings = variables.iter().find(|one| one["name"] == "SETTINGS").unwrap();
    assert!(settings["file_name"] == "set tings.ini" && settings["size_bytes"] == 9, "{settings}");
    assert_eq!(settings["layer"], "run template");
}

#[test]
fn a_job_wins_with_a_file_over_its_template_and_with_a_text_over_a_file() {
    let stack = Stack::start();
    let (one, two) = (stack.folder().join("one"), stack.folder().join("two"));
    fs::write(&one, "first").unwrap();
    fs::write(&two, "second").unwrap();
    let template = stack.script("cat $FILE", &["--file", &of("FILE", &one)]).to_string();
    let words = ["job:create", "--template", &template];
    let file = of("FILE", &two);
    let job = stack.cli.create(words.iter().chain(&["--file", &file])).to_string();
    assert_eq!(stack.cli.run(["job:run", &job]).text(), "second");
    let text = of("FILE", &one);
    let job = stack.cli.create(words.iter().chain(&["--env", &text])).to_string();
    assert_eq!(stack.cli.run(["job:run", &job]).text(), "first");
    // And the template's can be taken back.
    stack.cli.json(["runtemplate:update", &template, "--unset", "FILE"]);
    let shown = stack.cli.json(["runtemplate:show", &template]);
    assert_eq!(shown["files"], json!([]));
}

#[test]
fn a_secret_file_is_sealed_masked_and_shown_to_nobody() {
    let stack = Stack::start();
    let file = stack.folder().join("key.pem");
    fs::write(&file, "-----BEGIN KEY-----\nc2VjcmV0IG9mIHRoZSBmaWxl\n-----END KEY-----\n").unwrap();
    let given = of("KEY", &file);
    let template = stack.script("sed -n 2p $KEY; basename $KEY", &["--secret-file", &given]);
    fs::remove_file(&file).unwrap();
    let job = stack.job(template).to_string();
    assert_eq!(stack.cli.run(["job:run", &job]).text(), "***\nkey.pem\n");
    let (_, found) = search(stack.folder(), "c2VjcmV0");
    assert!(found.is_empty(), "{found:?}");
    assert_eq!(stack.cli.json(["secret:rotate-key"])["secrets"], 1);
    assert_eq!(stack.cli.run(["job:run", &job]).text(), "***\nkey.pem\n");

    let script = stack.cli.run(["job:script", &job]).text();
    assert!(!script.contains("c2VjcmV0"), "{script}");
    let run = |caller: Option<&Path>| {
        let mut sh = Command::new("sh");
        sh.args(["-c", &script]).envs(caller.map(|path| ("KEY", path))).output().unwrap()
    };
    let without = String::from_utf8(run(None).stderr).unwrap();
    assert!(without.contains("set KEY to the path of the secret file"), "{without}");
    let mine = stack.folder().join("mine.pem");
    fs::write(&mine, "a\nmy own\n").unwrap();
    assert_eq!(String::from_utf8(run(Some(&mine)).stdout).unwrap(), "my own\nkey.pem\n");
}

#[test]
fn a_script_brings_the_files_along() {
    let stack = Stack::start();
    let file = stack.folder().join("100%.bin");
    let mut bytes: Vec<u8> = (0..=255).collect();
    bytes.extend(b"own_files multiflexi_files '$HOME' \\ %s\n".iter().cycle().take(40_000));
    fs::write(&file, &bytes).unwrap();
    let more = ["--secret-file", &of("DATA", &file)];
    let template = stack.template("sha256sum", "{DATA}", &more);
    let job = stack.job(template).to_string();
    let ran = stack.cli.run(["job:run", &job]).text();
    let script = stack.cli.run(["job:script", &job, "--with-secrets"]).text();
    let taken = Command::new("sh").args(["-c", &script]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&taken.stderr), "");
    let hash = |text: &str| text.split(' ').next().unwrap_or_default().to_owned();
    assert_eq!(hash(&String::from_utf8(taken.stdout).unwrap()), hash(&ran));
    assert_eq!(ran.len(), ran.trim_end().len() + 1);

    let said = stack.cli.run(["job:env-file", &job, "--with-secrets"]);
    assert!(said.stderr.contains("DATA is left out: it holds the path of a file"), "{said:?}");
}

#[test]
fn what_cannot_be_delivered_is_refused_with_the_reason() {
    let stack = Stack::start();
    let large = stack.folder().join("large");
    fs::write(&large, vec![b'x'; 4 * 1024 * 1024 + 1]).unwrap();
    let company = stack.company.to_string();
    let update = |file: &str| stack.cli.run(["company:update", &company, "--file", file]);
    let said = update(&of("BIG", &large));
    assert!(said.code == 64 && said.stderr.contains("larger than 4 MiB"), "{said:?}");
    let said = update("BIG=/nowhere/at/all");
    assert!(said.code == 64 && said.stderr.contains("/nowhere/at/all cannot be read"), "{said:?}");
    let half = stack.folder().join("half");
    fs::write(&half, vec![b'x'; 3 * 1024 * 1024]).unwrap();
    stack.cli.json(["company:update", &company, "--file", &of("ONE", &half)]);
    // Each of them alone is small enough, and together they are too large for a job.
    let template = stack.script("wc -c < $ONE", &["--file", &of("TWO", &half)]);
    let job = stack.job(template);
    assert_eq!(stack.cli.run(["job:run", &job.to_string()]).code, 78);
    let trouble = stack.show(job)["trouble"].as_str().unwrap().to_owned();
    assert!(trouble.contains("have 6291456 bytes together"), "{trouble}");
    stack.cli.json(["runtemplate:update", &template.to_string(), "--unset", "TWO"]);
    assert_eq!(stack.cli.run(["job:run", &job.to_string()]).text(), "3145728\n");
    // Many at once are offered in several messages.
    let words = ["job:create", "--template", &template.to_string(), "--count", "12"];
    stack.cli.json(words);
    let answer = stack.cli.json(["queue:process"]);
    assert_eq!(answer["failed"], 0, "{answer}");
}

#[test]
fn a_required_file_is_looked_for_before_the_program_is_started() {
    let stack = Stack::start();
    let file = stack.folder().join("app.json");
    let definition = json!({
        "name": "Careful", "description": "", "executable": "sh",
        "cmdparamsTemplate": "-c 'echo ran'",
        "environment": {"CERT": {"type": "file-path", "required": true}},
    });
    fs::write(&file, definition.to_string()).unwrap();
    let imported = stack.cli.json(["application:import-json", file.to_str().unwrap()]);
    let application = imported["applications"][0]["id"].to_string();
    let company = stack.company.to_string();
    let cert = stack.folder().join("cert.p12");
    let create = |value: &str| {
        let words = ["runtemplate:create", "--name", "c", "--app", &application];
        let words = words.into_iter().chain(["--company", &company, "--env", value]);
        stack.job(stack.cli.create(words)).to_string()
    };
    let job = create(&of("CERT", &cert));
    let answer = stack.cli.run(["job:run", &job]);
    let reason = format!("{}: no such file, which CERT says is there", cert.display());
    assert!(answer.code == 126 && answer.stderr.contains(&reason), "{answer:?}");
    fs::write(&cert, "x").unwrap();
    assert_eq!(stack.cli.run(["job:run", &job]).text(), "ran\n");
    // A relative path is the program's own business.
    assert_eq!(stack.cli.run(["job:run", &create("CERT=made/later")]).text(), "ran\n");
}

#[test]
fn what_the_agent_says_of_a_required_file_holds_no_secret() {
    let stack = Stack::start();
    let file = stack.folder().join("app.json");
    let definition = json!({
        "name": "Careful", "description": "", "executable": "true", "cmdparamsTemplate": "",
        "environment": {"FP": {"type": "file-path", "required": true}},
    });
    fs::write(&file, definition.to_string()).unwrap();
    let imported = stack.cli.json(["application:import-json", file.to_str().unwrap()]);
    let application = imported["applications"][0]["id"].to_string();
    let company = stack.company.to_string();
    for given in [
        &["--secret", "FP=/nonexistent/SecPath777"][..],
        &["--secret", "TOK=SecPath777", "--env", "FP=/nonexistent/{TOK}/x"],
    ] {
        let words = ["runtemplate:create", "--name", "c", "--app", &application];
        let words = words.into_iter().chain(["--company", &company]).chain(given.iter().copied());
        let job = stack.job(stack.cli.create(words)).to_string();
        let answer = stack.cli.run(["job:run", &job]);
        assert!(answer.code == 126, "{answer:?}");
        let trouble = stack.show(job.parse().unwrap())["trouble"].to_string();
        assert!(trouble.contains("no such file, which FP says is there"), "{trouble}");
        let told = answer.stderr + &stack.cli.run(["job:logs", &job]).stderr + &trouble;
        assert!(told.contains("***") && told.contains("which FP says"), "{told}");
        assert!(!told.contains("SecPath777"), "{told}");
    }
}
