//! What bash needs: it takes a word apart at each `:` and `=`, so that `job:show` is three
//! words to it; and it knows no descriptions.

use std::{
    env,
    ffi::OsString,
    io::{self, Write},
    path::Path,
};

use clap::Command;
use clap_complete::{CompletionCandidate, env::EnvCompleter};

use super::{at_cursor, description};

/// The characters at which bash may end a word within one of ours.
const BREAKS: &str = "_MULTIFLEXI_WORDBREAKS";

/// What made bash complete: the code of `COMP_TYPE`.
const KIND: &str = "_MULTIFLEXI_COMP_TYPE";

/// Puts together the words up to the cursor: what follows a word without white space is
/// a part of it. Works in all versions from 3.2 on, with and without bash-completion.
const SCRIPT: &str = r#"
_NAME() {
    local rest="${COMP_LINE:0:COMP_POINT}" words=() word i
    for ((i = 0; i <= COMP_CWORD; i++)); do
        word="${COMP_WORDS[i]}"
        if ((i > 0)) && [[ -n "$COMP_LINE" && "$rest" != [[:space:]]* ]]; then
            ((i == COMP_CWORD)) && word="$rest"
            words[${#words[@]}-1]+="$word"
        else
            rest="${rest#"${rest%%[![:space:]]*}"}"
            ((i == COMP_CWORD)) && [[ -n "$COMP_LINE" ]] && word="$rest"
            words+=("$word")
        fi
        rest="${rest#"$word"}"
    done
    COMPREPLY=()
    while IFS= read -r word; do
        COMPREPLY+=("$word")
    done < <(
        VAR=bash \
        _CLAP_COMPLETE_INDEX="$((${#words[@]} - 1))" \
        _MULTIFLEXI_COMP_TYPE="$COMP_TYPE" \
        _MULTIFLEXI_WORDBREAKS="$COMP_WORDBREAKS" \
            PROGRAM -- "${words[@]}" 2>/dev/null
    )
    if [[ ${#COMPREPLY[@]} -eq 1 && "${COMPREPLY[0]}" == *[/=] ]]; then
        compopt -o nospace 2>/dev/null
    fi
}
complete -o nosort -F _NAME BIN 2>/dev/null || complete -F _NAME BIN
"#;

/// bash.
pub struct Bash;

impl EnvCompleter for Bash {
    fn name(&self) -> &'static str {
        "bash"
    }

    fn is(&self, name: &str) -> bool {
        name == "bash"
    }

    fn write_registration(
        &self,
        variable: &str,
        name: &str,
        bin: &str,
        program: &str,
        script: &mut dyn Write,
    ) -> Result<(), io::Error> {
        let text = SCRIPT
            .replace("NAME", &name.replace('-', "_"))
            .replace("BIN", bin)
            .replace("VAR", variable)
            .replace("PROGRAM", &shell_words::quote(program));
        script.write_all(text.trim_start().as_bytes())
    }

    fn write_complete(
        &self,
        command: &mut Command,
        words: Vec<OsString>,
        folder: Option<&Path>,
        answer: &mut dyn Write,
    ) -> Result<(), io::Error> {
        let index = words.len() - 1;
        let current = words[index].to_string_lossy().into_owned();
        let candidates = at_cursor(command, words, index, folder)?;
        let is_list = matches!(env::var(KIND).as_deref(), Ok("33" | "63" | "64"));
        let breaks = env::var(BREAKS).unwrap_or_default();
        write_lines(&candidates, is_list, kept(&current, &breaks), answer)
    }
}

/// Writes the candidates, one a line. Where bash only lists them they have their
/// descriptions, unless there is one alone: that is put into the line.
fn write_lines(
    candidates: &[CompletionCandidate],
    is_list: bool,
    kept: &str,
    answer: &mut dyn Write,
) -> Result<(), io::Error> {
    let values: Vec<_> =
        candidates.iter().map(|candidate| candidate.get_value().to_string_lossy()).collect();
    let width = values.iter().map(|value| value.chars().count()).max().unwrap_or_default();
    for (candidate, value) in candidates.iter().zip(&values) {
        let help = description(candidate).filter(|_| is_list && candidates.len() > 1);
        let rest = value.strip_prefix(kept).unwrap_or(value);
        match help {
            Some(help) => {
                let width = width.saturating_sub(kept.chars().count());
                writeln!(answer, "{rest:width$}  ({help})")?;
            }
            None => writeln!(answer, "{}", quoted(rest))?,
        }
    }
    Ok(())
}

/// The part of the current word that bash keeps: up to the last character that ends a
/// word of bash's.
fn kept<'a>(current: &'a str, breaks: &str) -> &'a str {
    let is_break = |character: char| {
        breaks.contains(character) && !character.is_whitespace() && !"\"'".contains(character)
    };
    let end = current.rfind(is_break);
    end.and_then(|at| Some(at + current.get(at..)?.chars().next()?.len_utf8()))
        .map_or("", |end| &current[..end])
}

/// A value as it is written in a line: all that the shell would read is escaped.
fn quoted(value: &str) -> String {
    let plain = |character: char| character.is_alphanumeric() || "_-./:=@%+,~^".contains(character);
    let mut text = String::with_capacity(value.len());
    for character in value.chars() {
        if !plain(character) {
            text.push('\\');
        }
        text.push(character);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(values: &[(&'static str, &'static str)], is_list: bool, current: &str) -> String {
        let candidates: Vec<_> = values
            .iter()
            .map(|(value, help)| CompletionCandidate::new(value).help(Some((*help).into())))
            .collect();
        let mut answer = Vec::new();
        write_lines(&candidates, is_list, kept(current, " \n\"'><=;|&(:"), &mut answer).unwrap();
        String::from_utf8(answer).unwrap()
    }

    #[test]
    fn what_bash_keeps_is_not_repeated() {
        assert_eq!(lines(&[("job:show", "")], false, "job:s"), "show\n");
        assert_eq!(lines(&[("--job=12", "")], false, "--job=1"), "12\n");
        assert_eq!(lines(&[("job:show", "")], false, "jo"), "job:show\n");
        assert_eq!(kept("job:show", " \n"), "");
    }

    #[test]
    fn descriptions_are_in_lists_and_never_in_the_line() {
        let two = [("7", "failed"), ("12", "running")];
        assert_eq!(lines(&two, false, ""), "7\n12\n");
        assert_eq!(lines(&two, true, ""), "7   (failed)\n12  (running)\n");
        assert_eq!(lines(&two[..1], true, ""), "7\n");
    }

    #[test]
    fn what_the_shell_would_read_is_escaped() {
        assert_eq!(lines(&[("a b$(c)", "")], false, ""), "a\\ b\\$\\(c\\)\n");
    }
}
