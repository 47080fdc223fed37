//! `agent:list`.

use clap::Args;
use multiflexi_proto::v1::ListAgentsRequest;
use serde_json::json;

use super::pages;
use crate::{
    arguments::Paging,
    connect::Server,
    failure::Failure,
    output::{Output, json},
};

/// `agent:list`.
#[derive(Debug, Args)]
pub struct List {
    #[command(flatten)]
    paging: Paging,
}

impl List {
    /// Lists agents.
    pub async fn run(self, server: &Server, output: Output) -> Result<(), Failure> {
        let mut client = server.agents();
        let list = pages(&self.paging, async |page_size, page_token, list| {
            let request = ListAgentsRequest { page_size, page_token };
            let answer = client.list_agents(request).await?.into_inner();
            for agent in answer.agents {
                list.values.push(json!({
                    "id": agent.id,
                    "name": agent.name,
                    "connected": agent.connected,
                    "slots": agent.slots,
                    "busy": agent.busy,
                    "version": agent.version,
                    "last_seen": json::time(agent.last_seen.as_ref()),
                }));
                let state = if agent.connected { "connected" } else { "away" };
                list.rows.push(vec![
                    agent.id.to_string(),
                    agent.name,
                    state.to_owned(),
                    format!("{}/{}", agent.busy, agent.slots),
                    agent.version,
                    json::local(agent.last_seen.as_ref()),
                ]);
            }
            list.next_page_token = answer.next_page_token;
            Ok(())
        })
        .await?;
        output.list("agents", &["ID", "NAME", "STATE", "BUSY", "VERSION", "CONNECTED SINCE"], list)
    }
}
