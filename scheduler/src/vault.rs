//! Encrypts secrets for the database, under a key that is not in it: XChaCha20-Poly1305
//! with a random nonce, bound to the name of the variable. The keys are in a file of
//! their own, one a line: its id and 32 bytes in base64. The first seals, all open: a
//! rotation puts a new one first, and leaves the others until nothing needs them.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use chacha20poly1305::{
    KeyInit as _, XChaCha20Poly1305, XNonce,
    aead::{Aead as _, Generate as _, Key, Payload},
};

/// Bytes of a nonce.
const NONCE: usize = 24;

/// What keeps secrets from being sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The file of keys.
    #[error("the file of keys {file} cannot be used: {reason}")]
    File {
        /// The file.
        file: String,
        /// Why.
        reason: String,
    },
    /// A key that is not there.
    #[error(
        "the value of {name} is sealed with the key {key}, which is not in the file of keys: give \
         the scheduler the file that it was sealed with"
    )]
    NoKey {
        /// The variable.
        name: String,
        /// The key's id.
        key: String,
    },
    /// A value that was changed, or belongs to another name.
    #[error("the sealed value of {0} is damaged: set it again")]
    Damaged(String),
}

/// A sealed value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// The id of the key that it is sealed with.
    pub key: String,
    /// Nonce and encrypted value, in base64.
    pub value: String,
}

struct Named {
    id: String,
    key: Key<XChaCha20Poly1305>,
}

/// Seals and opens secrets. It has no key until there is something to seal.
#[derive(Clone)]
pub struct Vault {
    file: PathBuf,
    keys: Arc<RwLock<Vec<Named>>>,
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vault").field("file", &self.file).finish_non_exhaustive()
    }
}

impl Vault {
    /// The vault whose keys are in this file, which may not be there yet.
    pub fn open(file: &Path) -> Result<Self, VaultError> {
        Ok(Self { file: file.to_owned(), keys: Arc::new(RwLock::new(read(file)?)) })
    }

    /// Takes in what another process has put into the file since, such as an import: it had
    /// something to seal when there was no key yet.
    fn read_again(&self) -> Result<(), VaultError> {
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        let unknown = read(&self.file)?;
        let unknown = unknown.into_iter().filter(|new| keys.iter().all(|known| known.id != new.id));
        let unknown: Vec<Named> = unknown.collect();
        keys.extend(unknown);
        Ok(())
    }

    fn knows(&self, id: &str) -> bool {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.iter().any(|known| known.id == id)
    }

    /// Seals a variable's value.
    pub fn seal(&self, name: &str, value: &str) -> Result<Sealed, VaultError> {
        self.have_a_key()?;
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let current = keys.first().ok_or_else(|| failed(&self.file, &"it has no key"))?;
        let nonce = XNonce::try_generate().map_err(|error| failed(&self.file, &error))?;
        let payload = Payload { msg: value.as_bytes(), aad: name.as_bytes() };
        let sealed = XChaCha20Poly1305::new(&current.key)
            .encrypt(&nonce, payload)
            .map_err(|_| VaultError::Damaged(name.to_owned()))?;
        let value = STANDARD.encode([nonce.as_slice(), &sealed].concat());
        Ok(Sealed { key: current.id.clone(), value })
    }

    /// Opens a variable's value.
    pub fn unseal(&self, name: &str, sealed: &Sealed) -> Result<String, VaultError> {
        if !self.knows(&sealed.key) {
            self.read_again()?;
        }
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let Some(known) = keys.iter().find(|known| known.id == sealed.key) else {
            let (name, key) = (name.to_owned(), sealed.key.clone());
            return Err(VaultError::NoKey { name, key });
        };
        let damaged = || VaultError::Damaged(name.to_owned());
        let bytes = STANDARD.decode(&sealed.value).map_err(|_| damaged())?;
        let (nonce, sealed) = bytes.split_first_chunk::<NONCE>().ok_or_else(damaged)?;
        let payload = Payload { msg: sealed, aad: name.as_bytes() };
        let value = XChaCha20Poly1305::new(&known.key)
            .decrypt(&XNonce::from(*nonce), payload)
            .map_err(|_| damaged())?;
        String::from_utf8(value).map_err(|_| damaged())
    }

    /// The id of the key that seals; none before the first secret.
    pub fn current(&self) -> Option<String> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.first().map(|current| current.id.clone())
    }

    /// Puts a new key first. What is sealed stays readable.
    pub fn add_key(&self) -> Result<(), VaultError> {
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        let key =
            Key::<XChaCha20Poly1305>::try_generate().map_err(|error| failed(&self.file, &error))?;
        let id = uuid::Uuid::now_v7().simple().to_string();
        keys.insert(0, Named { id, key });
        let written = write(&self.file, &keys);
        if written.is_err() {
            keys.remove(0);
        }
        written.map_err(|error| failed(&self.file, &error))
    }

    /// Forgets all keys but the one that seals.
    pub fn forget_others(&self) -> Result<(), VaultError> {
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        keys.truncate(1);
        write(&self.file, &keys).map_err(|error| failed(&self.file, &error))
    }

    fn have_a_key(&self) -> Result<(), VaultError> {
        if self.current().is_none() {
            self.read_again()?;
        }
        match self.current() {
            Some(_) => Ok(()),
            None => self.add_key(),
        }
    }
}

/// The keys in a file, which may not be there yet.
fn read(file: &Path) -> Result<Vec<Named>, VaultError> {
    match fs::read_to_string(file) {
        Ok(text) => parse(&text).map_err(|reason| failed(file, &reason)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(failed(file, &error)),
    }
}

fn failed(file: &Path, reason: &dyn std::fmt::Display) -> VaultError {
    VaultError::File { file: file.display().to_string(), reason: reason.to_string() }
}

fn parse(text: &str) -> Result<Vec<Named>, String> {
    let mut keys = Vec::new();
    for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
        // The line itself is never quoted: it holds a key.
        let wrong = || format!("line {number} is no key id and 32 bytes in base64");
        let (id, key) = line.trim().split_once(' ').ok_or_else(wrong)?;
        let key = STANDARD.decode(key.trim()).map_err(|_| wrong())?;
        let key = <[u8; 32]>::try_from(key).map_err(|_| wrong())?;
        keys.push(Named { id: id.to_owned(), key: key.into() });
    }
    Ok(keys)
}

/// Writes the file whole or not at all, for its owner only.
fn write(file: &Path, keys: &[Named]) -> io::Result<()> {
    let new = file.with_extension("new");
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut out = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&new)?;
    for Named { id, key } in keys {
        writeln!(out, "{id} {}", STANDARD.encode(key))?;
    }
    out.sync_all()?;
    fs::rename(&new, file)?;
    match file.parent() {
        Some(folder) => fs::File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn what_is_sealed_is_opened_by_the_same_keys_under_the_same_name_only() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("keys");
        let vault = Vault::open(&file).unwrap();
        assert_eq!(vault.current(), None);
        let sealed = vault.seal("KEY", "open sesame").unwrap();
        assert!(!sealed.value.contains("sesame"));
        assert_ne!(vault.seal("KEY", "open sesame").unwrap(), sealed, "each has its own nonce");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let again = Vault::open(&file).unwrap();
        assert_eq!(again.unseal("KEY", &sealed).unwrap(), "open sesame");
        assert!(matches!(again.unseal("OTHER", &sealed), Err(VaultError::Damaged(_))));
        let mut damaged = sealed.clone();
        damaged.value.replace_range(40..41, if &sealed.value[40..41] == "A" { "B" } else { "A" });
        assert!(matches!(again.unseal("KEY", &damaged), Err(VaultError::Damaged(_))));
        let other = Vault::open(&folder.path().join("others")).unwrap();
        assert!(matches!(other.unseal("KEY", &sealed), Err(VaultError::NoKey { .. })));
    }

    #[test]
    fn a_key_that_another_process_has_made_is_found_and_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("keys");
        let (ours, other) = (Vault::open(&file).unwrap(), Vault::open(&file).unwrap());
        let sealed = other.seal("KEY", "value").unwrap();
        assert_eq!(ours.unseal("KEY", &sealed).unwrap(), "value");
        let third = Vault::open(&file).unwrap();
        assert_eq!(third.current(), Some(sealed.key.clone()));
        let late = Vault { file: file.clone(), keys: Arc::default() };
        assert_eq!(late.seal("KEY", "more").unwrap().key, sealed.key, "it makes no second key");
        assert_eq!(Vault::open(&file).unwrap().unseal("KEY", &sealed).unwrap(), "value");
    }

    #[test]
    fn a_rotation_opens_what_was_sealed_before_until_the_old_key_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("keys");
        let vault = Vault::open(&file).unwrap();
        let old = vault.seal("KEY", "value").unwrap();
        vault.add_key().unwrap();
        let new = vault.seal("KEY", "value").unwrap();
        assert_ne!(new.key, old.key);
        let reopened = Vault::open(&file).unwrap();
        assert_eq!(reopened.current(), Some(new.key.clone()));
        assert_eq!(reopened.unseal("KEY", &old).unwrap(), "value");
        vault.forget_others().unwrap();
        assert!(vault.unseal("KEY", &old).is_err());
        assert_eq!(vault.unseal("KEY", &new).unwrap(), "value");
    }

    #[test]
    fn a_file_that_holds_no_keys_is_refused_without_telling_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("keys");
        fs::write(&file, "id c2VjcmV0IHRvbyBzaG9ydA==\n").unwrap();
        let error = Vault::open(&file).unwrap_err().to_string();
        assert!(error.contains("line 1") && !error.contains("c2VjcmV0"), "{error}");
    }
}
