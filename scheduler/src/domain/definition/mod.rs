//! Reading the JSON documents in which applications and types of credentials describe
//! themselves: every fault is found, older forms are taken and said, and what both have
//! in common (names in languages, variables with their types) means the same.

pub(in crate::domain) mod check;
pub(in crate::domain) mod document;
pub(in crate::domain) mod field;
pub(in crate::domain) mod heading;
#[cfg(test)]
pub(in crate::domain) mod in_use;
pub(in crate::domain) mod localized;
pub(in crate::domain) mod names;
pub(in crate::domain) mod options;
pub(in crate::domain) mod report;
pub(in crate::domain) mod section;

pub use document::MAX_DOCUMENT;
pub use field::{Category, Field, Kind};
pub use localized::Localized;
pub use names::Named;
pub use options::Choice;
pub use report::{Fault, Invalid, Note};
