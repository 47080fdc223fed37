//! An installation, and what its own command line lists of it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

use super::{Adoption, by_id, counts};

/// Where a dump of an installation may be, with its own listings: it is no part of this
/// project.
fn upstream() -> Result<PathBuf, String> {
    let folder = match std::env::var_os("MULTIFLEXI_TEST_UPSTREAM") {
        Some(folder) => PathBuf::from(folder),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
    };
    match folder.join("upstream-sample.sql").is_file() {
        true => Ok(folder),
        false => Err("MULTIFLEXI_TEST_UPSTREAM names no folder of upstream-sample.sql".to_owned()),
    }
}

/// What a command of a transcript has printed.
fn printed<'t>(transcript: &'t str, command: &str) -> Vec<&'t str> {
    let mut lines = transcript.lines();
    lines
        .find(|line| line.strip_prefix("$ ") == Some(command))
        .unwrap_or_else(|| panic!("{command}"));
    let output = lines.take_while(|line| !line.starts_with("$ "));
    output.filter(|line| !line.starts_with("+ ")).collect()
}

#[test]
#[ignore = "needs MariaDB: apt-get install mariadb-server"]
fn an_installation_is_here_as_its_own_command_line_lists_it() {
    let folder = match upstream() {
        Ok(folder) => folder,
        Err(reason) => return println!("not run: {reason}"),
    };
    let adoption = Adoption::new(&fs::read_to_string(folder.join("upstream-sample.sql")).unwrap());
    let transcript = fs::read_to_string(folder.join("upstream-sample.txt")).unwrap();
    let report = adoption.import(&[]);
    for kind in ["company", "application", "run_template", "job"] {
        let [read, created, .., skipped] = counts(&report, kind);
        assert!(read == created && skipped == 0 && read > 0, "{kind}: {report:#}");
    }
    let (_scheduler, cli) = adoption.scheduler();

    // Tables: "| 1  | … |".
    let cells = |command: &str| -> Vec<Vec<String>> {
        let rows = printed(&transcript, command).into_iter().filter(|line| line.starts_with("| "));
        let cells = |row: &str| row.split('|').map(|cell| cell.trim().to_owned()).collect();
        rows.skip(1).map(cells).collect()
    };
    let companies = by_id(&cli.json(["company:list"]));
    let listed = cells("multiflexi-cli company:list");
    assert_eq!(listed.len(), companies.len());
    for row in &listed {
        let company = &companies[&row[1].parse().unwrap()];
        assert!(row.contains(&company["name"].as_str().unwrap().to_owned()), "{row:?}");
        assert!(row.contains(&company["slug"].as_str().unwrap().to_owned()), "{row:?}");
    }
    let applications = by_id(&cli.json(["application:list"]));
    let listed = cells("multiflexi-cli application:list");
    assert_eq!(listed.len(), applications.len());
    for row in &listed {
        let application = &applications[&row[1].parse().unwrap()];
        for field in ["name", "executable"] {
            assert!(row.contains(&application[field].as_str().unwrap().to_owned()), "{row:?}");
        }
    }
    let listed = printed(&transcript, "multiflexi-cli run-template:list -f json").join("\n");
    let listed: Vec<Value> = serde_json::from_str(&listed).unwrap();
    assert!(!listed.is_empty());
    for row in &listed {
        let template = cli.json(["runtemplate:show", &row["id"].to_string()]);
        assert_eq!(template["name"], row["name"]);
        assert_eq!(template["application_id"], row["app_id"]);
        assert_eq!(template["company_id"], row["company_id"]);
        assert_eq!(template["retry"]["max_attempts"], row["max_attempts"], "{template:#}");
    }
    let scheduled = report["not_brought"]["schedules"]["items"].to_string();
    for row in listed.iter().filter(|row| row["interv"] != "n") {
        assert!(scheduled.contains(&format!("run template {} ", row["id"])), "{scheduled}");
    }

    // Of jobs, what their own database says besides.
    let jobs = by_id(&cli.json(["job:list"]));
    let known = adoption.source.run("SELECT id, exitcode, runtemplate_id FROM flexi.job");
    let known: Vec<Vec<i64>> = known
        .lines()
        .map(|line| line.split('\t').map(|cell| cell.parse().unwrap()).collect())
        .collect();
    assert_eq!(known.len(), jobs.len());
    for row in &known {
        let job = &jobs[&row[0]];
        assert_eq!((&job["exit_code"], &job["run_template_id"]), (&row[1].into(), &row[2].into()));
        assert_eq!(job["state"], if row[1] == 0 { "succeeded" } else { "failed" });
        let id = row[0].to_string();
        let logs = cli.run(["job:logs", &id]);
        let all = format!("{}{}", logs.text(), logs.stderr);
        for line in printed(&transcript, &format!("multiflexi-executor -j {id}")) {
            assert!(all.contains(line), "job {id}: {line:?} is not in {all:?}");
        }
        let lines = adoption.source.run(&format!(
            "SELECT REPLACE(line, '\\n', '') FROM flexi.job_output_lines WHERE job_id = {id} \
             AND type = 'stdout' ORDER BY seq"
        ));
        assert_eq!(logs.text(), lines, "job {id}");
    }
    let first = printed(&transcript, "multiflexi-cli job:list -f json").join("\n");
    let first = first.split("\n    },").next().unwrap();
    let first: Vec<Value> = serde_json::from_str(&format!("{first}\n    }}]")).unwrap();
    let job = cli.json(["job:show", &first[0]["id"].to_string()]);
    for (name, value) in first[0]["env"].as_object().unwrap() {
        if !name.starts_with("MULTIFLEXI_") {
            assert_eq!(job["environment"][name], *value, "{name}");
        }
    }
    assert_eq!(job["attempts"][0]["command"][2], first[0]["command"]);

    let again = adoption.import(&["--with-schedules"]);
    for kind in ["company", "application", "run_template", "job"] {
        let [read, created, unchanged, changed, skipped] = counts(&again, kind);
        assert_eq!((created, changed, skipped, unchanged), (0, 0, 0, read), "{kind}");
    }
    let scheduled = again["schedules"].as_array().unwrap();
    assert_eq!(scheduled.len(), listed.iter().filter(|row| row["interv"] != "n").count());
    for one in scheduled {
        let id = one["run_template"].to_string();
        let here = cli.json(["runtemplate:show", &id]);
        let there = listed.iter().find(|row| row["id"] == one["run_template"]).unwrap();
        assert_eq!(here["schedule"]["interval"], there["interv"]);
    }
}
