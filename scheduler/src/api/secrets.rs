//! `SecretService`.

use multiflexi_proto::v1::{
    RotateKeyRequest, RotateKeyResponse, secret_service_server::SecretService,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::{Answers, Services};
use crate::store::{Reseal, StoreError};

#[tonic::async_trait]
impl SecretService for Services {
    type RotateKeyStream = Answers<RotateKeyResponse>;

    async fn rotate_key(
        &self,
        _: Request<RotateKeyRequest>,
    ) -> Result<Response<Self::RotateKeyStream>, Status> {
        self.store.vault().add_key().map_err(StoreError::from)?;
        tracing::info!("the key of secrets is rotated");
        let (answers, outgoing) = mpsc::channel(1);
        let services = self.clone();
        // It goes on without a listener: half a rotation helps nobody.
        tokio::spawn(async move {
            if let Err(error) = services.reseal(&answers).await {
                tracing::error!(%error, "the rotation of the key of secrets broke off");
                let _ = answers.send(Err(error.into())).await;
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(outgoing))))
    }
}

impl Services {
    async fn reseal(
        &self,
        answers: &mpsc::Sender<Result<RotateKeyResponse, Status>>,
    ) -> Result<(), StoreError> {
        let (mut secrets, mut next) = (0, Reseal::begin());
        while next.after != [None; 2] {
            let done = self.store.change(next).await?;
            secrets += done.secrets;
            let _ = answers.send(Ok(RotateKeyResponse { secrets })).await;
            next = Reseal { after: done.last };
        }
        Ok(self.store.vault().forget_others()?)
    }
}
