//! Contexts: schedulers under names that people give them, in a file of the user's. What
//! else is in the file, comments too, stays when a command changes it; a file that cannot
//! be understood is never written.

use std::{
    env, fs,
    io::{self, Write as _},
    ops::Range,
    path::{Path, PathBuf},
};

use toml_edit::{Document, DocumentMut, Item, Table, TableLike};

use crate::{exit_code::Exit, failure::Failure};

/// The scheduler that is asked if nobody names another.
pub const DEFAULT: &str = "http://127.0.0.1:7780";

/// Names another file.
const FILE: &str = "MULTIFLEXI_CONTEXT_FILE";

/// Longest name, in characters.
const LONGEST: usize = 64;

/// The scheduler that a command asks, and who says so.
#[derive(Debug)]
pub struct Chosen {
    /// Its URL.
    pub server: String,
    /// The context that it is from.
    pub context: Option<String>,
    /// What named the scheduler or the context.
    pub by: &'static str,
}

/// Chooses the scheduler. `server` and `context` are what the arguments say; they come
/// before the variables, and these before the context in use.
pub fn choose(server: Option<&str>, context: Option<&str>) -> Result<Chosen, Failure> {
    let plain = |server: String, by| Ok(Chosen { server, context: None, by });
    let named = |contexts: &Contexts, name: &str, by| {
        let server = contexts.server(name)?.to_owned();
        Ok(Chosen { server, context: Some(name.to_owned()), by })
    };
    if let Some(server) = server {
        return plain(server.to_owned(), "--server");
    }
    if let Some(name) = context {
        return named(&Contexts::read()?, name, "--context");
    }
    if let Some(server) = variable("MULTIFLEXI_SERVER") {
        return plain(server, "MULTIFLEXI_SERVER");
    }
    if let Some(name) = variable("MULTIFLEXI_CONTEXT") {
        return named(&Contexts::read()?, &name, "MULTIFLEXI_CONTEXT");
    }
    let contexts = Contexts::read()?;
    match contexts.current() {
        Some(name) => named(&contexts, name, "the context in use"),
        None => plain(DEFAULT.to_owned(), "nobody: it is the default"),
    }
}

/// A variable; none if it is empty.
fn variable(name: &str) -> Option<String> {
    let value = env::var_os(name).filter(|value| !value.is_empty())?;
    Some(value.to_string_lossy().into_owned())
}

/// The file that contexts are in; none for who has no home.
fn file() -> Option<PathBuf> {
    let folder = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    folder(FILE).or_else(|| {
        let settings = folder("XDG_CONFIG_HOME").filter(|folder| folder.is_absolute());
        let settings = settings.or_else(|| Some(folder("HOME")?.join(".config")))?;
        Some(settings.join("multiflexi/contexts.toml"))
    })
}

/// All contexts.
#[derive(Debug)]
pub struct Contexts {
    path: Option<PathBuf>,
    document: DocumentMut,
}

impl Contexts {
    /// Reads the file; none is like an empty one.
    pub fn read() -> Result<Self, Failure> {
        let path = file();
        let text = match path.as_deref().map(fs::read_to_string) {
            None => String::new(),
            Some(Ok(text)) => text,
            Some(Err(error)) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Some(Err(error)) => {
                let message = format!("{} cannot be read: {error}", shown(path.as_deref()));
                return Err(Failure::usage(message).hint(format!(
                    "make it readable, or name the scheduler with --server; {FILE} may name another file"
                )));
            }
        };
        let broken = |span: Option<Range<usize>>, reason: &str| {
            let line = span.map_or(1, |span| 1 + text[..span.start].matches('\n').count());
            let file = shown(path.as_deref());
            Failure::usage(format!("{file} is broken in line {line}: {reason}"))
                .hint("mend that line or remove the file; --server works without it")
        };
        let document = Document::parse(text.as_str())
            .map_err(|error| broken(error.span(), error.message().lines().next().unwrap_or("")))?;
        check(&document).map_err(|(span, reason)| broken(span, &reason))?;
        let document = document.into_mut();
        Ok(Self { path, document })
    }

    /// The name of the context in use, if one is.
    pub fn current(&self) -> Option<&str> {
        self.document.get("current").and_then(Item::as_str)
    }

    /// All, with their schedulers, as they are in the file.
    pub fn all(&self) -> impl Iterator<Item = (&str, &str)> {
        let contexts = self.document.get("contexts").and_then(Item::as_table_like);
        contexts.into_iter().flat_map(TableLike::iter).filter_map(|(name, context)| {
            Some((name, context.as_table_like()?.get("server")?.as_str()?))
        })
    }

    /// The scheduler of a context.
    pub fn server(&self, name: &str) -> Result<&str, Failure> {
        let found = self.all().find(|(known, _)| *known == name);
        found.map(|(_, server)| server).ok_or_else(|| {
            let name: String = name.chars().take(LONGEST).collect();
            let names: Vec<&str> = self.all().map(|(name, _)| name).collect();
            let there_are = match names.as_slice() {
                [] => "it has none".to_owned(),
                names => format!("it has {}", names.join(", ")),
            };
            let file = shown(self.path.as_deref());
            Failure::new(
                Exit::NotFound,
                format!("there is no context {name:?} in {file}: {there_are}"),
            )
            .hint("make it with `multiflexi-cli context:set NAME --server URL`, or take another")
        })
    }

    /// Creates a context or changes it; whether it is new.
    pub fn set(&mut self, name: &str, server: &str) -> Result<bool, Failure> {
        let plain = |one: char| one.is_alphanumeric() || "-_.".contains(one);
        if name.is_empty() || name.chars().count() > LONGEST || !name.chars().all(plain) {
            let name: String = name.chars().take(LONGEST).collect();
            let reason = format!(
                "{name:?} is no name of a context: take 1 to {LONGEST} letters, digits, -, _ and ."
            );
            return Err(Failure::usage(reason));
        }
        let is_new = self.server(name).is_err();
        let mut implicit = Table::new();
        implicit.set_implicit(true);
        let contexts = self.document.entry("contexts").or_insert(Item::Table(implicit));
        let context = contexts
            .as_table_like_mut()
            .map(|contexts| contexts.entry(name).or_insert_with(|| Item::Table(Table::new())));
        if let Some(context) = context.and_then(Item::as_table_like_mut) {
            context.insert("server", toml_edit::value(server));
        }
        Ok(is_new)
    }

    /// Makes a context the one in use.
    pub fn take(&mut self, name: &str) -> Result<(), Failure> {
        self.server(name)?;
        self.document["current"] = toml_edit::value(name);
        Ok(())
    }

    /// Removes a context; whether it was the one in use.
    pub fn remove(&mut self, name: &str) -> Result<bool, Failure> {
        self.server(name)?;
        let contexts = self.document.get_mut("contexts").and_then(Item::as_table_like_mut);
        contexts.and_then(|contexts| contexts.remove(name));
        let was_in_use = self.current() == Some(name);
        if was_in_use {
            self.document.remove("current");
        }
        Ok(was_in_use)
    }

    /// Writes the file: whoever reads it finds the old one or the new one, whole.
    pub fn write(&self) -> Result<(), Failure> {
        let failed = |error: io::Error| {
            let file = shown(self.path.as_deref());
            Failure::new(Exit::CannotWrite, format!("{file} cannot be written: {error}"))
                .hint(format!("{FILE} may name another file"))
        };
        let path = self.path.as_deref().ok_or_else(|| {
            let message =
                "there is no folder for contexts: neither HOME nor XDG_CONFIG_HOME is set";
            Failure::new(Exit::CannotWrite, message).hint(format!("{FILE} may name a file"))
        })?;
        // A link to the file stays one.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        fs::create_dir_all(folder).map_err(failed)?;
        // Only its owner may read it, as `tempfile` makes files.
        let mut file =
            tempfile::Builder::new().prefix(".contexts-").tempfile_in(folder).map_err(failed)?;
        file.write_all(self.document.to_string().as_bytes()).map_err(failed)?;
        file.as_file().sync_all().map_err(failed)?;
        file.persist(&path).map_err(|error| failed(error.error))?;
        Ok(())
    }
}

fn shown(path: Option<&Path>) -> String {
    path.map_or_else(|| "the file of contexts".to_owned(), |path| path.display().to_string())
}

/// Says where the file does not say what it should.
fn check(document: &Document<&str>) -> Result<(), (Option<Range<usize>>, String)> {
    if let Some(current) = document.get("current")
        && !current.is_str()
    {
        return Err((
            current.span(),
            "current must be the name of a context, in quotes".to_owned(),
        ));
    }
    let Some(all) = document.get("contexts") else { return Ok(()) };
    let Some(contexts) = all.as_table_like() else {
        return Err((all.span(), "contexts must be a table".to_owned()));
    };
    for (name, context) in contexts.iter() {
        let server = context.as_table_like().and_then(|context| context.get("server"));
        if !server.is_some_and(Item::is_str) {
            let span = server.and_then(Item::span).or_else(|| context.span());
            let looks = format!("server = \"{DEFAULT}\"");
            return Err((span, format!("context {name:?} needs a line such as {looks}")));
        }
    }
    Ok(())
}
