//! What an import of something that was imported before has to change: what has changed
//! there since, unless it has changed here too.

use std::collections::{BTreeMap, BTreeSet};

/// Names and values.
pub type Fields = BTreeMap<String, String>;

/// What has to be done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Merge {
    /// Fields that become what they are there.
    pub take: BTreeSet<String>,
    /// Fields that have changed on both sides, to different values: they stay as they are.
    pub keep: BTreeSet<String>,
    /// What is to be remembered as brought.
    pub brought: Fields,
}

impl Merge {
    /// Of what was `brought` before, what is `there` now, and what is `here` now.
    pub fn of(brought: &Fields, there: &Fields, here: &Fields) -> Self {
        let mut merge = Self { brought: brought.clone(), ..Self::default() };
        let names: BTreeSet<&String> = brought.keys().chain(there.keys()).collect();
        for name in names {
            let (before, now, own) = (brought.get(name), there.get(name), here.get(name));
            if now == before {
                continue;
            }
            if own != now && own != before {
                merge.keep.insert(name.clone());
                continue;
            }
            if own != now {
                merge.take.insert(name.clone());
            }
            match now {
                Some(value) => merge.brought.insert(name.clone(), value.clone()),
                None => merge.brought.remove(name),
            };
        }
        merge
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fields(pairs: &[(&str, &str)]) -> Fields {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn what_changed_there_is_taken_and_what_changed_here_stays() {
        let brought = fields(&[("a", "1"), ("b", "1"), ("c", "1"), ("d", "1"), ("e", "1")]);
        let there = fields(&[("a", "1"), ("b", "2"), ("c", "2"), ("e", "2"), ("new", "1")]);
        let here = fields(&[("a", "3"), ("b", "1"), ("c", "3"), ("d", "1"), ("e", "2")]);
        let merge = Merge::of(&brought, &there, &here);
        assert_eq!(merge.take, ["b", "d", "new"].map(str::to_owned).into());
        assert_eq!(merge.keep, ["c".to_owned()].into());
        let now = fields(&[("a", "1"), ("b", "2"), ("c", "1"), ("e", "2"), ("new", "1")]);
        assert_eq!(merge.brought, now);
    }

    proptest! {
        #[test]
        fn a_second_import_changes_nothing(
            brought in proptest::collection::btree_map("[a-d]", "[0-2]", 0..4),
            there in proptest::collection::btree_map("[a-d]", "[0-2]", 0..4),
            mut here in proptest::collection::btree_map("[a-d]", "[0-2]", 0..4),
        ) {
            let first = Merge::of(&brought, &there, &here);
            for name in &first.take {
                match there.get(name) {
                    Some(value) => here.insert(name.clone(), value.clone()),
                    None => here.remove(name),
                };
            }
            let second = Merge::of(&first.brought, &there, &here);
            prop_assert!(second.take.is_empty());
            prop_assert_eq!(second.keep, first.keep);
            prop_assert_eq!(second.brought, first.brought);
        }
    }
}
