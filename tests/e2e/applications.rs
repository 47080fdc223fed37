//! Applications and their definitions.

use std::{fs, path::PathBuf};

use multiflexi_fixture::{Stack, eventually, search};
use serde_json::Value;

/// A definition with a bit of everything.
const DEFINITION: &str = r#"{
  "name": {"en": "Weather", "cs": "Počasí"},
  "description": "Says what the weather will be.",
  "executable": "sh",
  "cmdparamsTemplate": "-c ${SCRIPT}",
  "uuid": "1f0c7a52-5e7c-4a86-9d5b-0c5f3a6b7d11",
  "version": "1.2.3",
  "homepage": "https://weather.example/",
  "environment": {
    "SCRIPT": {"type": "string", "defval": "echo $PLACE at $DEGREES; echo $KEY | wc -c; exit $CODE"},
    "PLACE": {"type": "string", "description": "Where", "required": true},
    "DEGREES": {"type": "integer", "description": "How warm", "defval": "20"},
    "CODE": {"type": "integer", "defval": "0"},
    "KEY": {"type": "password", "description": "What opens the door"}
  },
  "exitCodes": {
    "0": {"description": "it is known", "severity": "success"},
    "75": {"description": "the station sleeps", "severity": "warning", "retry": true}
  }
}"#;

fn import(stack: &Stack, document: &str) -> i64 {
    let file = stack.folder().join("definition.json");
    fs::write(&file, document).unwrap();
    let imported = stack.cli.json(["application:import-json", file.to_str().unwrap()]);
    imported["applications"][0]["id"].as_i64().unwrap()
}

fn template(stack: &Stack, application: i64, more: &[&str]) -> i64 {
    let (application, company) = (application.to_string(), stack.company.to_string());
    let words = ["runtemplate:create", "--name", "weather", "--app", &application];
    let words = words.into_iter().chain(["--company", &company]).chain(more.iter().copied());
    stack.cli.create(words)
}

#[test]
fn a_definition_is_imported_shown_changed_and_exported() {
    let stack = Stack::start();
    let id = import(&stack, DEFINITION).to_string();
    let shown = stack.cli.json(["application:show", &id]);
    assert!(shown["name"] == "Weather" && shown["version"] == "1.2.3", "{shown}");
    let fields = stack.cli.json(["application:show-config", &id]);
    let fields = fields["fields"].as_array().unwrap();
    let place = fields.iter().find(|field| field["name"] == "PLACE").unwrap();
    assert!(place["required"] == true && place["type"] == "string", "{place}");
    let export = |id: &str| -> Value {
        serde_json::from_str(&stack.cli.run(["application:export-json", id]).text()).unwrap()
    };
    assert_eq!(export(&id), serde_json::from_str::<Value>(DEFINITION).unwrap());

    let file = stack.folder().join("definition.json");
    let again = stack.cli.json(["application:import-json", file.to_str().unwrap()]);
    assert!(again["unchanged"] == 1 && again["applications"][0]["id"] == shown["id"], "{again}");
    stack.cli.json(["application:update", &id, "--app-version", "2.0", "--homepage", ""]);
    let changed = export(&id);
    assert!(changed["version"] == "2.0" && changed.get("homepage").is_none(), "{changed}");
    let bad = stack.cli.run(["application:update", &id, "--app-version", "two"]);
    assert!(bad.code == 65 && bad.stderr.contains("two"), "{}", bad.stderr);
    assert_eq!(export(&id), changed, "a change that is refused changes nothing");
    let again = stack.cli.json(["application:import-json", file.to_str().unwrap()]);
    assert_eq!(again["changed"], 1, "the UUID says that it is the same application");
    assert_eq!(export(&id)["version"], "1.2.3");
}

#[test]
fn an_application_that_is_made_by_hand_says_what_one_that_is_imported_can() {
    let stack = Stack::start();
    let id = stack.cli.create([
        "application:create",
        "--name",
        "Weather",
        "--executable",
        "sh",
        "--title",
        "The weather",
        "--description",
        "Tells it",
        "--app-version",
        "1.2",
        "--homepage",
        "https://example.com/",
        "--tag",
        "sky",
        "--tag",
        "rain",
        "--requires",
        "Station",
    ]);
    let id = id.to_string();
    let shown = stack.cli.json(["application:show", &id]);
    assert!(shown["title"] == "The weather" && shown["version"] == "1.2", "{shown}");
    assert_eq!(shown["tags"], serde_json::json!(["sky", "rain"]));
    assert_eq!(shown["requirements"], serde_json::json!(["Station"]));
    let found = stack.cli.json(["application:list", "--tag", "rain"]);
    assert_eq!(found["applications"][0]["name"], "Weather");
    let changed = stack.cli.json(["application:update", &id, "--tag", "", "--title", ""]);
    assert!(changed["tags"] == serde_json::json!([]) && changed["title"].is_null(), "{changed}");
    assert_eq!(changed["requirements"], serde_json::json!(["Station"]), "it stays");
    let create = ["application:create", "--name", "n", "--executable", "x", "--app-version", "two"];
    let bad = stack.cli.run(create);
    assert!(bad.code == 65 && bad.stderr.contains("two"), "{}", bad.stderr);
}

#[test]
fn every_fault_of_a_definition_is_named_with_its_place() {
    let stack = Stack::start();
    let file = stack.folder().join("bad.json");
    let bad = r#"{"name": "", "executable": "x", "environment":
        {"A": {"type": "strin"}, "B": {"type": "set"}}, "version": "one"}"#;
    fs::write(&file, bad).unwrap();
    let file = file.to_str().unwrap();
    let answer = stack.cli.run(["application:validate-json", file]);
    assert_eq!(answer.code, 65);
    for place in ["name", "environment.A.type", "version"] {
        assert!(answer.text().contains(&format!("{place}:")), "{place}: {}", answer.text());
    }
    let refused = stack.cli.run(["application:import-json", file]);
    assert!(refused.code == 65 && refused.stderr.contains("environment.A.type"));
    assert_eq!(stack.cli.json(["application:list"])["applications"].as_array().unwrap().len(), 0);
    let answer = stack.cli.run(["application:validate-json", "/there/is/nothing"]);
    assert!(answer.code == 65 && answer.text().contains("cannot be read"), "{}", answer.text());
}

#[test]
fn a_job_has_the_defaults_and_is_checked_before_it_is_launched() {
    let stack = Stack::start();
    let application = import(&stack, DEFINITION);
    let company = stack.company.to_string();
    stack.cli.json(["company:update", &company, "--env", "DEGREES=warm"]);
    let incomplete = stack.job(template(&stack, application, &[]));
    let answer = stack.cli.run(["job:run", &incomplete.to_string()]);
    assert_eq!(answer.code, 78, "{}", answer.stderr);
    let trouble = stack.show(incomplete)["trouble"].as_str().unwrap().to_owned();
    assert!(trouble.contains("PLACE is required") && trouble.contains("DEGREES"), "{trouble}");
    stack.cli.json(["company:update", &company, "--unset", "DEGREES"]);

    let complete = template(&stack, application, &["--env", "PLACE=Brno"]);
    let answer = stack.cli.run(["job:run", &stack.job(complete).to_string()]);
    assert_eq!(answer.text(), "Brno at 20\n1\n");
    stack.cli.json(["company:update", &company, "--env", "DEGREES=5", "--env", "PLACE=Praha"]);
    let answer = stack.cli.run(["job:run", &stack.job(complete).to_string()]);
    assert_eq!(answer.text(), "Brno at 5\n1\n", "application < company < run template");
}

#[test]
fn a_value_with_which_no_job_could_run_is_refused_when_it_is_given() {
    let stack = Stack::start();
    let application = import(&stack, DEFINITION);
    let good = template(&stack, application, &["--env", "PLACE=Brno"]).to_string();
    let (application, company) = (application.to_string(), stack.company.to_string());
    let create = ["runtemplate:create", "--name", "bad", "--app", &application, "--company"];
    let create = [&create[..], &[&company]].concat();
    for command in
        [&create[..], &["runtemplate:update", &good], &["job:create", "--template", &good]]
    {
        let refused = stack.cli.run(command.iter().copied().chain(["--env", "DEGREES=warm"]));
        assert!(refused.code == 65 && refused.stderr.contains("DEGREES: "), "{}", refused.stderr);
        assert_eq!(refused.stdout, b"");
    }
    // What it will be is not known yet.
    stack.cli.json(["runtemplate:update", &good, "--env", "DEGREES={WARMTH}"]);
}

#[test]
fn exit_codes_mean_what_the_application_declares() {
    let stack = Stack::start();
    let application = import(&stack, DEFINITION);
    let retries = ["--max-attempts", "2", "--retry-on", "lost", "--retry-backoff", "none"];
    let more = [&["--env", "PLACE=Brno", "--env", "CODE=75"][..], &retries].concat();
    let job = stack.job(template(&stack, application, &more));
    assert_eq!(stack.cli.run(["job:run", &job.to_string()]).code, 75);
    let shown = stack.show(job);
    assert_eq!(shown["attempt"], 2, "the application says that 75 is retried");
    assert!(shown["meaning"] == "the station sleeps" && shown["severity"] == "warning", "{shown}");
}

/// Real definitions, if they are on this machine.
fn real_definitions() -> Option<Vec<PathBuf>> {
    let folder = std::env::var_os("MULTIFLEXI_TEST_APPLICATIONS").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/apps"),
        PathBuf::from,
    );
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder).ok()?.map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    (!files.is_empty()).then_some(files)
}

#[test]
fn every_real_definition_is_imported_or_refused_with_a_reason() {
    let Some(files) = real_definitions() else {
        println!("NOT RUN: no definitions here; name their folder in MULTIFLEXI_TEST_APPLICATIONS");
        return;
    };
    let stack = Stack::start();
    let (mut imported, mut refused) = (0, 0);
    for file in &files {
        let answer =
            stack.cli.run(["application:import-json", file.to_str().unwrap(), "-f", "json"]);
        let told: Value = serde_json::from_slice(&answer.stdout).unwrap();
        let one = &told["applications"][0];
        if one["outcome"] == "refused" {
            refused += 1;
            println!("{}: {}", file.display(), one["reason"]);
            assert_eq!(answer.code, 65);
            // What is refused is no definition of an application, or is there to be invalid.
            let name = file.file_name().unwrap().to_string_lossy();
            let is_definition = name.ends_with(".app.json") && !name.contains("invalid");
            assert!(!is_definition, "{name}: {}", one["reason"]);
            continue;
        }
        imported += 1;
        assert_eq!(answer.code, 0, "{}", answer.stderr);
        let id = one["id"].to_string();
        let exported = stack.cli.run(["application:export-json", &id]).text();
        let exported: Value = serde_json::from_str(&exported).unwrap();
        let original: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
        assert_eq!(exported, original, "{}", file.display());
    }
    println!("{} definitions: {imported} imported, {refused} refused", files.len());
}

#[test]
fn a_secret_is_in_no_output_no_listing_no_spool_and_no_command_line() {
    let secret = "open sesame/\"42\"";
    let document = DEFINITION.replace(
        "echo $PLACE at $DEGREES; echo $KEY | wc -c; exit $CODE",
        "printf 'raw %s\\\\n' \\\"$KEY\\\"; printf %s \\\"$KEY\\\" | base64; \
         printf %s \\\"$KEY\\\" | od -An -tx1 | tr -d ' \\\\n'; echo; \
         for half in 'open sesa' 'me/\\\"42\\\"'; do printf %s \\\"$half\\\"; sleep 0.2; done >&2",
    );
    let stack = Stack::start();
    let application = import(&stack, &document);
    let variable = format!("KEY={secret}");
    let template = template(&stack, application, &["--env", "PLACE=Brno", "--env", &variable]);
    let job = stack.job(template);
    let answer = stack.cli.run(["job:run", &job.to_string()]);
    assert_eq!(answer.code, 0, "{}", answer.stderr);
    assert_eq!(answer.text(), "raw ***\n***\n***\n");
    assert!(answer.stderr.starts_with("***"), "{}", answer.stderr);

    let env = stack.cli.json(["job:env", &job.to_string()]);
    let variables = env["variables"].as_array().unwrap();
    let of = |name: &str| variables.iter().find(|variable| variable["name"] == name).unwrap();
    assert!(of("KEY")["value"] == "***" && of("KEY")["secret"] == true, "{env}");
    assert!(of("PLACE")["layer"] == "run template" && of("CODE")["layer"] == "application");
    assert_eq!(of("MULTIFLEXI_JOB_ID")["layer"], "system");
    for words in [["job:show", &job.to_string()], ["runtemplate:show", &template.to_string()]] {
        let shown = stack.cli.run(words).text();
        assert!(!shown.contains("sesame"), "{shown}");
    }

    let shows = DEFINITION.replace("-c ${SCRIPT}", "-c ${SCRIPT} sh {KEY}");
    let application =
        import(&stack, &shows.replace("1f0c7a52", "2f0c7a52").replace("Weather", "W"));
    let template =
        self::template(&stack, application, &["--env", "PLACE=Brno", "--env", &variable]);
    let refused = stack.job(template);
    assert_eq!(stack.cli.run(["job:run", &refused.to_string()]).code, 78);
    let trouble = stack.show(refused)["trouble"].as_str().unwrap().to_owned();
    assert!(trouble.contains("KEY") && !trouble.contains("sesame"), "{trouble}");
}

#[test]
fn a_secret_is_sealed_in_the_database_and_its_key_is_not_there() {
    let stack = Stack::start();
    let company = stack.company.to_string();
    stack.cli.json(["company:update", &company, "--secret", "TOKEN=token-of-the-company"]);
    let template = stack.script("echo $TOKEN $WORD $KEY; echo ${#TOKEN} ${#WORD} ${#KEY}", &[]);
    let template = template.to_string();
    stack.cli.json(["runtemplate:update", &template, "--secret", "WORD=word-of-the-template"]);
    let words = ["job:create", "--template", &template, "--secret", "KEY"];
    let created = stack.cli.command(words).env("KEY", "key-of-the-job").output().unwrap();
    assert!(created.status.success(), "{}", String::from_utf8_lossy(&created.stderr));
    let output = stack.cli.run(["job:run", "1"]).text();
    assert_eq!(output, "*** *** ***\n20 20 14\n");
    for words in [["company:show", &company], ["runtemplate:show", &template], ["job:show", "1"]] {
        let shown = stack.cli.run(words).text();
        assert!(shown.contains("***") && !shown.contains("-of-the-"), "{shown}");
    }
    for secret in ["token-of-the-company", "word-of-the-template", "key-of-the-job"] {
        let (files, found) = search(stack.folder(), secret);
        assert!(files >= 3, "the database and its log, and the keys");
        assert!(found.is_empty(), "{secret} is in {found:?}");
    }

    let keys = stack.folder().join("data/secrets.keys");
    let before = fs::read_to_string(&keys).unwrap();
    assert_eq!(stack.cli.json(["secret:rotate-key"])["secrets"], 3);
    let after = fs::read_to_string(&keys).unwrap();
    assert!(before.lines().count() == 1 && after.lines().count() == 1 && before != after);
    assert_eq!(stack.cli.run(["job:run", "1"]).text(), "*** *** ***\n20 20 14\n");
}

#[test]
fn a_secret_is_in_no_file_and_no_process_title_in_whatever_form_it_is_printed() {
    let stack = Stack::start();
    let go = stack.folder().join("go");
    let script = format!(
        r#"printf '%s\n' "$KEY"; printf %s "$KEY" | base64; printf %s "$KEY" | od -An -tx1 | tr -d ' \n'
        printf '\n%s\n' "$KEY" | sed 's/ /%20/g; s|/|%2F|g; s/"/%22/g'
        printf '%s\n' "$KEY" | sed 's/"/\\"/g'
        printf 'open ses'; sleep 0.1; printf 'ame/"77"\n'
        while [ ! -e '{}' ]; do sleep 0.05; done"#,
        go.display()
    );
    let forms = [
        "open sesame/\"77\"",
        "b3BlbiBzZXNhbWUvIjc3Ig==",
        "6f70656e20736573616d652f22373722",
        "open%20sesame%2F%2277%22",
        r#"open sesame/\"77\""#,
    ];
    // What is printed in halves is not in the script.
    let script = script.replace("'open ses'", "'%s' \"${KEY%ame*}\"");
    let script = script.replace("'ame/\"77\"\\n'", "'%s\\n' \"${KEY#open ses}\"");
    let template = stack.script(&script, &["--secret", &format!("KEY={}", forms[0])]);
    let job = stack.cli.create(["job:create", "--template", &template.to_string(), "--queue"]);
    let job = job.to_string();
    eventually("all forms are printed", || {
        let told = stack.cli.run(["job:logs", &job]).text();
        (told == "***\n".repeat(6)).then_some(())
    });
    let nowhere = |when: &str| {
        for form in forms {
            let (files, found) = search(stack.folder(), form);
            assert!(files >= 3 && found.is_empty(), "{when}: {form} is in {found:?}");
        }
        for process in fs::read_dir("/proc").unwrap() {
            let title = fs::read(process.unwrap().path().join("cmdline")).unwrap_or_default();
            let title = String::from_utf8_lossy(&title);
            assert!(!title.contains(forms[0]), "{when}: {title}");
        }
        let logs = [stack.scheduler.log.so_far(), stack.agent.log.so_far()].concat().join("\n");
        assert!(!forms.iter().any(|form| logs.contains(form)), "{when}: {logs}");
    };
    nowhere("while it runs");
    fs::write(&go, "").unwrap();
    stack.cli.wait_for_state(job.parse().unwrap(), "succeeded");
    nowhere("when it has ended");
}

#[test]
fn the_default_of_a_secret_is_in_no_file_and_exported_as_it_was_imported() {
    let stack = Stack::start();
    let document = DEFINITION
        .replace(r#""type": "password""#, r#""type": "password", "defval": "open sesame""#);
    assert_ne!(document, DEFINITION);
    let file = stack.folder().join("default.multiflexi.app.json");
    fs::write(&file, &document).unwrap();
    let checked = stack.cli.run(["application:validate-json", &file.display().to_string()]);
    assert!(checked.text().contains("whoever has this document knows it"), "{}", checked.text());
    fs::remove_file(&file).unwrap();
    let application = import(&stack, &document);
    let template = template(&stack, application, &["--env", "PLACE=Brno"]);
    let job = stack.job(template);
    assert_eq!(stack.cli.run(["job:run", &job.to_string()]).text(), "Brno at 20\n12\n");
    let (files, found) = search(&stack.folder().join("data"), "open sesame");
    assert!(files >= 3 && found.is_empty(), "it is in {found:?}");
    let exported = stack.cli.run(["application:export-json", &application.to_string()]).text();
    let [exported, document]: [Value; 2] =
        [&exported, &document].map(|text| serde_json::from_str(text).unwrap());
    assert_eq!(exported, document);
}

#[test]
fn what_a_new_definition_declares_secret_is_sealed_though_it_was_there_before() {
    let stack = Stack::start();
    let plain = DEFINITION.replace("\"password\"", "\"string\"");
    let application = import(&stack, &plain);
    let template = template(&stack, application, &["--env", "KEY=open", "--env", "PLACE=Brno"]);
    let template = template.to_string();
    assert_eq!(stack.cli.json(["runtemplate:show", &template])["environment"]["KEY"], "open");
    assert_eq!(import(&stack, DEFINITION), application);
    let shown = stack.cli.json(["runtemplate:show", &template]);
    assert!(shown["environment"]["KEY"] == "***" && shown["environment"]["PLACE"] == "Brno");
    assert_eq!(stack.cli.json(["secret:rotate-key"])["secrets"], 1, "it is sealed");
    let job = stack.job(template.parse().unwrap()).to_string();
    assert_eq!(stack.cli.run(["job:run", &job]).text(), "Brno at 20\n5\n");
}

#[test]
fn what_old_jobs_carry_is_sealed_too_though_the_scheduler_is_killed_meanwhile() {
    let mut stack = Stack::start();
    let plain = DEFINITION.replace("\"password\"", "\"string\"");
    let application = import(&stack, &plain);
    let company = stack.company.to_string();
    stack.cli.json(["company:update", &company, "--env", "KEY=key-of-the-company"]);
    let template = template(&stack, application, &["--env", "PLACE=Brno"]).to_string();
    let create = ["job:create", "--template", &template, "--env", "KEY=key-of-many-jobs"];
    stack.cli.json(create.into_iter().chain(["--count", "20000"]));
    let long = format!("KEY={}", "key-of-one-job ".repeat(4000));
    let long = stack.cli.create(["job:create", "--template", &template, "--env", &long]);
    let secrets = ["key-of-many-jobs", "key-of-one-job", "key-of-the-company"];
    let data = stack.folder().join("data");
    for secret in secrets {
        assert!(!search(&data, secret).1.is_empty(), "{secret} is there before");
    }

    assert_eq!(import(&stack, DEFINITION), application);
    stack.scheduler.restart();
    eventually("nothing of it is left in any file", || {
        secrets.iter().all(|secret| search(&data, secret).1.is_empty()).then_some(())
    });
    assert_eq!(stack.show(long)["environment"]["KEY"], "***");
    let run = stack.cli.run(["job:run", &long.to_string()]).text();
    assert_eq!(run, format!("Brno at 20\n{}\n", 15 * 4000), "its value is the same");
}

#[test]
fn a_value_that_is_not_of_its_type_is_not_told_if_it_is_secret() {
    let stack = Stack::start();
    let typed = r#"
        "NUMBER": {"type": "integer"}, "MAIL": {"type": "email"}, "SITE": {"type": "url"},
        "CHOICE": {"type": "set", "options": ["a", "b"]}, "MADE": {"type": "integer"}, "#;
    let document =
        DEFINITION.replace(r#""environment": {"#, &format!(r#""environment": {{ {typed}"#));
    assert_ne!(document, DEFINITION);
    let application = import(&stack, &document);
    let secrets =
        ["NUMBER", "MAIL", "SITE", "CHOICE", "P"].map(|name| format!("{name}=Tok-en_12345x"));
    let refused = stack.cli.run([
        "runtemplate:create",
        "--name",
        "n",
        "--app",
        "1",
        "--company",
        "1",
        "--secret",
        &secrets[0],
        "--env",
        "PLACE=Brno",
    ]);
    assert!(refused.code == 65 && !refused.stderr.contains("Tok-en"), "{}", refused.stderr);
    let company = stack.company.to_string();
    let update = ["company:update", &company].into_iter();
    stack.cli.json(update.chain(secrets.iter().flat_map(|secret| ["--secret", secret])));
    let more = ["--env", "PLACE=Brno", "--env", "MADE={P}"];
    let job = stack.job(template(&stack, application, &more)).to_string();
    let answer = stack.cli.run(["job:run", &job]);
    assert_eq!(answer.code, 78, "{}", answer.stderr);
    let mut told = answer.stderr;
    for command in ["job:show", "job:why", "job:env"] {
        told += &stack.cli.run([command, &job]).text();
    }
    assert!(!told.contains("Tok-en_12345x"), "{told}");
    for name in ["NUMBER", "MAIL", "SITE", "CHOICE", "MADE"] {
        assert!(told.contains(&format!("{name}: the value is no")), "{name}: {told}");
    }
}

#[test]
fn a_definition_that_is_refused_is_refused_for_all_its_faults_and_quiet_imports_say_ids() {
    let stack = Stack::start();
    let file = |name: &str, text: &str| {
        let file = stack.folder().join(name);
        fs::write(&file, text).unwrap();
        file.to_str().unwrap().to_owned()
    };
    let rest = r#""description": "d", "executable": "true", "environment""#;
    let faulty = r#"{"A": {"type": "x"}, "B": {"type": "x"}, "C": {"type": "x"}, "D": 1, "E": 2}"#;
    let bad = file("bad.json", &format!(r#"{{"name": "Bad", {rest}: {faulty}}}"#));
    let good = file("good.json", &format!(r#"{{"name": "Good", {rest}: {{}}}}"#));
    let json = |words: &[&str]| -> Value {
        let answer = stack.cli.run([words, &["-f", "json"]].concat());
        assert_eq!(answer.code, 65, "{answer:?}");
        serde_json::from_slice(&answer.stdout).unwrap()
    };
    let validated = json(&["application:validate-json", &bad]);
    let imported = json(&["application:import-json", &bad, &good]);
    let faults = &imported["applications"][0]["faults"];
    assert_eq!(faults, &validated["definitions"][0]["faults"]);
    assert_eq!(faults.as_array().unwrap().len(), 5);
    let said = stack.cli.run(["application:import-json", &bad]).stderr;
    for name in ["A", "B", "C", "D", "E"] {
        assert!(said.contains(&format!("\n  environment.{name}")), "{said}");
    }
    assert!(said.contains("refused 1 definition\n"), "{said}");
    let quiet = stack.cli.run(["-q", "application:import-json", &good, &good]);
    let id = imported["applications"][1]["id"].to_string();
    assert_eq!((quiet.text(), quiet.stderr), (format!("{id}\n{id}\n"), String::new()));
}
