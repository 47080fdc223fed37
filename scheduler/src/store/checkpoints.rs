//! SQLite's log of changes is taken over into the database's file beside the writer. SQLite
//! does it by itself, but within a commit: whoever waits for the write lock waits as long,
//! hundreds of milliseconds on a busy disk. It still begins the log anew, when that has grown
//! to `wal_autocheckpoint`; little is left to take over then.

use sqlx::Row as _;
use tokio::sync::watch;

use super::{Dialect, connection::Readers};

/// About how many pages are taken over at once: some milliseconds of a disk's time, and far
/// from where SQLite does it within a commit.
const PAGES: i64 = 1000;

/// Most commits that are waited for, however little they write.
const COMMITS: i64 = 64;

/// Takes over what is committed, until the connections are closed. Only SQLite has to be
/// asked: the others do it by themselves.
pub(super) async fn run(readers: Readers, dialect: Dialect, mut committed: watch::Receiver<()>) {
    let Some(checkpoint) = dialect.checkpoint() else { return };
    let (mut pages, mut commits, mut due) = (0, 0, 1);
    while committed.changed().await.is_ok() {
        commits += 1;
        if commits < due {
            continue;
        }
        match sqlx::query(checkpoint).fetch_one(&readers).await {
            Ok(row) => {
                let now = row.try_get(1).unwrap_or_default();
                due = next(pages, now, commits);
                (pages, commits) = (now, 0);
            }
            Err(sqlx::Error::PoolClosed) => return,
            // The writer's own commits do it then.
            Err(error) => {
                tracing::debug!(%error, "the log of changes cannot be taken over yet");
                (commits, due) = (0, COMMITS);
            }
        }
    }
}

/// After how many commits it is due again, if `commits` have brought the log from `before`
/// to `now` pages, and the next write as much.
fn next(before: i64, now: i64, commits: i64) -> i64 {
    // It has been begun anew between them.
    let written = if now < before { now } else { now - before };
    let each = (written / commits.max(1)).max(1);
    (PAGES / each).clamp(1, COMMITS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Vault,
        store::{Change, Location, Store, StoreError, Tx},
    };

    #[test]
    fn it_is_due_when_about_so_many_pages_are_written() {
        assert_eq!(next(0, 100, 10), 64, "small commits are waited for, but not for ever");
        assert_eq!(next(1000, 1800, 16), 20);
        assert_eq!(next(3900, 500, 2), 4, "the log was begun anew");
        assert_eq!(next(0, 5000, 1), 1, "one commit is enough");
        assert_eq!(next(100, 100, 1), 64, "nothing was written");
    }

    /// Writes some pages.
    struct Write;

    impl Change for Write {
        type Output = ();

        async fn apply(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
            let write = "INSERT INTO setting (name, value, changed) VALUES ($1, $2, 0)";
            let value = "x".repeat(400_000);
            sqlx::query(write).bind("large").bind(value).execute(&mut *tx.conn).await?;
            Ok(())
        }
    }

    #[tokio::test]
    async fn what_is_committed_comes_into_the_file_without_the_writer() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("db");
        let name = file.display().to_string();
        let location = Location { url: format!("sqlite://{name}?mode=rwc"), name };
        let vault = Vault::open(&folder.path().join("keys")).unwrap();
        let store = Store::open(&location, vault).await.unwrap();
        // Far less than what makes the writer do it.
        store.change(Write).await.unwrap();
        let taken_over = || std::fs::metadata(&file).unwrap().len() > 400_000;
        let waited = async {
            while !taken_over() {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        };
        let patience = std::time::Duration::from_secs(30);
        tokio::time::timeout(patience, waited).await.expect("it is in the log alone");
        store.close().await;
    }
}
