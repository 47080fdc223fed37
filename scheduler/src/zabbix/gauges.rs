//! How the queue, the agents and the companies are now: told every interval, and lost if
//! nobody hears it.

use std::collections::HashMap;

use serde_json::json;

use super::{discovery::Inventory, protocol::Value};
use crate::store::{Store, StoreError};

/// What there is to be told.
pub async fn values(
    store: &Store,
    inventory: &Inventory,
    host: &str,
) -> Result<Vec<Value>, StoreError> {
    let gauges = store.gauges().await?;
    let connected = store.connected_agents().await?;
    let loads = store.company_loads().await?;
    let sum = |part: fn(&crate::store::AgentLoad) -> i64| connected.iter().map(part).sum::<i64>();
    let waited = gauges.oldest.map_or(0, |oldest| (gauges.now - oldest).max(0) / 1_000_000);
    let value = |key: String, value: serde_json::Value| {
        Value::new(host, key, value.to_string(), gauges.now * 1000)
    };
    let mut values = vec![value(
        "multiflexi.queue".to_owned(),
        json!({
            "ready": gauges.ready,
            "held": gauges.held,
            "running": gauges.running,
            "oldest_seconds": waited,
            "paused": i32::from(gauges.paused),
            "agents_connected": connected.len(),
            "slots": sum(|agent| agent.slots),
            "slots_busy": sum(|agent| agent.busy),
        }),
    )];
    let connected: HashMap<i64, _> = connected.iter().map(|agent| (agent.id.0, agent)).collect();
    values.extend(inventory.agents.iter().map(|(id, _)| {
        let agent = connected.get(id);
        let told = json!({
            "connected": i32::from(agent.is_some()),
            "slots": agent.map_or(0, |agent| agent.slots),
            "slots_busy": agent.map_or(0, |agent| agent.busy),
        });
        value(format!("multiflexi.agent[{id}]"), told)
    }));
    let loads: HashMap<i64, _> = loads.iter().map(|load| (load.id.0, load)).collect();
    values.extend(inventory.companies.iter().map(|company| {
        let load = loads.get(&company.id.0);
        let told = json!({
            "waiting": load.map_or(0, |load| load.waiting),
            "running": load.map_or(0, |load| load.on_agents),
        });
        value(format!("multiflexi.company[{}]", company.id), told)
    }));
    Ok(values)
}
