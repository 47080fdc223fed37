//! Stores the parts of a file while the next ones arrive, for as long as that takes.

use bytes::Bytes;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{ArtifactError, Artifacts};
use crate::{
    domain::ids::ArtifactId,
    objects::{self, ObjectError},
    store::{AddPart, Part, Upload},
};

/// A part that is being stored. When its upload is dropped, as its sender is gone, it is
/// stored all the same, but not waited for.
pub(super) struct Storing {
    stored: JoinHandle<Result<(), ArtifactError>>,
    _sender: DropGuard,
}

impl Storing {
    /// Waits until it is durable.
    pub(super) async fn done(self) -> Result<(), ArtifactError> {
        let stored = self.stored.await;
        // It is never aborted: it fails to join only if it panicked.
        stored.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
    }
}

impl Artifacts {
    /// Stores a part beside what arrives. While the object store is away it tries on, and
    /// so the sender waits, with what it has sent and nothing more.
    pub(super) fn store_part(
        &self,
        upload: &Upload,
        artifact: ArtifactId,
        part: Part,
        pieces: Vec<Bytes>,
    ) -> Storing {
        let (artifacts, upload) = (self.clone(), upload.clone());
        let sender = CancellationToken::new();
        let gone = sender.clone();
        let stored = tokio::spawn(async move {
            let put = || artifacts.objects.put(&part.object, pieces.clone());
            artifacts.patiently(&upload, || !gone.is_cancelled(), put).await?;
            artifacts.store.change(AddPart { key: upload.key, artifact, part }).await?;
            Ok(())
        });
        Storing { stored, _sender: sender.drop_guard() }
    }

    /// Asks the object store, again and again while it is away and the sender is `there`;
    /// the job says so.
    pub(super) async fn patiently<T, F>(
        &self,
        upload: &Upload,
        there: impl Fn() -> bool,
        ask: impl FnMut() -> F,
    ) -> Result<T, ObjectError>
    where
        F: Future<Output = Result<T, ObjectError>>,
    {
        let (log, mut told) = (self.logs.get(upload.key), false);
        // A full store is the agent's to wait for: it says so on its side too.
        let passes = |error: &ObjectError| error.passes() && *error != ObjectError::Full && there();
        let done = objects::patiently(ask, passes, |error| {
            let (attempt, filename) = (upload.key, &upload.filename);
            if !std::mem::replace(&mut told, true) {
                tracing::error!(%attempt, filename, %error, "a file cannot be stored; trying on");
            }
            if let Some(log) = &log {
                log.set_trouble(format!("its file {filename:?} cannot be stored: {error}"));
            }
        })
        .await;
        if let Some(log) = log.filter(|_| told) {
            log.clear_trouble();
        }
        done
    }
}
