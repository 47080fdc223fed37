//! What is answered about definitions: of applications, and of types of credentials.

use multiflexi_proto::v1::{DefinitionNote, ImportOutcome};

use crate::{
    domain::definition::{Invalid, Note},
    store::Put,
};

/// The language of texts that are for people.
pub(super) const LANGUAGE: &str = "en";

/// What became of a definition that was stored.
pub(super) fn outcome<Id>(put: &Put<Id>) -> ImportOutcome {
    match put {
        Put::Created(_) => ImportOutcome::Created,
        Put::Changed(_) => ImportOutcome::Changed,
        Put::Unchanged(_) => ImportOutcome::Unchanged,
    }
}

/// What the author should know.
pub(super) fn notes(notes: &[Note]) -> Vec<DefinitionNote> {
    let note = |note: &Note| DefinitionNote { path: note.path.clone(), text: note.text.clone() };
    notes.iter().map(note).collect()
}

/// Faults and notes of a document that was only looked at.
pub(super) fn looked_at<D>(
    read: Result<D, Invalid>,
    notes_of: impl FnOnce(&D) -> &[Note],
) -> (Vec<DefinitionNote>, Vec<DefinitionNote>) {
    match read {
        Ok(definition) => (Vec::new(), notes(notes_of(&definition))),
        Err(invalid) => {
            let faults = invalid.faults.into_iter();
            let faults =
                faults.map(|fault| DefinitionNote { path: fault.path, text: fault.problem });
            (faults.collect(), Vec::new())
        }
    }
}
