//! What jobs leave.

use std::{
    fs,
    os::unix::fs::{FileTypeExt as _, symlink},
    path::Path,
    thread,
};

use multiflexi_fixture::Stack;
use rustix::fs::{CWD, Mode, mkfifoat};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

fn artifacts(stack: &Stack, job: i64) -> Vec<Value> {
    let list = stack.cli.json(["artifact:list", "--job", &job.to_string()]);
    list["artifacts"].as_array().unwrap().clone()
}

fn named<'a>(artifacts: &'a [Value], filename: &str) -> &'a Value {
    artifacts
        .iter()
        .find(|artifact| artifact["filename"] == filename)
        .unwrap_or_else(|| panic!("no {filename} in {artifacts:?}"))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn every_result_file_is_kept_with_its_type_size_and_hash() {
    let stack = Stack::start();
    let script = r#"
        printf 'a,b\n' > table.csv; printf '{}' > data.json; printf '<?xml version="1.0"?><a/>' > feed.xml
        printf '%%PDF-1.7\n' > report.pdf; printf 'PK\003\004\024\000\000\000' > all.zip
        printf '\211PNG\r\n\032\n\000\000\000\rIHDR' > chart.png
        mkdir -p deep/er; echo deep > deep/er/note.txt; : > empty.csv
    "#;
    let (job, answer) = stack.run(script);
    assert_eq!(answer.code, 0, "{}", answer.stderr);
    let found = artifacts(&stack, job);
    let types = [
        ("table.csv", "text/csv"),
        ("data.json", "application/json"),
        ("feed.xml", "text/xml"),
        ("report.pdf", "application/pdf"),
        ("all.zip", "application/zip"),
        ("chart.png", "image/png"),
        ("deep/er/note.txt", "text/plain"),
        ("empty.csv", "text/csv"),
        ("stdout.txt", "text/plain; charset=utf-8"),
        ("stderr.txt", "text/plain; charset=utf-8"),
    ];
    assert_eq!(found.len(), types.len(), "{found:?}");
    for (filename, content_type) in types {
        assert_eq!(named(&found, filename)["content_type"], content_type, "{filename}");
    }
    let table = named(&found, "table.csv");
    assert_eq!(table["size_bytes"], 4);
    assert_eq!(table["sha256"], hex(&Sha256::digest(b"a,b\n")));
    assert!(table["created"].is_string());

    let file = stack.folder().join("got.csv");
    let id = table["id"].to_string();
    let got = stack.cli.run(["artifact:get", &id, "--output", file.to_str().unwrap()]);
    assert_eq!(got.code, 0, "{}", got.stderr);
    assert_eq!(fs::read(&file).unwrap(), b"a,b\n");
    assert_eq!(stack.cli.json(["artifact:show", &id])["filename"], "table.csv");
}

#[test]
fn a_large_artifact_returns_unchanged() {
    let stack = Stack::start();
    let (job, answer) = stack.run("seq 1 3000000 > large; sha256sum < large");
    let expected = answer.text().split_whitespace().next().unwrap().to_owned();
    let found = artifacts(&stack, job);
    let large = named(&found, "large");
    assert_eq!(large["sha256"], expected);
    let got = stack.cli.run(["artifact:get", &large["id"].to_string(), "--output", "-"]);
    assert_eq!(hex(&Sha256::digest(&got.stdout)), expected);
}

#[test]
fn one_artifact_that_fails_leaves_the_others_and_itself_on_record() {
    let stack = Stack::start();
    let (job, answer) =
        stack.run("echo good > good.txt; ln -s /etc/passwd link.txt; mkfifo pipe.txt; echo ok");
    assert_eq!((answer.code, answer.text().as_str()), (0, "ok\n"));
    let found = artifacts(&stack, job);
    assert_eq!(named(&found, "good.txt")["failed"], false);
    for (name, why) in [("link.txt", "symbolic link"), ("pipe.txt", "named pipe")] {
        let failed = named(&found, name);
        assert_eq!(failed["failed"], true);
        assert!(failed["note"].as_str().unwrap().contains(why), "{failed}");
        let got = stack.cli.run(["artifact:get", &failed["id"].to_string(), "--output", "-"]);
        assert_eq!(got.code, 77, "{}", got.stderr);
        assert!(got.stderr.contains(why), "{}", got.stderr);
    }
}

#[test]
fn stdout_txt_is_the_output_itself() {
    let stack = Stack::start();
    let (job, answer) = stack.run("seq 1 200000; echo error >&2");
    let found = artifacts(&stack, job);
    let stdout = named(&found, "stdout.txt");
    assert_eq!(stdout["sha256"], hex(&Sha256::digest(&answer.stdout)));
    let got = stack.cli.run(["artifact:get", &stdout["id"].to_string(), "--output", "-"]);
    assert!(got.stdout == answer.stdout);
    assert_eq!(named(&found, "stderr.txt")["size_bytes"], 6);
}

#[test]
fn deleting_a_job_deletes_its_artifacts_and_their_files() {
    let stack = Stack::start();
    let (job, _) = stack.run("seq 1 300000 > large; seq 1 300000");
    let objects = stack.folder().join("data/objects");
    assert!(multiflexi_fixture::objects(&objects).len() >= 2);
    let id = named(&artifacts(&stack, job), "large")["id"].to_string();
    assert_eq!(stack.cli.run(["job:delete", &job.to_string()]).code, 0);
    assert_eq!(stack.cli.run(["job:show", &job.to_string()]).code, 66);
    assert_eq!(stack.cli.run(["artifact:show", &id]).code, 66);
    assert_eq!(multiflexi_fixture::objects(&objects), [""; 0]);
}

#[test]
fn a_file_whose_name_holds_a_secret_is_stored_under_a_masked_one() {
    let stack = Stack::start();
    let script = "echo a >res-$ONE.txt; echo b >res-$TWO.txt; mkdir $ONE; echo c >$ONE/plain; \
                  mkfifo pipe-$ONE; echo d >other";
    let more = ["--secret", "ONE=Tok-en_12345", "--secret", "TWO=OtherSecret88"];
    let job = stack.job(stack.script(script, &more));
    let answer = stack.cli.run(["job:run", &job.to_string()]);
    assert_eq!(answer.code, 0, "{}", answer.stderr);
    let list = artifacts(&stack, job);
    let content = |filename: &str| {
        let id = named(&list, filename)["id"].to_string();
        stack.cli.run(["artifact:get", &id, "--output", "-"]).text()
    };
    assert_eq!([content("res-***.txt"), content("res-***-2.txt")], ["b\n", "a\n"]);
    assert_eq!([content("***/plain"), content("other")], ["c\n", "d\n"]);
    assert!(named(&list, "pipe-***")["note"].as_str().unwrap().contains("named pipe"));
    for secret in ["Tok-en_12345", "OtherSecret88"] {
        let told = format!("{list:?} {} {}", stack.show(job), answer.stderr);
        assert!(!told.contains(secret), "{told}");
    }
}

#[test]
fn what_an_application_declares_of_its_files_is_what_they_are() {
    let stack = Stack::start();
    let document = stack.folder().join("files.multiflexi.app.json");
    let text = serde_json::json!({
        "$schema": "https://multiflexi.eu/schema/application.json",
        "name": "Files",
        "description": "Leaves files.",
        "executable": "sh",
        "cmdparams": "-c ${SCRIPT}",
        "environment": { "SCRIPT": { "type": "text", "defval":
            "mkdir sub; echo {} >sub/a.json; echo 1 >c.csv; echo 2 >other.txt; \
             head -c 100000 /dev/zero >large.bin" } },
        "artifacts": [
            { "name": "Report", "path": "\\.json$", "type": "application/json",
              "description": "The report of the day" },
            { "name": "Table", "path": "^c\\.csv$", "type": "text/x-mine" },
            { "name": "Zeros", "path": "large", "type": "file" },
        ],
    });
    fs::write(&document, text.to_string()).unwrap();
    let imported = stack.cli.run(["application:import-json", document.to_str().unwrap()]);
    assert_eq!(imported.code, 0, "{}", imported.stderr);
    let company = stack.company.to_string();
    let create = ["runtemplate:create", "--name", "t", "--app", "1", "--company", &company];
    let job = stack.job(stack.cli.create(create));
    assert_eq!(stack.cli.run(["job:run", &job.to_string()]).code, 0);
    let list = artifacts(&stack, job);
    let about = |filename: &str| {
        let found = named(&list, filename);
        let text = |key: &str| found[key].as_str().unwrap_or_default().to_owned();
        (text("content_type"), text("note"))
    };
    let pair = |content_type: &str, note: &str| (content_type.to_owned(), note.to_owned());
    assert_eq!(about("sub/a.json"), pair("application/json", "The report of the day"));
    assert_eq!(about("c.csv"), pair("text/x-mine", "Table"));
    assert_eq!(about("large.bin"), pair("application/octet-stream", "Zeros"));
    assert_eq!(about("other.txt"), pair("text/plain", ""));
}

#[test]
fn what_is_no_file_is_written_into_and_stays_what_it_is() {
    let stack = Stack::start();
    let (job, _) = stack.run("echo content >made");
    let id = named(&artifacts(&stack, job), "made")["id"].to_string();
    let path = |name: &str| stack.folder().join(name);
    let get = |to: &Path| {
        let answer = stack.cli.run(["artifact:get", &id, "--output", to.to_str().unwrap()]);
        assert_eq!(answer.code, 0, "{}", answer.stderr);
    };
    let is_link = |name: &str| path(name).is_symlink();

    mkfifoat(CWD, path("pipe"), Mode::RUSR | Mode::WUSR).unwrap();
    let pipe = path("pipe");
    let reader = thread::spawn(move || fs::read_to_string(pipe).unwrap());
    get(&path("pipe"));
    assert!(fs::metadata(path("pipe")).unwrap().file_type().is_fifo());
    assert_eq!(reader.join().unwrap(), "content\n");

    fs::write(path("file"), "longer than the content").unwrap();
    symlink("file", path("link")).unwrap();
    symlink("new", path("to nowhere")).unwrap();
    for (link, file) in [("link", "file"), ("to nowhere", "new")] {
        get(&path(link));
        assert!(is_link(link) && !is_link(file), "{link}");
        assert_eq!(fs::read_to_string(path(file)).unwrap(), "content\n");
    }
}
