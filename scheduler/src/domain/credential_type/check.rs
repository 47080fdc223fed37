//! Whether the variables of a credential are what its type says.

use super::CredentialType;
use crate::domain::environment::Given;

impl CredentialType {
    /// What is wrong with variables, a sentence each: values of another type, and those
    /// that are missing. No sentence holds a secret.
    pub fn faults(&self, given: &Given) -> Vec<String> {
        let fault = |known: &super::TypeField| {
            let (name, field) = (&known.keyword, &known.field);
            match (given.values.get(name), given.files.get(name)) {
                (Some(value), _) => field.check(name, value, field.secret).err(),
                (None, Some(_)) => field.check_file(name).err(),
                (None, None) if field.required && field.default.is_none() => {
                    Some(format!("{name} is required and has no value"))
                }
                (None, None) => None,
            }
        };
        self.fields.iter().filter_map(fault).collect()
    }

    /// The variables of a credential as a job gets them: with the defaults of those that
    /// have no value, and with what the type says to be no secret.
    pub fn complete(&self, given: &Given) -> Given {
        let mut complete = given.clone();
        for known in &self.fields {
            let (name, field) = (&known.keyword, &known.field);
            if let (false, Some(default)) = (given.contains(name), &field.default) {
                complete.values.insert(name.clone(), default.clone());
            }
            match field.secret && complete.contains(name) {
                true => complete.secret.insert(name.clone()),
                false => complete.secret.remove(name),
            };
        }
        complete
    }
}
