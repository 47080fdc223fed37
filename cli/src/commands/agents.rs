//! `agent:list`.

use std::collections::BTreeMap;

use clap::{Args, ValueEnum};
use multiflexi_proto::v1::{Agent, AgentState, ListAgentsRequest};
use serde_json::{Value, json};

use super::pages;
use crate::{
    arguments::Paging,
    connect::Server,
    failure::Failure,
    output::{Output, json},
};

/// An agent, for machines.
pub fn value(agent: &Agent) -> Value {
    json!({
        "id": agent.id,
        "name": agent.name,
        "connected": agent.connected,
        "slots": agent.slots,
        "busy": agent.busy,
        "version": agent.version,
        "labels": agent.labels.iter().collect::<BTreeMap<_, _>>(),
        "last_seen": json::time(agent.last_seen.as_ref()),
    })
}

/// `agent:list`.
#[derive(Debug, Args)]
pub struct List {
    #[command(flatten)]
    paging: Paging,
    /// Only agents in this state
    #[arg(long, value_name = "STATE")]
    state: Option<State>,
    /// Only agents with this label, of any value or this one; may be given again
    #[arg(long, value_name = "NAME[=VALUE]")]
    label: Vec<String>,
    /// What they are sorted by: id or name, upwards, or downwards as in "name desc"
    /// [default: id]
    #[arg(long, value_name = "ORDER", default_value = "", hide_default_value = true)]
    order: String,
}

/// Whether an agent is there.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum State {
    Connected,
    Away,
}

impl List {
    /// Lists agents.
    pub async fn run(self, server: &Server, output: Output) -> Result<(), Failure> {
        let mut client = server.agents();
        let state = match self.state {
            None => AgentState::Unspecified,
            Some(State::Connected) => AgentState::Connected,
            Some(State::Away) => AgentState::Away,
        };
        let list = pages(&self.paging, async |page_size, page_token, list| {
            let request = ListAgentsRequest {
                page_size,
                page_token,
                state: state.into(),
                labels: self.label.clone(),
                order_by: self.order.clone(),
            };
            let answer = client.list_agents(request).await?.into_inner();
            for agent in answer.agents {
                list.values.push(value(&agent));
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
