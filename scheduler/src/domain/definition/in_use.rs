//! The definitions that are in use, where they are at hand.

use std::path::PathBuf;

use serde_json::Value;

use super::{Invalid, Note};

/// Where definitions that are in use may be: they are no part of this project.
fn folder() -> Result<PathBuf, String> {
    if let Some(folder) = std::env::var_os("MULTIFLEXI_TEST_APPLICATIONS") {
        return Ok(folder.into());
    }
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/apps");
    if folder.is_dir() {
        return Ok(folder);
    }
    Err("MULTIFLEXI_TEST_APPLICATIONS names no folder of definitions".to_owned())
}

/// Each definition whose file's name has one of these endings is read, and exported as it
/// came; or it is refused, and says in its name that it is there to be.
pub(in crate::domain) fn are_imported_or_refused<D>(
    endings: &[&str],
    parse: impl Fn(&str) -> Result<D, Invalid>,
    export: impl Fn(&D) -> (String, &[Note]),
) {
    let folder = match folder() {
        Ok(folder) => folder,
        Err(reason) => return println!("not run: {reason}"),
    };
    let (mut imported, mut with_notes, mut refused) = (0, 0, 0);
    let mut files: Vec<_> = folder.read_dir().unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    for file in files {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !endings.iter().any(|ending| name.ends_with(ending)) {
            continue;
        }
        let text = std::fs::read_to_string(&file).unwrap();
        match parse(&text) {
            Ok(definition) => {
                let (exported, notes) = export(&definition);
                let original: Value = serde_json::from_str(&text).unwrap();
                let exported: Value = serde_json::from_str(&exported).unwrap();
                assert_eq!(exported.to_string(), original.to_string(), "{name}");
                imported += 1;
                with_notes += usize::from(!notes.is_empty());
                println!("imported: {name}");
                notes.iter().for_each(|note| println!("    {note}"));
            }
            Err(invalid) => {
                refused += 1;
                println!("refused: {name}");
                invalid.faults.iter().for_each(|fault| println!("    {fault}"));
                assert!(name.contains("invalid"), "{name}: {invalid}");
            }
        }
    }
    println!("{imported} imported, {with_notes} of them with notes, {refused} refused");
    assert!(imported > 0, "{} holds no definition", folder.display());
}
