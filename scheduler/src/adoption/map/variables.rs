//! Variables of companies, run templates and credentials.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest as _, Sha256};

use crate::{
    adoption::source::Row,
    domain::environment::{self, File, Given, Value, VariableChange, Variables, check_files},
};

/// Before the name of a variable among the fields that are compared.
const FIELD: &str = "env ";

/// Reads variables from the columns `name` and `value` of rows; those that no process can
/// have are left out, and named with the reason in what comes back.
pub fn read<'r>(
    rows: impl IntoIterator<Item = &'r Row>,
    name: &str,
    value: &str,
    secret: impl Fn(&str, &Row) -> bool,
) -> (Given, Vec<String>) {
    let (mut given, mut left_out) = (Given::default(), Vec::new());
    for row in rows {
        let variable = row.raw(name).unwrap_or_default();
        let text = row.raw(value).unwrap_or_default();
        match check(&variable, &text) {
            Ok(()) => {
                let secret = secret(&variable, row);
                given.set(variable, Value::Text(text), secret);
            }
            Err(reason) => left_out.push(reason),
        }
    }
    (given, left_out)
}

/// Why no process can have a variable.
pub fn check(name: &str, value: &str) -> Result<(), String> {
    environment::check(&Variables::from([(name.to_owned(), value.to_owned())]))
        .map_err(|error| error.to_string())
}

/// Adds a file, in place of the text of its variable.
pub fn add_file(given: &mut Given, row: &Row) -> Result<(), String> {
    let field = row.raw("field").unwrap_or_default();
    environment::check_name(&field).map_err(|error| error.to_string())?;
    let name = row.raw("file_name").unwrap_or_default();
    let file = File { name, content: row.bytes("file_data").unwrap_or_default().to_vec() };
    let mut files = given.files.clone();
    files.insert(field.clone(), file.clone());
    check_files(&files).map_err(|error| error.to_string())?;
    let secret = given.secret.contains(&field);
    given.set(field, Value::File(file), secret);
    Ok(())
}

/// Variables as fields that can be compared.
pub fn fields(given: &Given) -> BTreeMap<String, String> {
    let texts = given.values.iter().map(|(name, text)| (name, format!("text {text}")));
    let files = given.files.iter().map(|(name, file)| {
        let hash: [u8; 32] = Sha256::digest(&file.content).into();
        (name, format!("file {} {}", crate::store::hex(&hash), file.name))
    });
    texts.chain(files).map(|(name, value)| (format!("{FIELD}{name}"), value)).collect()
}

/// What has to be set and removed of variables, after the names of the fields that changed.
pub fn change(theirs: &Given, changed: &BTreeSet<String>) -> VariableChange {
    let mut change = VariableChange::default();
    for field in changed {
        let Some(name) = field.strip_prefix(FIELD) else { continue };
        if theirs.contains(name) {
            let mut one = theirs.clone();
            one.retain(|other| other == name);
            change.set.change(&VariableChange { set: one, unset: Vec::new() });
        } else {
            change.unset.push(name.to_owned());
        }
    }
    change
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_process_can_have_is_left_out_and_named() {
        let rows = [
            Row::of(1, &[("keyword", "GOOD"), ("value", "it's \"žluťoučký\"\n")]),
            Row::of(2, &[("keyword", "1BAD"), ("value", "x")]),
            Row::of(3, &[("keyword", "ZERO"), ("value", "a\0b")]),
            Row::of(4, &[("value", "x")]),
            Row::of(5, &[("keyword", "NONE")]),
        ];
        let (given, left_out) = read(&rows, "keyword", "value", |name, _| name == "GOOD");
        assert_eq!(given.values["GOOD"], "it's \"žluťoučký\"\n");
        assert_eq!(given.values["NONE"], "");
        assert!(given.secret.contains("GOOD") && given.values.len() == 2);
        assert_eq!(left_out.len(), 3);
        assert!(left_out[0].contains("1BAD") && left_out[1].contains("ZERO"), "{left_out:?}");
        assert!(left_out.iter().all(|reason| !reason.contains("a\0b")));
    }

    #[test]
    fn files_are_variables_and_bad_ones_are_named() {
        let mut given = Given::from([("CERT".to_owned(), "/old/path".to_owned())]);
        let row = |field: &'static str, name: &'static str| {
            Row::of(1, &[("field", field), ("file_name", name), ("file_data", "x")])
        };
        add_file(&mut given, &row("CERT", "a.pem")).unwrap();
        assert!(given.values.is_empty() && given.files["CERT"].name == "a.pem");
        assert!(add_file(&mut given, &row("CERT", "../a")).unwrap_err().contains("../a"));
        assert!(add_file(&mut given, &row("A-B", "a")).unwrap_err().contains("A-B"));
        assert!(fields(&given)["env CERT"].starts_with("file "));
    }

    #[test]
    fn only_what_changed_is_changed() {
        let theirs =
            Given::from([("A".to_owned(), "1".to_owned()), ("B".to_owned(), "2".to_owned())]);
        let changed = ["env A", "env GONE", "name"].map(str::to_owned).into();
        let change = change(&theirs, &changed);
        assert_eq!(change.set.values, Variables::from([("A".to_owned(), "1".to_owned())]));
        assert_eq!(change.unset, ["GONE"]);
    }
}
