//! `ArtifactService`.

use multiflexi_proto::{
    timestamp,
    v1::{
        self, DownloadArtifactRequest, DownloadArtifactResponse, GetArtifactRequest,
        GetArtifactResponse, ListArtifactsRequest, ListArtifactsResponse,
        artifact_service_server::ArtifactService,
    },
};
use tokio::sync::mpsc;
use tokio_stream::{StreamExt as _, wrappers::ReceiverStream};
use tonic::{Request, Response, Status};

use super::{Answers, Services, parse, status::invalid};
use crate::{
    domain::ids::{ArtifactId, JobId},
    store::{ArtifactFilter, ArtifactRow, Order, Sort},
};

/// Pieces that wait for a reader.
const AHEAD: usize = 4;

fn artifact(row: ArtifactRow) -> v1::Artifact {
    v1::Artifact {
        id: row.id.0,
        job_id: row.job.0,
        attempt: row.attempt,
        filename: row.filename,
        content_type: row.content_type,
        size_bytes: row.size,
        sha256: row.sha256.as_deref().map(super::hash).unwrap_or_default(),
        note: row.note,
        created: Some(timestamp(row.created)),
        failed: row.failed,
    }
}

#[tonic::async_trait]
impl ArtifactService for Services {
    async fn list_artifacts(
        &self,
        request: Request<ListArtifactsRequest>,
    ) -> Result<Response<ListArtifactsResponse>, Status> {
        let mut request = request.into_inner();
        let (list, page) = parse::list("artifact", &mut request)?;
        let job = parse::optional_id("job_id", "job", request.job_id)?.map(JobId);
        if request.attempt < 0 {
            return Err(invalid("attempt", format!("{} is no attempt", request.attempt)));
        }
        if let Some(job) = job {
            // A list of nothing is no answer about a job that there is not.
            self.store.job(job).await?;
        }
        let default = if job.is_some() { Sort::default() } else { Sort::NEWEST };
        let filter = ArtifactFilter {
            job,
            attempt: (request.attempt > 0).then_some(request.attempt),
            failed: match request.state() {
                v1::ArtifactState::Unspecified => None,
                v1::ArtifactState::Stored => Some(false),
                v1::ArtifactState::Failed => Some(true),
            },
            sort: parse::sort(&request.order_by, &Order::ALL, default)?,
            content_type: request.content_type,
            name: request.name,
        };
        let found = self.store.artifacts(&filter, &page).await?;
        let next_page_token = list.seal(&found.next);
        let artifacts = found.rows.into_iter().map(artifact).collect();
        Ok(Response::new(ListArtifactsResponse { artifacts, next_page_token }))
    }

    async fn get_artifact(
        &self,
        request: Request<GetArtifactRequest>,
    ) -> Result<Response<GetArtifactResponse>, Status> {
        let id = parse::id("artifact_id", "artifact", request.into_inner().artifact_id)?;
        let row = self.store.artifact(ArtifactId(id)).await?;
        Ok(Response::new(GetArtifactResponse { artifact: Some(artifact(row)) }))
    }

    type DownloadArtifactStream = Answers<DownloadArtifactResponse>;

    async fn download_artifact(
        &self,
        request: Request<DownloadArtifactRequest>,
    ) -> Result<Response<Self::DownloadArtifactStream>, Status> {
        let request = request.into_inner();
        let id = parse::id("artifact_id", "artifact", request.artifact_id)?;
        let row = self.artifacts.readable(ArtifactId(id), request.offset).await?;
        let (pieces, arrived) = mpsc::channel(AHEAD);
        let artifacts = self.artifacts.clone();
        let sent = tokio::spawn(async move { artifacts.send(&row, request.offset, &pieces).await });
        let content =
            ReceiverStream::new(arrived).map(|content| Ok(DownloadArtifactResponse { content }));
        // What went wrong on the way is the stream's end.
        let end = tokio_stream::once(sent).then(|sent| sent);
        let end = end.filter_map(|result| match result {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(Err(error.into())),
            Err(error) => Some(Err(Status::internal(error.to_string()))),
        });
        Ok(Response::new(Box::pin(content.chain(end))))
    }
}
