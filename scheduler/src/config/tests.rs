use clap::Parser as _;

use super::*;

fn config(words: &[&str], password: Option<&str>) -> Result<Config, ConfigError> {
    let words = ["multiflexi-scheduler"].iter().chain(words);
    Config::new(&Arguments::parse_from(words), password)
}

#[test]
fn sqlite_is_the_default_and_its_file_can_be_named() {
    let database = config(&["--data-dir", "/d"], None).unwrap().database;
    assert_eq!(database.url, "sqlite:///d/multiflexi.db?mode=rwc");
    let database = config(&["--db-database", "/a b?.db"], None).unwrap().database;
    assert_eq!(database.url, "sqlite:///a b%3F.db?mode=rwc");
    assert_eq!(database.name, "/a b?.db");
}

#[test]
fn the_password_is_in_the_url_and_not_in_the_name() {
    let words = ["--db-connection", "pgsql", "--db-username", "me", "--db-host", "db.example"];
    let database = config(&words, Some("p@ss/word")).unwrap().database;
    assert_eq!(database.url, "postgres://me:p%40ss%2Fword@db.example/multiflexi");
    assert_eq!(database.name, "postgres://me@db.example/multiflexi");
    let socket =
        ["--db-connection", "pgsql", "--db-host", "/run/postgresql", "--db-username", "me"];
    let url = config(&socket, None).unwrap().database.url;
    assert_eq!(url, "postgres://me@localhost/multiflexi?host=%2Frun%2Fpostgresql");
    let mariadb = ["--db-connection", "mysql", "--db-username", "me", "--db-port", "3307"];
    let url = config(&mariadb, Some("p")).unwrap().database.url;
    assert_eq!(url, "mysql://me:p@localhost:3307/multiflexi");
    let socket = "/run/mysqld/mysqld.sock";
    let socket = ["--db-connection", "mariadb", "--db-host", socket, "--db-username", "me"];
    let url = config(&socket, None).unwrap().database.url;
    assert_eq!(url, "mysql://me@localhost/multiflexi?socket=%2Frun%2Fmysqld%2Fmysqld.sock");
}

#[test]
fn a_connection_is_encrypted_as_it_is_said() {
    let authorities = tempfile::NamedTempFile::new().unwrap();
    let file = authorities.path().to_str().unwrap();
    let url = |connection: &str, more: &[&str]| {
        let words = ["--db-connection", connection, "--db-username", "me"];
        let database = config(&[&words[..], more].concat(), None)?.database;
        assert!(!database.name.contains("ssl"), "{}", database.name);
        Ok::<_, ConfigError>(database.url)
    };
    assert!(!url("pgsql", &[]).unwrap().contains("ssl"));
    assert!(url("pgsql", &["--db-sslmode", "require"]).unwrap().ends_with("?sslmode=require"));
    let verify = ["--db-sslmode", "verify-full"];
    assert!(url("mysql", &verify).unwrap().ends_with("?ssl-mode=VERIFY_IDENTITY"));
    let trusted = url("pgsql", &["--db-sslrootcert", file]).unwrap();
    assert!(trusted.contains("?sslmode=verify-full&sslrootcert=%2F"), "{trusted}");
    let trusted = url("mysql", &["--db-sslmode", "verify-ca", "--db-sslrootcert", file]).unwrap();
    assert!(trusted.contains("?ssl-mode=VERIFY_CA&ssl-ca=%2F"), "{trusted}");
    let socket = [&verify[..], &["--db-host", "/run/postgresql"]].concat();
    assert!(!url("pgsql", &socket).unwrap().contains("ssl"), "nothing is encrypted there");
    let unchecked = url("pgsql", &["--db-sslmode", "require", "--db-sslrootcert", file]);
    let said = unchecked.unwrap_err().to_string();
    assert!(said.contains("DB_SSLROOTCERT") && said.contains("verify-full"), "{said}");
    let said = url("pgsql", &["--db-sslrootcert", "/no/such/ca.pem"]).unwrap_err().to_string();
    assert!(said.contains("/no/such/ca.pem cannot be used"), "{said}");
}

#[test]
fn what_is_empty_is_as_if_it_was_not_said() {
    let empty = ["--db-host", "", "--db-database", ""];
    let sqlite = config(&[&empty[..], &["--data-dir", "/d"]].concat(), None).unwrap();
    assert_eq!(sqlite.database.name, "/d/multiflexi.db");
    let server = ["--db-connection", "pgsql", "--db-port", "1", "--db-username", "me"];
    let server = config(&[&empty[..], &server].concat(), None).unwrap();
    assert_eq!(server.database.url, "postgres://me@localhost:1/multiflexi");
    for connection in ["pgsql", "mysql"] {
        let nobody = config(&["--db-connection", connection, "--db-username", ""], None);
        let said = nobody.unwrap_err().to_string();
        assert!(said.contains("DB_USERNAME is missing"), "{said}");
    }
}

#[test]
fn a_url_names_a_database_and_its_password_is_not_said() {
    let file = database_of("sqlite:///a b.db", None).unwrap();
    assert_eq!((file.url.as_str(), file.name.as_str()), ("sqlite:///a b.db?mode=rwc", "/a b.db"));
    let server = database_of("postgres://me@db.example/jobs", Some("p w")).unwrap();
    assert_eq!(server.url, "postgres://me:p%20w@db.example/jobs");
    let server = database_of("postgresql://me:own@db.example/jobs", Some("p")).unwrap();
    assert_eq!(server.url, "postgresql://me:own@db.example/jobs");
    assert_eq!(server.name, "postgresql://me@db.example/jobs");
    let server = database_of("mysql://me@db.example/jobs", Some("p")).unwrap();
    assert_eq!(server.url, "mysql://me:p@db.example/jobs");
    for wrong in ["sqlite:", "/a.db", "mssql://me:secret@db.example/jobs", "postgres:secret"] {
        let error = database_of(wrong, Some("p")).unwrap_err().to_string();
        assert!(error.contains("postgres://user@host/name"), "{error}");
        assert!(!error.contains("secret"), "{error}");
    }
}

#[test]
fn objects_are_in_the_data_folder_unless_another_place_is_named() {
    let objects = |words: &[&str]| config(words, None).map(|config| config.objects.to_string());
    assert_eq!(objects(&["--data-dir", "/d"]).unwrap(), "/d/objects");
    assert_eq!(objects(&["--object-store", "s3://logs/a"]).unwrap(), "s3://logs/a");
    assert!(objects(&["--object-store", "s3://me:secret@logs"]).is_err());
}

#[test]
fn another_database_is_refused_by_name() {
    let error = config(&["--db-connection", "mssql"], None).unwrap_err();
    assert!(error.to_string().contains("\"mssql\""), "{error}");
}
