//! The names by which the files of an attempt are stored: with a mark in place of each secret
//! that is in them, and no two alike. Only the supervisor knows the secrets, so it decides,
//! and the session is told with the end.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
};

use super::mask::Secrets;
use crate::work;

/// Most bytes of names that are told: they travel in one message.
const MOST: usize = 8 * 1024 * 1024;

/// Which files below a working directory have another name when they are stored, and which.
/// A sentence if there are too many to be told; none may be stored then.
pub(super) fn masked(
    work: &Path,
    secrets: &Arc<Secrets>,
) -> Result<BTreeMap<String, String>, String> {
    let found = work::list(work);
    let files = found.files.into_iter().map(|(name, _)| name);
    let names = files.chain(found.failed.into_iter().map(|(name, _)| name)).collect();
    let masked = without_secrets(&names, secrets);
    let bytes: usize = masked.iter().map(|(name, masked)| name.len() + masked.len()).sum();
    if bytes > MOST {
        let count = masked.len();
        return Err(format!("its files are not kept: the names of {count} of them hold secrets"));
    }
    Ok(masked)
}

fn without_secrets(names: &BTreeSet<String>, secrets: &Arc<Secrets>) -> BTreeMap<String, String> {
    let masked = names.iter().map(|name| (name, secrets.masked(name)));
    let (stay, change): (Vec<_>, Vec<_>) = masked.partition(|(name, masked)| *name == masked);
    let mut taken: BTreeSet<String> = stay.into_iter().map(|(_, name)| name).collect();
    let mut change_to = BTreeMap::new();
    let mut alike = BTreeMap::<String, usize>::new();
    for (name, masked) in change {
        let mut unique = masked.clone();
        let number = alike.entry(masked.clone()).or_insert(1);
        while !taken.insert(unique.clone()) {
            *number += 1;
            unique = numbered(&masked, *number);
        }
        change_to.insert(name.clone(), unique);
    }
    change_to
}

/// A name with a number, before what tells the type of the file.
fn numbered(name: &str, number: usize) -> String {
    let file = name.rfind('/').map_or(0, |slash| slash + 1);
    let dot = name[file..].rfind('.').filter(|dot| *dot > 0).map_or(name.len(), |dot| file + dot);
    format!("{}-{number}{}", &name[..dot], &name[dot..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_secrets_are_masked_and_no_two_become_one() {
        let secrets = Arc::new(Secrets::new(["Tok-en_12345", "second-one"]));
        let names = [
            "plain.txt",
            "res-***.txt",
            "res-Tok-en_12345.txt",
            "res-second-one.txt",
            "second-one/.x",
            "Tok-en_12345/.x",
        ];
        let masked = without_secrets(&names.map(str::to_owned).into(), &secrets);
        let masked: Vec<_> = masked.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        let expected = [
            ("Tok-en_12345/.x", "***/.x"),
            ("res-Tok-en_12345.txt", "res-***-2.txt"),
            ("res-second-one.txt", "res-***-3.txt"),
            ("second-one/.x", "***/.x-2"),
        ];
        assert_eq!(masked, expected);
    }
}
