//! Connections to a database's server that are encrypted, and its certificate.

use std::{fs, path::Path, process::Command};

use multiflexi_fixture::{
    Authority, Cli, Scheduler, SchedulerOptions, postgres::Postgres, programs,
};

/// Addresses of this host that no other test uses: what its certificate names, and another.
const ADDRESSES: [&str; 2] = ["127.83.71.1", "127.83.71.2"];

/// What a scheduler says that does not come up.
fn refused(data: &Path, environment: &[(String, String)]) -> String {
    let output = Command::new(programs::scheduler())
        .args(["--listen", "127.0.0.1:0", "--data-dir"])
        .arg(data)
        .envs(environment.iter().cloned())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    said
}

#[test]
#[ignore = "needs PostgreSQL: apt-get install postgresql"]
fn a_database_is_used_if_its_certificate_is_what_it_has_to_be() {
    let [ours, another] = ["ours", "another"].map(|name| Authority::new(name).unwrap());
    let folder = tempfile::tempdir().unwrap();
    let [file, strange] = [("ours.pem", &ours), ("another.pem", &another)].map(|(name, of)| {
        let file = folder.path().join(name);
        fs::write(&file, of.pem()).unwrap();
        file.to_str().unwrap().to_owned()
    });
    let (certificate, key) = ours.certify_pem(ADDRESSES[0]).unwrap();
    let mut server = Postgres::encrypted(&ADDRESSES.join(","), (&certificate, &key));
    let database = server.database();
    let data = |name: &str| folder.path().join(name);
    let settings = |host: &str, more: &[(&str, &str)]| {
        let mut environment = database.environment.clone();
        let said = [("DB_HOST", host)].into_iter().chain(more.iter().copied());
        environment.extend(said.map(|(name, value)| (name.to_owned(), value.to_owned())));
        environment
    };
    let trusted = [("DB_SSLROOTCERT", file.as_str())];

    let said = refused(&data("a"), &settings(ADDRESSES[0], &[("DB_SSLROOTCERT", &strange)]));
    assert!(said.contains("certificate") && said.contains("postgres://"), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    let said = refused(&data("b"), &settings(ADDRESSES[0], &[("DB_SSLMODE", "verify-full")]));
    assert!(said.contains("certificate"), "this host does not trust it: {said}");
    let said = refused(&data("c"), &settings(ADDRESSES[1], &trusted));
    assert!(said.contains("certificate"), "it is another host's: {said}");
    refused(&data("d"), &settings(ADDRESSES[0], &[("DB_SSLMODE", "disable")]));

    let by_authority = [trusted[0], ("DB_SSLMODE", "verify-ca")];
    let taken = [
        settings(ADDRESSES[0], &trusted),
        settings(ADDRESSES[1], &by_authority),
        settings(ADDRESSES[1], &[("DB_SSLMODE", "require")]),
    ];
    for (number, environment) in taken.into_iter().enumerate() {
        let options = SchedulerOptions { environment, ..SchedulerOptions::default() };
        let scheduler = Scheduler::start(&data(&format!("taken {number}")), options);
        let name = format!("Company {number}");
        Cli::new(&scheduler.url()).create(["company:create", "--name", &name]);
    }
}
