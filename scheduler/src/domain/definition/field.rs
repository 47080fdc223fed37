//! A variable that a document declares: what its value may be, and what it is for.

use serde_json::Value;

use super::{
    localized::Localized,
    names::{Named, named},
    options::{self, Choice},
    report::{Report, quote, quote_text},
    section::Section,
};
use crate::domain::environment::{self, VariableError, Variables};

named! {
    /// What the value of a variable may be.
    Kind, "type":
    /// One line of text.
    String = "string",
    /// The path of a file.
    FilePath = "file-path",
    /// An e-mail address.
    Email = "email",
    /// A URL.
    Url = "url",
    /// A whole number.
    Integer = "integer",
    /// A number.
    Float = "float",
    /// Yes or no.
    Bool = "bool",
    /// A secret.
    Password = "password",
    /// One of the options.
    Set = "set",
    /// Lines of text.
    Text = "text",
}

named! {
    /// What a variable is about.
    Category, "category":
    /// The service that the application talks to.
    Api = "API",
    /// A database.
    Database = "Database",
    /// How the application behaves.
    Behavior = "Behavior",
    /// Secrets and rights.
    Security = "Security",
    /// Anything else.
    Other = "Other",
}

/// The names that types had in older files.
const OLDER: &[(&str, Kind)] = &[
    ("boolean", Kind::Bool),
    ("checkbox", Kind::Bool),
    ("directory", Kind::FilePath),
    ("double", Kind::Float),
    ("file", Kind::FilePath),
    ("int", Kind::Integer),
    ("number", Kind::Integer),
    ("secret", Kind::Password),
    ("select", Kind::Set),
    ("switch", Kind::Bool),
    ("textarea", Kind::Text),
];

/// A variable that an application or a type of credentials declares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// What its value may be.
    pub kind: Kind,
    /// What it is about.
    pub category: Option<Category>,
    /// What it is for.
    pub description: Localized,
    /// An example or advice.
    pub hint: Localized,
    /// Its value where nobody gives one; of a bool it is `1`, `0` or empty.
    pub default: Option<String>,
    /// Whether a job needs a value.
    pub required: bool,
    /// Whether its value is never shown; true for each password.
    pub secret: bool,
    /// The values to choose from: a rule for a set, an offer for any other type.
    pub options: Vec<Choice>,
}

impl Field {
    /// Whether its declaration has the value of a secret in it.
    pub fn holds_secret(&self) -> bool {
        let given = |value: &String| !value.is_empty();
        self.secret && (self.default.as_ref().is_some_and(given) || !self.options.is_empty())
    }
}

/// What documents that declare variables differ in.
pub(in crate::domain) struct Rules {
    /// The keys of the default; the first that says something counts.
    pub(in crate::domain) default: &'static [&'static str],
    /// Whether other names of types than those of today's applications are older forms.
    pub(in crate::domain) older: bool,
    /// Whether a value is secret if the document does not say; none is an unknown type.
    pub(in crate::domain) secret: fn(Option<Kind>) -> bool,
    /// Whether a document can say of what is secret by its type that it is not.
    pub(in crate::domain) can_be_shown: bool,
}

/// Reads the declaration of the variable `name`.
pub(in crate::domain) fn read(
    name: &str,
    section: &mut Section<'_>,
    rules: &Rules,
    report: &mut Report,
) -> Field {
    let known = read_kind(section, rules, report);
    let kind = known.unwrap_or(Kind::String);
    let said = section.flag("secret", report);
    let by_kind = (rules.secret)(known);
    let mut field = Field {
        kind,
        category: read_category(section, report),
        description: section.localized("description", report),
        hint: section.localized("hint", report),
        default: None,
        required: section.flag("required", report).unwrap_or(false),
        secret: match said {
            Some(said) if rules.can_be_shown && known.is_some() => said,
            said => said.unwrap_or(false) || by_kind,
        },
        options: Vec::new(),
    };
    if let Some(options) = section.get("options") {
        field.options = options::read(&section.path("options"), options, report);
    }
    if kind == Kind::Set && field.options.is_empty() {
        report.note(&section.path("options"), "a set without options takes any value");
    }
    for key in rules.default {
        let says_nothing = field.default.as_deref().is_none_or(str::is_empty);
        let Some(value) = section.get(key).filter(|_| says_nothing) else { continue };
        let read = read_default(name, &field, value, &section.path(key), report);
        field.default = read.or(field.default);
    }
    field
}

/// The type; none if it is unknown, which is a fault.
fn read_kind(section: &mut Section<'_>, rules: &Rules, report: &mut Report) -> Option<Kind> {
    let path = section.path("type");
    let Some(value) = section.get("type").filter(|value| *value != "") else {
        report.note(&path, "is missing: it is taken as string");
        return Some(Kind::String);
    };
    let text = match value {
        Value::String(text) => text.as_str(),
        other => {
            report.fault(&path, format!("{} is no text: use {}", quote(other), all_kinds()));
            return None;
        }
    };
    if let Some(kind) = Kind::from_name(text) {
        return Some(kind);
    }
    let small = text.trim().to_ascii_lowercase();
    let older = OLDER.iter().find(|(name, _)| *name == small).map(|(_, kind)| *kind);
    let kind = older.or_else(|| Kind::from_name(&small));
    match kind {
        Some(kind) if rules.older => {
            report.note(&path, format!("{} is an older form of {kind}", quote_text(text)));
        }
        Some(_) => {}
        None => report.fault(&path, Kind::refusal(text)),
    }
    kind
}

fn all_kinds() -> String {
    Kind::ALL.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}

/// The category; one that is unknown is no reason to refuse a definition.
fn read_category(section: &mut Section<'_>, report: &mut Report) -> Option<Category> {
    let text = section.text("category", report)?;
    let category = Category::from_name(&text);
    if category.is_none() {
        let text = format!("{}; it is taken as none", Category::refusal(&text));
        report.note(&section.path("category"), text);
    }
    category
}

/// The default, with numbers and booleans as the text that a process gets.
fn read_default(
    name: &str,
    field: &Field,
    value: &Value,
    path: &str,
    report: &mut Report,
) -> Option<String> {
    let Some(mut text) = options::scalar(value) else {
        let quoted = if field.secret { "the value".to_owned() } else { quote(value) };
        report.fault(path, format!("{quoted} is no default: use a text, a number or a boolean"));
        return None;
    };
    // Programs in PHP take the text "False" for true, so they get what they understand.
    if field.kind == Kind::Bool
        && let Some(flag) = super::check::boolean(&text)
    {
        text = String::from(if flag { "1" } else { "0" });
    }
    match environment::check(&Variables::from([(name.to_owned(), text.clone())])) {
        // Its name has its own fault.
        Ok(()) | Err(VariableError::Name(_)) => {}
        Err(error) => report.fault(path, error.to_string()),
    }
    if let Some(problem) = field.problem(&text, field.secret) {
        report.fault(path, problem);
    } else if let Some(problem) = field.not_offered(&text, field.secret) {
        // Files that are in use have this, and their programs run.
        report.note(path, problem);
    }
    if field.secret && field.kind == Kind::Password && !text.is_empty() {
        let known = "is the value of a secret: whoever has this document knows it";
        report.note(path, known);
    }
    Some(text)
}
