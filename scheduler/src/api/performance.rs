//! `RunTemplateService.GetPerformance`: how the newest runs of a run template went.

use std::time::Duration;

use multiflexi_proto::{
    duration, timestamp,
    v1::{GetPerformanceRequest, GetPerformanceResponse, RunTemplateRun},
};
use tonic::Status;

use super::{Services, jobs::to_state, parse, status::invalid};
use crate::{
    domain::{
        ids::RunTemplateId,
        job::State,
        performance::{Run, performance},
    },
    store::RunRow,
};

/// Runs that are looked at if nobody says, and the most.
const RUNS: [i32; 2] = [100, 10_000];

fn answer(row: &RunRow, usual: Option<Duration>) -> RunTemplateRun {
    RunTemplateRun {
        job_id: row.job.0,
        state: to_state(row.state).into(),
        started: row.started.map(timestamp),
        ended: row.ended.map(timestamp),
        took: row.took.map(duration),
        exit_code: row.exit_code,
        long: row.took.zip(usual).is_some_and(|(took, usual)| took > usual),
    }
}

impl Services {
    pub(super) async fn performance(
        &self,
        request: &GetPerformanceRequest,
    ) -> Result<GetPerformanceResponse, Status> {
        let [some, most] = RUNS;
        if !(0..=most).contains(&request.limit) {
            return Err(invalid("limit", format!("limit is {}: take 1 to {most}", request.limit)));
        }
        let limit = if request.limit == 0 { some } else { request.limit };
        let id = parse::id("run_template_id", "run template", request.run_template_id)?;
        let id = RunTemplateId(id);
        let ended = self.store.ended_runs(id, limit.into()).await?;
        if ended.is_empty() {
            self.store.schedule(id).await?;
        }
        let running = self.store.running(id).await?;
        let run = |row: &RunRow| Run { took: row.took, well: row.state == State::Succeeded };
        let found = performance(&ended.iter().map(run).collect::<Vec<_>>());
        let number = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
        // The whole of what was looked at may be one streak.
        let changed = (found.streak < ended.len()).then(|| ended[found.streak - 1].ended);
        Ok(GetPerformanceResponse {
            succeeded: number(found.succeeded),
            p50: found.p50.map(duration),
            p95: found.p95.map(duration),
            usual: found.usual.map(duration),
            streak: number(found.streak),
            changed: changed.flatten().map(timestamp),
            ended: ended.iter().map(|row| answer(row, found.usual)).collect(),
            running: running.iter().map(|row| answer(row, found.usual)).collect(),
        })
    }
}
