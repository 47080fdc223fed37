//! Files that were given to a job as variables: written for the job's user alone before the
//! launch, beside the working directory, and removed when the job has ended.

use std::{
    borrow::Cow,
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Write as _},
    os::unix::{
        ffi::OsStrExt as _,
        fs::{DirBuilderExt as _, OpenOptionsExt as _},
    },
    path::Path,
};

use crate::{link::Launch, spool};

/// Stands for the folder of the files in variables and arguments.
const FILES: &str = "{MULTIFLEXI_FILES}";

/// Writes the files of a launch. Done again, it begins anew.
pub(super) fn deliver(launch: &Launch, attempt: &Path) -> io::Result<()> {
    let mut private = DirBuilder::new();
    private.recursive(true).mode(0o700);
    for file in &launch.files {
        // What the scheduler says is checked there, and leads nowhere else by itself.
        let plain = |name: &str| !matches!(name, "" | "." | "..") && !name.contains('/');
        if !plain(&file.variable) || !plain(&file.name) {
            let problem = format!("{:?} is no name for a file of {}", file.name, file.variable);
            return Err(io::Error::new(io::ErrorKind::InvalidInput, problem));
        }
        let folder = spool::files(attempt).join(&file.variable);
        private.create(&folder)?;
        OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(folder.join(&file.name))?
            .write_all(&file.content)?;
    }
    Ok(())
}

/// Removes the files of an attempt that has ended.
pub(super) fn remove(attempt: &Path) -> io::Result<()> {
    match fs::remove_dir_all(spool::files(attempt)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Which variable names a file that must be there and is not, and where it is looked for. A
/// relative path is the job's own business: its working directory is empty.
pub(super) fn missing(launch: &Launch) -> Option<(&str, &Path)> {
    launch.required_files.iter().find_map(|name| {
        let path = Path::new(launch.environment.get(name)?);
        (path.is_absolute() && !path.exists()).then_some((name.as_str(), path))
    })
}

/// A variable's value or an argument, with the folder of the files in place of what stands
/// for it.
pub(super) fn with_paths<'t>(launch: &Launch, attempt: &Path, text: &'t str) -> Cow<'t, [u8]> {
    if launch.files.is_empty() || !text.contains(FILES) {
        return Cow::Borrowed(text.as_bytes());
    }
    let folder = spool::files(attempt);
    let parts: Vec<&[u8]> = text.split(FILES).map(str::as_bytes).collect();
    Cow::Owned(parts.join(folder.as_os_str().as_bytes()))
}
