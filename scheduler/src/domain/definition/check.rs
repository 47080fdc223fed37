//! Whether a value is what its variable may be. A value with a placeholder is taken
//! as it is, for what it will be is known only when the job is made.

use super::{
    field::{Field, Kind},
    report::quote_text,
};

impl Field {
    /// Checks a value for this variable. The sentence holds it only if it is not `secret`,
    /// which a value may be though the definition does not say so.
    pub fn check(&self, name: &str, value: &str, secret: bool) -> Result<(), String> {
        if value.is_empty() {
            return if self.required {
                Err(format!("{name} is required: its value must not be empty"))
            } else {
                Ok(())
            };
        }
        let problem = match self.kind {
            Kind::Set => self.not_offered(value, secret),
            _ => self.problem(value, secret),
        };
        problem.map_or(Ok(()), |problem| Err(format!("{name}: {problem}")))
    }

    /// Checks that a file can be given for this variable.
    pub fn check_file(&self, name: &str) -> Result<(), String> {
        match self.kind {
            Kind::FilePath | Kind::String | Kind::Text | Kind::Password => Ok(()),
            kind => Err(format!("{name}: takes a value of type {kind}, and no file")),
        }
    }

    /// Why a value is not of the type.
    pub(in crate::domain) fn problem(&self, value: &str, secret: bool) -> Option<String> {
        if value.is_empty() || has_placeholder(value) {
            return None;
        }
        let (right, what) = match self.kind {
            Kind::Integer => (integer(value), "no whole number, as 42 or -7"),
            Kind::Float => {
                (value.parse::<f64>().is_ok_and(f64::is_finite), "no number, as 42 or -0.7")
            }
            Kind::Bool => {
                (boolean(value).is_some(), "neither true, 1, yes, on nor false, 0, no, off")
            }
            Kind::Email => (email(value), "no e-mail address, as name@example.com"),
            Kind::Url => (url(value), "no URL, as https://example.com/"),
            Kind::FilePath => (!value.contains('\n'), "no path: it has more than one line"),
            Kind::String | Kind::Password | Kind::Set | Kind::Text => (true, ""),
        };
        (!right).then(|| format!("{} is {what}", shown(value, secret)))
    }

    /// Why a value is none of the options, if there are any.
    pub(in crate::domain) fn not_offered(&self, value: &str, secret: bool) -> Option<String> {
        let offered = |value| self.options.iter().any(|choice| choice.value == value);
        if value.is_empty() || self.options.is_empty() || offered(value) || has_placeholder(value) {
            return None;
        }
        let mut options: Vec<_> =
            self.options.iter().take(10).map(|choice| quote_text(&choice.value)).collect();
        if self.options.len() > 10 {
            options.push(format!("or one of {} more", self.options.len() - 10));
        }
        let (shown, options) = (shown(value, secret), options.join(", "));
        Some(format!("{shown} is none of the options: use {options}"))
    }
}

fn shown(value: &str, secret: bool) -> String {
    if secret { "the value".to_owned() } else { quote_text(value) }
}

/// A boolean, in the forms that PHP MultiFlexi takes.
pub(in crate::domain) fn boolean(text: &str) -> Option<bool> {
    let is = |forms: [&str; 4]| forms.iter().any(|form| text.eq_ignore_ascii_case(form));
    if is(["true", "1", "yes", "on"]) {
        Some(true)
    } else if is(["false", "0", "no", "off"]) {
        Some(false)
    } else {
        None
    }
}

fn integer(text: &str) -> bool {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
}

/// One address. Whether it can be delivered to, only mail can tell.
fn email(text: &str) -> bool {
    let outside = |c: char| c.is_whitespace() || c.is_control() || "<>(),;:\"".contains(c);
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    !local.is_empty()
        && !local.contains('@')
        && !text.contains(outside)
        && domain.split('.').all(|label| {
            !label.is_empty()
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.chars().all(|c| c.is_alphanumeric() || c == '-')
        })
}

/// An absolute URL with a place in it: `localhost:80` would be one without.
pub(in crate::domain) fn url(text: &str) -> bool {
    text.contains("://") && !text.contains(char::is_whitespace) && url::Url::parse(text).is_ok()
}

/// Whether there is a `{NAME}` or `${NAME}`.
fn has_placeholder(text: &str) -> bool {
    text.split('{').skip(1).any(|rest| {
        rest.split_once('}').is_some_and(|(name, _)| {
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        })
    })
}

#[cfg(test)]
mod tests {
    use super::{super::Choice, super::Localized, *};
    use proptest::prelude::*;

    fn field(kind: Kind) -> Field {
        Field {
            kind,
            category: None,
            description: Localized::default(),
            hint: Localized::default(),
            default: None,
            required: false,
            secret: kind == Kind::Password,
            options: Vec::new(),
        }
    }

    fn options(values: &[&str]) -> Vec<Choice> {
        let label = Localized::default;
        values.iter().map(|v| Choice { value: (*v).to_owned(), label: label() }).collect()
    }

    #[test]
    fn each_type_takes_its_values_and_refuses_others() {
        let cases: &[(Kind, &[&str], &[&str])] = &[
            (Kind::Integer, &["0", "-7", "+123456789012345678901"], &["1.0", "x", "-", " 1"]),
            (Kind::Float, &["0", "-0.7", "1e3"], &["0,7", "inf", "NaN", "1 "]),
            (Kind::Bool, &["true", "FALSE", "1", "off", "Yes"], &["y", "2", "truee"]),
            (Kind::Email, &["a@b.cz", "a.b+c@localhost"], &["a", "@b", "a@", "A <a@b>", "a@b..c"]),
            (Kind::Url, &["https://a.cz:5434/x?y", "smtp://a"], &["a.cz", "localhost:80", "//a"]),
            (Kind::FilePath, &["/etc/fstab", "./a b"], &["a\nb"]),
            (Kind::Text, &["a\nb", "ž"], &[]),
        ];
        for (kind, right, wrong) in cases {
            let field = field(*kind);
            for value in *right {
                assert_eq!(field.check("A", value, false), Ok(()), "{kind}");
            }
            for value in *wrong {
                let problem = field.check("A", value, false).unwrap_err();
                assert!(problem.starts_with("A: ") && problem.contains(" is n"), "{problem}");
            }
            assert_eq!(field.check("A", "", false), Ok(()), "{kind}");
            assert_eq!(field.check("A", "x{OTHER}", false), Ok(()), "{kind}");
        }
    }

    #[test]
    fn a_set_is_bound_to_its_options_and_other_types_are_not() {
        let set = Field { options: options(&["MAIN", "ADDITIONAL"]), ..field(Kind::Set) };
        assert_eq!(set.check("LINE", "MAIN", false), Ok(()));
        assert_eq!(
            set.check("LINE", "main", false),
            Err("LINE: \"main\" is none of the options: use \"MAIN\", \"ADDITIONAL\"".to_owned())
        );
        assert_eq!(Field { kind: Kind::String, ..set }.check("LINE", "main", false), Ok(()));
        assert_eq!(
            field(Kind::Set).check("LINE", "any", false),
            Ok(()),
            "there is nothing to choose from"
        );
    }

    #[test]
    fn required_fields_want_a_value() {
        let field = Field { required: true, ..field(Kind::Password) };
        let problem = field.check("TOKEN", "", false).unwrap_err();
        assert_eq!(problem, "TOKEN is required: its value must not be empty");
    }

    proptest! {
        #[test]
        fn no_sentence_holds_a_secret(secret in "s3cr[a-z ]{8}", kind in 0..Kind::ALL_LEN) {
            let kind = Kind::nth(kind);
            let field = Field { options: options(&["a"]), ..field(kind) };
            if let Err(problem) = field.check("A", &secret, true) {
                prop_assert!(!problem.contains("s3cr"), "{problem}");
            }
        }

        #[test]
        fn any_value_is_taken_or_refused(value in any::<String>(), kind in 0..Kind::ALL_LEN) {
            let _ = field(Kind::nth(kind)).check("A", &value, false);
        }
    }

    impl Kind {
        const ALL_LEN: usize = <Self as super::super::names::Named>::ALL.len();

        fn nth(n: usize) -> Self {
            <Self as super::super::names::Named>::ALL[n].1
        }
    }
}
