//! `RetentionService`.

use multiflexi_proto::v1::{
    ApplyRetentionRequest, ApplyRetentionResponse, retention_service_server::RetentionService,
};
use tokio_stream::{StreamExt as _, wrappers::ReceiverStream};
use tonic::{Request, Response, Status};

use super::{Answers, Services};

#[tonic::async_trait]
impl RetentionService for Services {
    type ApplyRetentionStream = Answers<ApplyRetentionResponse>;

    async fn apply_retention(
        &self,
        request: Request<ApplyRetentionRequest>,
    ) -> Result<Response<Self::ApplyRetentionStream>, Status> {
        let dry_run = request.into_inner().dry_run;
        let progress = self.removal.apply_retention(self.keep, dry_run);
        let answers = ReceiverStream::new(progress).map(|progress| {
            let progress = progress?;
            Ok(ApplyRetentionResponse {
                jobs: progress.jobs,
                objects: progress.objects,
                missing_objects: progress.missing,
                missing_job_ids: progress.missing_of.iter().map(|job| job.0).collect(),
            })
        });
        Ok(Response::new(Box::pin(answers)))
    }
}
