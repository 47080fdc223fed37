//! Removes objects that nothing refers to: what a kill has left between an object and
//! its row, on either side.

use super::{Listener, Progress, Removal, RemovalError};
use crate::domain::ids::JobId;

impl Removal {
    pub(super) async fn sweep(
        &self,
        dry_run: bool,
        progress: &mut Progress,
        listener: &Listener,
    ) -> Result<(), RemovalError> {
        let mut pages = self.objects.old_names();
        while let Some(names) = pages.recv().await {
            let mut orphans = Vec::new();
            for name in names? {
                // What is not named after a job is none of ours.
                let Some((job, attempt)) = job_of(&name) else { continue };
                if !self.store.refers_to(job, attempt, &name).await? {
                    orphans.push(name);
                }
            }
            if orphans.is_empty() {
                continue;
            }
            tracing::info!(objects = orphans.len(), dry_run, "objects that nothing refers to");
            progress.objects += orphans.len() as i64;
            if !dry_run {
                self.objects.remove(&orphans).await;
            }
            if listener.send(Ok(progress.clone())).await.is_err() {
                return Ok(());
            }
        }
        Ok(())
    }
}

/// The job and attempt that an object's name speaks of: `logs/JOB/ATTEMPT/START-LENGTH` or
/// `artifacts/JOB/ATTEMPT/ID`. None if it is not a name that we give, to the letter: in a
/// bucket there may be what others keep.
fn job_of(name: &str) -> Option<(JobId, i32)> {
    let parts: Vec<&str> = name.split('/').collect();
    let [kind, job, attempt, last] = parts[..] else { return None };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let ours = match kind {
        "logs" => last.split_once('-').is_some_and(|(start, length)| {
            start.len() == 20 && digits(start) && !length.is_empty() && digits(length)
        }),
        "artifacts" => last.len() == 32 && last.bytes().all(|byte| byte.is_ascii_hexdigit()),
        _ => false,
    };
    let plain = |text: &str| digits(text) && !text.starts_with('0');
    if !ours || !plain(job) || !plain(attempt) {
        return None;
    }
    Some((JobId(job.parse().ok()?), attempt.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_whose_they_are() {
        let (chunk, part) = ("00000000000000002048-512", "018f3c1e9a7b7cc0a1b2c3d4e5f60718");
        assert_eq!(job_of(&format!("logs/12/3/{chunk}")), Some((JobId(12), 3)));
        assert_eq!(job_of(&format!("artifacts/12/1/{part}")), Some((JobId(12), 1)));
    }

    #[test]
    fn what_others_keep_in_the_same_place_is_not_ours() {
        let (chunk, part) = ("00000000000000002048-512", "018f3c1e9a7b7cc0a1b2c3d4e5f60718");
        for other in [
            format!("logs/2024/01/{chunk}"),
            format!("logs/12/3/{part}"),
            format!("logs/12/3/a/{chunk}"),
            format!("artifacts/12/1/{chunk}"),
            format!("backup/12/1/{part}"),
            "logs/2024/11/access.log".to_owned(),
            "logs/12".to_owned(),
            "multiflexi-object-store".to_owned(),
            String::new(),
        ] {
            assert_eq!(job_of(&other), None, "{other}");
        }
    }
}
