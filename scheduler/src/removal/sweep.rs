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
            if listener.send(Ok(*progress)).await.is_err() {
                return Ok(());
            }
        }
        Ok(())
    }
}

/// The job and attempt that an object's name speaks of: `logs/JOB/ATTEMPT/…`.
fn job_of(name: &str) -> Option<(JobId, i32)> {
    let mut parts = name.split('/');
    let kind = parts.next()?;
    let (job, attempt) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    matches!(kind, "logs" | "artifacts").then_some((JobId(job), attempt))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_whose_they_are() {
        assert_eq!(job_of("logs/12/3/000"), Some((JobId(12), 3)));
        assert_eq!(job_of("artifacts/12/1/abc"), Some((JobId(12), 1)));
        for other in ["logs/x/3/0", "logs/12", "backup/1/1/1", ""] {
            assert_eq!(job_of(other), None, "{other}");
        }
    }
}
