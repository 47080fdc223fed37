//! Finds the program of a command and starts it. What a shell says by exit codes
//! 127 and 126 is said here by the same codes, with a sentence.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    env,
    ffi::{OsStr, OsString},
    fs::{self, File},
    io::{self, Read as _},
    os::unix::{
        ffi::OsStrExt as _,
        fs::{FileTypeExt as _, PermissionsExt as _},
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use super::files;
use crate::{
    link::Launch,
    spool::{self, MARKER},
};

/// Where programs are if nobody says.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What a job's process gets of the agent's own environment. The rest (tokens,
/// sockets, settings of the agent) is none of its business.
const INHERITED: [&str; 7] = ["PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TZ"];

/// Why there is no process.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotLaunched {
    /// 127: not found. 126: found, and cannot be executed.
    pub(super) exit_code: i32,
    /// One sentence.
    pub(super) reason: String,
}

fn not_found(reason: String) -> NotLaunched {
    NotLaunched { exit_code: 127, reason }
}

fn not_executable(reason: String) -> NotLaunched {
    NotLaunched { exit_code: 126, reason }
}

/// Starts the process of an attempt, in a process group of its own.
pub(super) fn spawn(launch: &Launch, folder: &Path) -> Result<Child, NotLaunched> {
    let work = spool::work(folder);
    let environment = environment(launch, folder, &work);
    let path = environment.get(OsStr::new("PATH")).map_or(OsStr::new(PATH), OsString::as_os_str);
    let Some((name, arguments)) = launch.command.split_first() else {
        return Err(not_found("the command is empty".to_owned()));
    };
    let arguments: Vec<Cow<'_, [u8]>> =
        arguments.iter().map(|text| files::with_paths(launch, folder, text)).collect();
    let arguments = || arguments.iter().map(|text| OsStr::from_bytes(text));
    if let Some((variable, path)) = files::missing(launch) {
        let reason = format!("{}: no such file, which {variable} says is there", path.display());
        return Err(not_executable(reason));
    }
    let program = find(name, path, &work)?;
    // No `pre_exec` and a program with a slash: std then uses `posix_spawn`, which
    // costs the same however large this process is.
    let command = |program: &Path| {
        let mut command = Command::new(program);
        command
            .env_clear()
            .envs(&environment)
            .current_dir(&work)
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    };
    let started = command(&program).arg0(name).args(arguments()).spawn();
    match started {
        Err(error) if error.raw_os_error() == Some(libc::ENOEXEC) && is_script(&program) => {
            // A script without `#!`: shells have always run it themselves.
            command(Path::new("/bin/sh")).arg(&program).args(arguments()).spawn()
        }
        started => started,
    }
    .map_err(|error| explain(&error, &program, launch))
}

/// The whole environment of the process.
fn environment(launch: &Launch, folder: &Path, work: &Path) -> BTreeMap<OsString, OsString> {
    let inherited = env::vars_os().filter(|(name, _)| {
        let name = name.to_str().unwrap_or_default();
        INHERITED.contains(&name) || name.starts_with("LC_")
    });
    let mut environment: BTreeMap<OsString, OsString> = inherited.collect();
    environment.entry("PATH".into()).or_insert_with(|| PATH.into());
    let own = launch.environment.iter().map(|(name, value)| {
        let value = files::with_paths(launch, folder, value);
        (name.into(), OsStr::from_bytes(&value).to_owned())
    });
    environment.extend(own);
    environment.insert("MULTIFLEXI_TMP".into(), work.into());
    environment.insert(MARKER.into(), folder.into());
    environment
}

/// The file that `name` means: itself if it has a slash, else the first executable
/// one of that name in `path`.
fn find(name: &str, path: &OsStr, work: &Path) -> Result<PathBuf, NotLaunched> {
    if name.contains('/') {
        let file = work.join(name);
        return match executable(&file) {
            Ok(()) => Ok(file),
            Err(refused) => Err(refused.into_error(name)),
        };
    }
    let mut refused = None;
    for folder in env::split_paths(path) {
        let file = work.join(folder).join(name);
        match executable(&file) {
            Ok(()) => return Ok(file),
            Err(Refused::Missing) => {}
            Err(other) => refused = refused.or(Some((file, other))),
        }
    }
    match refused {
        Some((file, refused)) => Err(refused.into_error(&file.display().to_string())),
        None => Err(not_found(format!("{name}: command not found"))),
    }
}

/// Why a file is no program.
enum Refused {
    Missing,
    Folder,
    Special,
    Permission,
}

impl Refused {
    fn into_error(self, name: &str) -> NotLaunched {
        match self {
            Self::Missing => not_found(format!("{name}: no such file")),
            Self::Folder => not_executable(format!("{name}: is a folder")),
            Self::Special => not_executable(format!("{name}: is no regular file")),
            Self::Permission => not_executable(format!("{name}: permission denied")),
        }
    }
}

fn executable(file: &Path) -> Result<(), Refused> {
    let found = match fs::metadata(file) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            return Err(Refused::Permission);
        }
        Err(_) => return Err(Refused::Missing),
    };
    let kind = found.file_type();
    if kind.is_dir() {
        Err(Refused::Folder)
    } else if kind.is_fifo() || kind.is_socket() || kind.is_char_device() || kind.is_block_device()
    {
        Err(Refused::Special)
    } else if found.permissions().mode() & 0o111 == 0 {
        Err(Refused::Permission)
    } else {
        Ok(())
    }
}

/// Whether a file that the kernel does not know is text.
fn is_script(file: &Path) -> bool {
    let mut head = [0; 256];
    let read = File::open(file).and_then(|mut file| file.read(&mut head));
    read.is_ok_and(|length| !head[..length].contains(&0))
}

fn explain(error: &io::Error, program: &Path, launch: &Launch) -> NotLaunched {
    let name = program.display();
    match error.raw_os_error() {
        Some(libc::ENOENT) if program.exists() => {
            not_executable(format!("{name}: its interpreter was not found"))
        }
        Some(libc::ENOENT) => not_found(format!("{name}: no such file")),
        Some(libc::ENOEXEC) => not_executable(format!("{name}: is no program for this host")),
        Some(libc::E2BIG) => {
            let arguments: usize = launch.command.iter().map(|word| word.len() + 1).sum();
            let variables: usize =
                launch.environment.iter().map(|(name, value)| name.len() + value.len() + 2).sum();
            not_executable(format!(
                "{name}: its arguments ({arguments} bytes) and variables ({variables} bytes) are \
                 more than this host gives a process"
            ))
        }
        _ => not_executable(format!("{name}: cannot be started: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(folder: &Path, name: &str, mode: u32) -> PathBuf {
        let path = folder.join(name);
        fs::write(&path, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    #[test]
    fn the_first_executable_in_the_path_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let [one, two] = ["one", "two"].map(|name| folder.path().join(name));
        fs::create_dir_all(&one).unwrap();
        fs::create_dir_all(&two).unwrap();
        file(&one, "plain", 0o644);
        let program = file(&two, "tool", 0o755);
        let path = env::join_paths([&one, &two]).unwrap();
        let find = |name: &str| find(name, &path, folder.path());
        assert_eq!(find("tool").unwrap(), program);
        assert_eq!(find("two/tool").unwrap(), program);
        assert_eq!(find("nothing").unwrap_err().exit_code, 127);
        assert_eq!(find("./nothing").unwrap_err().exit_code, 127);
        assert_eq!(find("plain").unwrap_err().exit_code, 126);
        assert_eq!(find("./one").unwrap_err().exit_code, 126);
        assert_eq!(find("/dev/null").unwrap_err().exit_code, 126);
    }
}
