//! What happens to attempts on this host, and what the scheduler is told of it.

use std::sync::Arc;

use multiflexi_proto::v1::{self, FailedArtifact};
use tonic::Status;

use super::Session;
use crate::{
    link::{AttemptKey, Completion, Event},
    session::{
        create_job_artifacts::create_job_artifacts,
        holdings::Phase,
        log_pump::Command,
        messages,
        outgoing_log::{News, Spool},
        telemetry,
    },
    spool,
};

/// Things the supervisor says that are dealt with before the scheduler is told.
const AT_ONCE: usize = 256;

impl Session<'_> {
    /// Deals with what the supervisor says, and with what it has said besides.
    pub(super) async fn happened(&mut self, event: Event) {
        let mut next = Some(event);
        for left in (0..AT_ONCE).rev() {
            let Some(event) = next else { return };
            self.holdings.note(&event);
            match event {
                Event::Hello { .. } => {}
                Event::Started(key, started) => {
                    self.outbox.begin(messages::started(key, started));
                }
                Event::LogGrew(key, length) => self.pump.send(Command::Grew(key, length)).await,
                Event::Waits(key, reason) => {
                    self.pump.send(Command::Waits(key, !reason.is_empty())).await;
                    self.outbox.waiting.push_back(messages::waiting(key, &reason));
                }
                Event::Ended(key, completion) => {
                    self.pump.send(Command::Grew(key, completion.log_length)).await;
                    if self.holdings.get(key).is_some() {
                        self.end(key, &completion);
                    }
                }
            }
            next = if left > 0 { self.supervisor.try_next() } else { None };
        }
    }

    /// A process has ended: its files are uploaded, if there are any.
    pub(super) fn end(&mut self, key: AttemptKey, completion: &Completion) {
        if !completion.has_files {
            self.complete(key, messages::completion(key, completion, Vec::new()));
            return;
        }
        self.outbox.finishing.push(messages::to_key(key));
        let work = spool::work(&spool::attempt(&self.config.directory, key));
        let (client, at_once) = (self.client.clone(), Arc::clone(&self.at_once));
        let names = completion.masked_names.clone();
        self.uploads.spawn(async move {
            (key, create_job_artifacts(client, key, work, names, at_once).await)
        });
    }

    pub(super) fn uploaded(
        &mut self,
        key: AttemptKey,
        result: Result<Vec<FailedArtifact>, Status>,
    ) -> Result<(), Status> {
        let failed = result?;
        if let Some(Phase::Ended(completion)) = self.holdings.get(key).map(|one| &one.phase) {
            let completion = messages::completion(key, completion, failed);
            self.complete(key, completion);
        }
        Ok(())
    }

    pub(super) fn complete(&mut self, key: AttemptKey, mut completion: v1::Completion) {
        telemetry::completed(key);
        completion.lost_output = self.holdings.lost(key);
        self.holdings.set(key, Phase::Completed(Box::new(completion.clone())));
        self.outbox.complete(completion);
    }

    /// Deals with how a spool is. A final record that was sent before is sent again with what
    /// is lost: the scheduler waits for output otherwise.
    pub(super) fn spool(&mut self, News { key, spool }: News) {
        let waits = match spool {
            Spool::Readable => String::new(),
            Spool::Waits(reason) => reason,
            Spool::Lost { from, reason } => {
                let waits = format!("the rest of its output is lost: {reason}");
                let from_offset = i64::try_from(from).unwrap_or(i64::MAX);
                let lost = v1::LostOutput { from_offset, reason };
                self.outbox.completed.extend(self.holdings.set_lost(key, Some(lost)));
                waits
            }
        };
        self.outbox.waiting.push_back(messages::waiting(key, &waits));
    }
}
