//! `AgentService`, for agents, and `AgentAdminService`, for people.

use multiflexi_proto::{
    timestamp,
    v1::{
        self, AppendLogRequest, AppendLogResponse, ConnectRequest, ConnectResponse,
        GetUploadRequest, GetUploadResponse, ListAgentsRequest, ListAgentsResponse,
        UploadArtifactRequest, UploadArtifactResponse,
        agent_admin_service_server::AgentAdminService, agent_service_server::AgentService,
        upload_artifact_request::Part,
    },
};
use tokio::sync::mpsc;
use tokio_stream::{StreamExt as _, wrappers::ReceiverStream};
use tonic::{Request, Response, Status, Streaming};

use super::{Answers, Services, parse, status::invalid};
use crate::{
    artifacts::Incoming,
    dispatch::convert,
    domain::ids::AttemptKey,
    logs::{Appended, DurableTo, Logs},
    store::{AgentFilter, AgentLoad, AgentRow, Order, Sort, Upload},
};

/// Acknowledgements that wait for an agent to read them.
const ACKNOWLEDGEMENTS: usize = 256;

fn key(key: Option<&v1::AttemptKey>) -> Result<AttemptKey, Status> {
    convert::key(key).ok_or_else(|| invalid("key", "the message names no attempt"))
}

#[tonic::async_trait]
impl AgentService for Services {
    type ConnectStream = ReceiverStream<Result<ConnectResponse, Status>>;

    async fn connect(
        &self,
        request: Request<Streaming<ConnectRequest>>,
    ) -> Result<Response<Self::ConnectStream>, Status> {
        self.dispatch.connect(request.into_inner()).await.map(Response::new)
    }

    type AppendLogStream = Answers<AppendLogResponse>;

    async fn append_log(
        &self,
        request: Request<Streaming<AppendLogRequest>>,
    ) -> Result<Response<Self::AppendLogStream>, Status> {
        let (answers, outgoing) = mpsc::channel(ACKNOWLEDGEMENTS);
        tokio::spawn(append(self.logs.clone(), request.into_inner(), answers));
        Ok(Response::new(Box::pin(ReceiverStream::new(outgoing))))
    }

    async fn get_upload(
        &self,
        request: Request<GetUploadRequest>,
    ) -> Result<Response<GetUploadResponse>, Status> {
        let request = request.into_inner();
        let key = key(request.key.as_ref())?;
        let committed_bytes = self.artifacts.committed(key, &request.filename).await?;
        Ok(Response::new(GetUploadResponse { committed_bytes }))
    }

    async fn upload_artifact(
        &self,
        request: Request<Streaming<UploadArtifactRequest>>,
    ) -> Result<Response<UploadArtifactResponse>, Status> {
        let mut parts = request.into_inner();
        let Some(Part::Begin(begin)) = parts.message().await?.and_then(|first| first.part) else {
            return Err(invalid("begin", "an upload begins with what it is"));
        };
        if begin.size_bytes < 0 {
            return Err(invalid("begin.size_bytes", "a size is not negative"));
        }
        let upload = Upload {
            key: key(begin.key.as_ref())?,
            filename: begin.filename,
            size: begin.size_bytes,
        };
        let content = parts.map(|part| match part {
            Ok(UploadArtifactRequest { part: Some(Part::Content(content)) }) => {
                Ok(Incoming::Content(content))
            }
            Ok(UploadArtifactRequest { part: Some(Part::End(end)) }) => {
                let hash = <[u8; 32]>::try_from(end.sha256);
                hash.map(Incoming::End).map_err(|_| "its SHA-256 has not 32 bytes".to_owned())
            }
            Ok(_) => Err("a request has no content".to_owned()),
            Err(status) => Err(status.message().to_owned()),
        });
        let mut content = std::pin::pin!(content);
        let id = self.artifacts.receive(upload, begin.offset, content.as_mut()).await?;
        Ok(Response::new(UploadArtifactResponse { artifact_id: id.0 }))
    }
}

/// Takes in the output of one agent's attempts, until its stream ends.
async fn append(
    logs: Logs,
    mut pieces: Streaming<AppendLogRequest>,
    answers: mpsc::Sender<Result<AppendLogResponse, Status>>,
) {
    let (durable, mut acknowledged) = mpsc::channel(ACKNOWLEDGEMENTS);
    loop {
        let piece = tokio::select! {
            piece = pieces.message() => piece,
            Some(durable) = acknowledged.recv() => {
                if answers.send(Ok(durable_to(durable))).await.is_err() {
                    return;
                }
                continue;
            }
        };
        let answer = match piece {
            Ok(Some(piece)) => take(&logs, &piece, &durable),
            Ok(None) | Err(_) => return,
        };
        if let Some(answer) = answer {
            let broken = answer.is_err();
            if answers.send(answer).await.is_err() || broken {
                return;
            }
        }
    }
}

/// Takes in one piece; the answer, if it needs one at once.
fn take(
    logs: &Logs,
    piece: &AppendLogRequest,
    durable: &mpsc::Sender<DurableTo>,
) -> Option<Result<AppendLogResponse, Status>> {
    let key = match key(piece.key.as_ref()) {
        Ok(key) => key,
        Err(status) => return Some(Err(status)),
    };
    let again = |from| {
        let key = Some(convert::to_key(key));
        AppendLogResponse { key, durable_offset: 0, resend_offset: Some(from) }
    };
    if crc32fast::hash(&piece.frames) != piece.crc32 {
        tracing::warn!(attempt = %key, offset = piece.offset, "output was damaged on the way: asked for again");
        return logs.get(key).map(|log| Ok(again(log.received())));
    }
    match logs.append(key, piece.offset, &piece.frames, durable) {
        // Unknown: the attempt is over, and the agent is told so on its session.
        None | Some(Appended::Taken { .. }) => None,
        Some(Appended::Gap(from)) => Some(Ok(again(from))),
    }
}

fn durable_to(durable: DurableTo) -> AppendLogResponse {
    AppendLogResponse {
        key: Some(convert::to_key(durable.key)),
        durable_offset: durable.offset,
        resend_offset: None,
    }
}

#[tonic::async_trait]
impl AgentAdminService for Services {
    async fn list_agents(
        &self,
        request: Request<ListAgentsRequest>,
    ) -> Result<Response<ListAgentsResponse>, Status> {
        let mut request = request.into_inner();
        let (list, page) = parse::list("agent", &mut request)?;
        let connected = self.store.connected_agents().await?;
        let ids = || connected.iter().map(|load| load.id).collect();
        let among = match request.state() {
            v1::AgentState::Unspecified => None,
            v1::AgentState::Connected => Some((true, ids())),
            v1::AgentState::Away => Some((false, ids())),
        };
        let label = |text: &String| match text.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            None => (text.clone(), None),
        };
        let labels = request.labels.iter().map(label).collect();
        let sort = parse::sort(&request.order_by, &[Order::Id, Order::Name], Sort::default())?;
        let filter = AgentFilter { among, labels, sort };
        let found = self.store.agents(&filter, &page).await?;
        let next_page_token = list.seal(&found.next);
        let agents = found.rows.into_iter().map(|row| agent(row, &connected)).collect();
        Ok(Response::new(ListAgentsResponse { agents, next_page_token }))
    }
}

fn agent(row: AgentRow, connected: &[AgentLoad]) -> v1::Agent {
    let load = connected.iter().find(|load| load.id == row.id);
    v1::Agent {
        id: row.id.0,
        name: row.name,
        connected: load.is_some(),
        slots: row.slots,
        busy: load.map_or(0, |load| i32::try_from(load.busy).unwrap_or(i32::MAX)),
        version: row.version,
        last_seen: Some(timestamp(row.last_seen)),
        labels: row.labels.into_iter().collect(),
    }
}
