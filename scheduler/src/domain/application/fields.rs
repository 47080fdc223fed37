//! The variables that an application takes: the key `environment`.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::domain::{
    definition::{
        Field, Kind,
        field::{self, Rules},
        report::{Report, key_path},
        section::Section,
    },
    environment::check_name,
};

/// What is of no known type may be meant as a secret, and faults quote values.
const RULES: Rules = Rules {
    default: &["defval"],
    older: true,
    secret: |kind| matches!(kind, None | Some(Kind::Password)),
    can_be_shown: false,
};

/// Reads `environment`.
pub(super) fn read(
    path: &str,
    entries: &Map<String, Value>,
    report: &mut Report,
) -> BTreeMap<String, Field> {
    let mut fields = BTreeMap::new();
    for (name, value) in entries {
        let path = key_path(path, name);
        if let Err(error) = check_name(name) {
            report.fault(&path, error.to_string());
        } else if name.bytes().any(|b| b.is_ascii_lowercase()) {
            report.note(&path, "has small letters, which PHP MultiFlexi does not expect in names");
        }
        if let Some(mut section) = Section::open(path, value, report) {
            let field = field::read(name, &mut section, &RULES, report);
            section.finish(report);
            fields.insert(name.clone(), field);
        }
    }
    fields
}
