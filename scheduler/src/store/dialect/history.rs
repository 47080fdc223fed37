//! The steps that made the schema of each database what it is.

use crate::store::schema::Migrations;

/// The steps in a folder, by their numbers.
macro_rules! steps {
    ($folder:literal) => {
        steps!($folder, "0001" "initial", "0002" "events", "0003" "schedules", "0004" "actions",
            "0005" "zabbix", "0006" "ran", "0007" "unsuccessful")
    };
    ($folder:literal, $($number:literal $name:literal),+) => {
        &[$((
            $name,
            include_str!(concat!("../../../../migrations/", $folder, "/", $number, "_", $name, ".sql")),
        )),+]
    };
}

pub(super) const SQLITE: Migrations = steps!("sqlite");
pub(super) const POSTGRES: Migrations = steps!("postgres");
pub(super) const MYSQL: Migrations = steps!("mysql");
