//! The program and its parameters, in the key of today or in that of older files.

use crate::domain::{
    command_line::{self, CommandLineError},
    definition::{
        report::{Report, quote_text},
        section::Section,
    },
    environment::Variables,
};

/// Today's key of the parameters.
pub(super) const TEMPLATE: &str = "cmdparamsTemplate";
/// The older one.
pub(super) const OLDER: &str = "cmdparams";

/// Reads executable and parameters.
pub(super) fn read(section: &mut Section<'_>, report: &mut Report) -> (String, String) {
    if !section.has("executable") {
        section.missing("executable", "the program's name or path", report);
    }
    let executable = section.text("executable", report).unwrap_or_default();
    let template = section.text(TEMPLATE, report);
    let older = section.text(OLDER, report);
    if section.get(OLDER).is_some() {
        let text = match (&template, &older) {
            (Some(template), Some(older)) if template != older => {
                "is older than cmdparamsTemplate, which is taken instead"
            }
            _ => "is the older key: use cmdparamsTemplate, with ${NAME} for values",
        };
        report.note(&section.path(OLDER), text);
    }
    let key = if template.is_some() { TEMPLATE } else { OLDER };
    let parameters = template.or(older).unwrap_or_default();
    if !executable.is_empty() {
        check(&section.path("executable"), &executable, "", report);
        if executable.contains(' ') {
            let quoted = quote_text(&executable);
            let text = format!(
                "{quoted} is all the program's name here: parameters go into cmdparamsTemplate"
            );
            report.note(&section.path("executable"), text);
        }
    }
    check(&section.path(key), "program", &parameters, report);
    if let Some(word) = shell_only(&parameters) {
        let quoted = quote_text(&word);
        let text = format!("{quoted} reaches the program as it is written: no shell runs here");
        report.note(&section.path(key), text);
    }
    (executable, parameters)
}

/// Whether it can be launched at all is said now and not at its first job.
fn check(path: &str, executable: &str, parameters: &str, report: &mut Report) {
    match command_line::build(executable, parameters, &Variables::new()) {
        // What is missing has its own fault.
        Ok(_) | Err(CommandLineError::NoExecutable) => {}
        Err(error) => report.fault(path, error.to_string()),
    }
}

/// A word that only a shell would understand; PHP MultiFlexi runs one.
fn shell_only(parameters: &str) -> Option<String> {
    const OPERATORS: &[&str] = &["|", "||", "&", "&&", ";", "<", ">", ">>", "2>", "2>>", "2>&1"];
    let variable = |word: &str| {
        let mut after = word.split('$').skip(1);
        after.any(|rest| rest.starts_with(|c: char| c.is_ascii_alphabetic() || "_(".contains(c)))
    };
    shell_words::split(parameters)
        .ok()?
        .into_iter()
        .find(|word| OPERATORS.contains(&word.as_str()) || variable(word) || word.contains('`'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_needs_a_shell_is_noticed() {
        for parameters in ["a | b", "$HOME/x", "-d $(date)", "`date`", "a > b"] {
            assert!(shell_only(parameters).is_some(), "{parameters}");
        }
        for parameters in ["", "-f {FILE} ${NAME}", "'a|b' --x=1>2", "costs 5$", "'"] {
            assert_eq!(shell_only(parameters), None, "{parameters}");
        }
    }
}
