//! Credentials and their types.

use std::{fs, path::PathBuf};

use multiflexi_fixture::{Stack, search};
use serde_json::{Value, json};

/// A type with a bit of everything.
const BANK: &str = r#"{
  "uuid": "0b6b5f0e-6a9c-4c8e-9a53-0d2f4f5b7c11",
  "code": "Bank",
  "name": {"en": "Bank", "cs": "Banka"},
  "version": "1.0",
  "fields": [
    {"keyword": "BANK_TOKEN", "type": "password", "name": "Token", "required": true},
    {"keyword": "BANK_URL", "type": "url", "name": "Where", "default": "https://bank.example/"},
    {"keyword": "BANK_PORT", "type": "number", "name": "Port", "default": 4433},
    {"keyword": "BANK_MODE", "type": "select", "name": "Mode", "options": ["live", "test"]},
    {"keyword": "BANK_CERT", "type": "file", "name": "Certificate"}
  ]
}"#;

fn import(stack: &Stack, document: &str) -> Value {
    let file = stack.folder().join("bank.credprototype.json");
    fs::write(&file, document).unwrap();
    stack.cli.json(["credential-type:import-json", file.to_str().unwrap()])
}

#[test]
fn a_type_is_imported_shown_changed_exported_and_deleted() {
    let stack = Stack::start();
    let imported = import(&stack, BANK);
    assert!(imported["created"] == 1 && imported["credential_types"][0]["name"] == "Bank");
    assert_eq!(import(&stack, BANK)["unchanged"], 1);
    let shown = stack.cli.json(["credential-type:show", "1"]);
    assert!(shown["code"] == "Bank" && shown["fields"][1]["default"].is_null(), "{shown}");
    assert!(shown["fields"][2]["default"] == "4433" && shown["fields"][2]["secret"] == false);
    let exported = stack.cli.run(["credential-type:export-json", "1"]).text();
    let exported: Value = serde_json::from_str(&exported).unwrap();
    assert_eq!(exported, serde_json::from_str::<Value>(BANK).unwrap());
    assert_eq!(import(&stack, &BANK.replace("\"1.0\"", "\"1.1\""))["changed"], 1);
    let listed = stack.cli.json(["credential-type:list"]);
    assert_eq!(listed["credential_types"][0]["version"], "1.1");

    let file = stack.folder().join("wrong.json");
    fs::write(&file, r#"{"code": "a b", "name": "x", "fields": [{"type": "url"}]}"#).unwrap();
    let wrong = file.to_str().unwrap();
    let said = stack.cli.run(["credential-type:validate-json", wrong]);
    assert!(said.code == 65 && said.text().contains("fields[0].keyword: is missing"), "{said:?}");
    let said = stack.cli.run(["credential-type:import-json", wrong]);
    assert!(said.code == 65 && said.stderr.contains("refused 1 definition\n"), "{said:?}");
    let file = stack.folder().join("bank.credprototype.json");
    let said = stack.cli.run(["application:import-json", file.to_str().unwrap()]);
    assert!(said.stderr.contains("import it with credential-type:import-json"), "{said:?}");

    let company = stack.company.to_string();
    let words = ["credential:create", "--name", "b", "--company", &company, "--type", "bank"];
    let secret = ["--secret", "BANK_TOKEN=t0ken-of-the-bank"];
    let credential = stack.cli.create(words.iter().chain(&secret)).to_string();
    let said = stack.cli.run(["credential-type:delete", "1"]);
    assert!(
        said.code == 77 && said.stderr.contains("credential type Bank (1) has 1 credential:"),
        "{said:?}"
    );
    stack.cli.json(["credential:delete", &credential]);
    stack.cli.json(["credential-type:delete", "1"]);
    assert_eq!(stack.cli.run(["credential-type:show", "1"]).code, 66);
}

#[test]
fn a_credential_is_what_its_type_says() {
    let stack = Stack::start();
    let company = stack.company.to_string();
    let create = |more: &[&str]| {
        let words = ["credential:create", "--name", "b", "--company", &company, "--type", "Bank"];
        stack.cli.run(words.iter().chain(more))
    };
    let said = create(&["--secret", "BANK_TOKEN=x"]);
    assert!(said.code == 65 && said.stderr.contains("no credential type \"Bank\""), "{said:?}");
    import(&stack, BANK);
    for (values, reason) in [
        (&["--env", "BANK_PORT=1"][..], "BANK_TOKEN is required and has no value"),
        (&["--env", "BANK_TOKEN=x", "--env", "BANK_PORT=http"], "\"http\" is no whole number"),
        (&["--env", "BANK_TOKEN=x", "--env", "BANK_MODE=both"], "none of the options"),
    ] {
        let said = create(values);
        assert!(said.code == 65 && said.stderr.contains(reason), "{said:?}");
    }
    assert!(stack.cli.json(["credential:list"])["credentials"].as_array().unwrap().is_empty());

    let certificate = stack.folder().join("client.p12");
    fs::write(&certificate, b"\0binary\xffcertificate").unwrap();
    let file = format!("BANK_CERT={}", certificate.display());
    let said = create(&["--env", "BANK_TOKEN=t0ken-of-the-bank", "--file", &file]);
    assert_eq!(said.code, 0, "{}", said.stderr);
    let script = "echo $BANK_TOKEN $BANK_URL $BANK_PORT; wc -c < $BANK_CERT; stat -c %a $BANK_CERT";
    let template = stack.script(script, &[]).to_string();
    stack.cli.json(["credential:assign", "1", "--template", &template]);
    let job = stack.job(template.parse().unwrap()).to_string();
    // Numbers are masked nowhere, what may be a secret is.
    assert_eq!(stack.cli.run(["job:run", &job]).text(), "*** *** 4433\n19\n600\n");
    for secret in ["t0ken-of-the-bank", "binary"] {
        fs::remove_file(&certificate).ok();
        let (_, found) = search(stack.folder(), secret);
        assert!(found.is_empty(), "{secret} is in {found:?}");
    }

    let said = stack.cli.run(["credential:update", "1", "--unset", "BANK_TOKEN"]);
    assert!(said.code == 65 && said.stderr.contains("BANK_TOKEN is required"), "{said:?}");
    // A type that asks for more later is found when a job is run, not before.
    import(&stack, &BANK.replace("\"name\": \"Mode\",", "\"name\": \"Mode\", \"required\": true,"));
    assert_eq!(stack.cli.run(["job:run", &job]).code, 78);
    let trouble = stack.show(job.parse().unwrap())["trouble"].as_str().unwrap().to_owned();
    assert!(trouble.contains("credential \"b\" of type Bank: BANK_MODE"), "{trouble}");
}

#[test]
fn a_template_says_which_credentials_its_application_needs_and_it_lacks() {
    let stack = Stack::start();
    import(&stack, BANK);
    let file = stack.folder().join("app.json");
    let definition = json!({
        "name": "Needy", "description": "", "executable": "true", "environment": {},
        "requirements": ["bank", "Mail"],
    });
    fs::write(&file, definition.to_string()).unwrap();
    let application = stack.cli.json(["application:import-json", file.to_str().unwrap()]);
    let application = application["applications"][0]["id"].to_string();
    let company = stack.company.to_string();
    let words = ["runtemplate:create", "--name", "n", "--app", &application, "--company", &company];
    let template = stack.cli.create(words).to_string();
    let lacks = || stack.cli.json(["runtemplate:show", &template])["missing_credentials"].clone();
    assert_eq!(lacks(), json!(["bank", "Mail"]));
    let words = ["credential:create", "--name", "b", "--company", &company, "--type", "Bank"];
    let secret = ["--secret", "BANK_TOKEN=t0ken"];
    let credential = stack.cli.create(words.iter().chain(&secret)).to_string();
    stack.cli.json(["credential:assign", &credential, "--template", &template]);
    assert_eq!(lacks(), json!(["Mail"]));
}

#[test]
fn the_types_that_are_in_use_are_imported() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/apps");
    let Ok(entries) = folder.read_dir() else {
        return println!("not run: {} is not there", folder.display());
    };
    let stack = Stack::start();
    let mut imported = 0;
    for file in entries.map(|entry| entry.unwrap().path()) {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        if name.ends_with(".app.json") {
            continue;
        }
        let said = stack.cli.run(["credential-type:import-json", file.to_str().unwrap()]);
        assert_eq!(said.code, 0, "{name}: {}", said.stderr);
        imported += 1;
    }
    println!("{imported} definitions of types imported");
    assert!(imported > 0);
}

#[test]
fn a_credential_is_used_by_the_templates_of_its_company_and_never_told() {
    let stack = Stack::start();
    let company = stack.company.to_string();
    let words = ["credential:create", "--name", "bank", "--company", &company];
    let values = ["--env", "LOGIN=our-login", "--secret", "TOKEN=our-token"];
    let credential = stack.cli.create(words.iter().chain(&values)).to_string();
    let script = "echo $LOGIN $TOKEN; echo ${#LOGIN} ${#TOKEN}";
    let template = stack.script(script, &["--env", "LOGIN=plain"]).to_string();
    let assign = ["credential:assign", &credential, "--template", &template];
    stack.cli.json(assign);
    let job = stack.job(template.parse().unwrap()).to_string();
    assert_eq!(stack.cli.run(["job:run", &job]).text(), "plain ***\n5 9\n");
    let env = stack.cli.json(["job:env", &job]);
    let variables = env["variables"].as_array().unwrap();
    let of = |name: &str| variables.iter().find(|variable| variable["name"] == name).unwrap();
    assert!(of("TOKEN")["layer"] == "credential" && of("TOKEN")["value"] == "***");
    assert!(of("LOGIN")["layer"] == "run template" && of("LOGIN")["overridden"][0] == "credential");
    let shown = stack.cli.json(["credential:show", &credential]);
    assert_eq!(shown["variables"], serde_json::json!(["LOGIN", "TOKEN"]));
    assert!(!shown.to_string().contains("our-"), "{shown}");
    stack.cli.json([
        "credential:update",
        &credential,
        "--secret",
        "TOKEN=other",
        "--unset",
        "LOGIN",
    ]);
    assert_eq!(stack.cli.run(["job:run", &job]).text(), "plain ***\n5 5\n");

    let used = stack.cli.run(["credential:delete", &credential]);
    assert!(used.code == 77 && used.stderr.contains("by 1 run template:"), "{}", used.stderr);
    let other = stack.cli.create(["company:create", "--name", "Other"]).to_string();
    let theirs = ["credential:create", "--name", "bank", "--company", &other];
    let theirs = stack.cli.create(theirs).to_string();
    let refused = stack.cli.run(["credential:assign", &theirs, "--template", &template]);
    assert!(refused.stderr.contains("do not share"), "{}", refused.stderr);
    stack.cli.json(["credential:delete", &credential, "--cascade"]);
    assert_eq!(stack.cli.run(["job:run", &job]).text(), "plain\n5 0\n");
}
