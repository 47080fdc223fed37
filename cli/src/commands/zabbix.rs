//! `zabbix:status`, `zabbix:test`, `zabbix:lld`.

use clap::{Args, ValueEnum};
use multiflexi_program::counted;
use multiflexi_proto::v1::{
    GetZabbixDiscoveryRequest, GetZabbixStatusRequest, TestZabbixRequest, UnknownZabbixItem,
    ZabbixDiscoveryKind,
};
use serde_json::{Value, json};

use crate::{
    connect::Server,
    exit_code::Exit,
    failure::Failure,
    output::{self, Output, json},
};

/// Shows how far Zabbix has been told what happens.
pub async fn status(server: &Server, output: Output) -> Result<(), Failure> {
    let status = server.zabbix().get_zabbix_status(GetZabbixStatusRequest {}).await?.into_inner();
    let item = |item: &UnknownZabbixItem| json!({ "host": item.host, "key": item.key, "waiting": item.waiting });
    let value = json!({
        "server": json::text(&status.server),
        "host": json::text(&status.host),
        "encrypted": status.encrypted,
        "here": status.here,
        "sender": json::text(&status.sender),
        "cursor": status.cursor,
        "behind": status.behind,
        "behind_since": json::time(status.behind_since.as_ref()),
        "away_since": json::time(status.away_since.as_ref()),
        "away_reason": json::text(&status.away_reason),
        "last_taken": json::time(status.last_taken.as_ref()),
        "unknown_items": status.unknown_items.iter().map(item).collect::<Vec<Value>>(),
        "lost": status.lost,
    });
    let told = match (status.server.as_str(), status.encrypted) {
        ("", _) => "nothing: start the scheduler with ZABBIX_SERVER".to_owned(),
        (server, false) => server.to_owned(),
        (server, true) => format!("{server}, encrypted"),
    };
    let behind = match (status.cursor, status.behind) {
        (None, _) => String::new(),
        (_, 0) => "nothing".to_owned(),
        (_, events) => {
            let since = json::local(status.behind_since.as_ref());
            format!("{}, since {since}", counted(events, "event"))
        }
    };
    let away = match status.away_since.as_ref() {
        None => String::new(),
        since => format!("since {}: {}", json::local(since), status.away_reason),
    };
    let unknown = |item: &UnknownZabbixItem| match item.waiting {
        Some(waiting) => {
            let values = counted(waiting, "value");
            format!("{} of {}: {values} to come", item.key, item.host)
        }
        None => format!("{} of {}: given up", item.key, item.host),
    };
    let unknown: Vec<String> = status.unknown_items.iter().map(unknown).collect();
    let fields = [
        ("zabbix", told),
        ("host there", status.host.clone()),
        ("told by", if status.here { "this scheduler".to_owned() } else { status.sender.clone() }),
        ("still to tell", behind),
        ("away", away),
        ("last taken", json::local(status.last_taken.as_ref())),
        ("no such item", unknown.join("\n")),
        ("given up", status.lost.to_string()),
    ];
    output.one(&value, &fields)
}

/// Sends a value to the test's item.
pub async fn test(server: &Server, output: Output) -> Result<(), Failure> {
    let answer = server.zabbix().test_zabbix(TestZabbixRequest {}).await?.into_inner();
    let (zabbix, host, key) = (&answer.server, &answer.host, &answer.key);
    if !answer.taken {
        let message = format!(
            "Zabbix at {zabbix} answers, and has no item {key} on a host {host:?} that is enabled"
        );
        return Err(Failure::new(Exit::NotFound, message).hint(
            "make that host in Zabbix and link the template of deploy/zabbix to it; the server \
             knows it when it has read its configuration anew (CacheUpdateFrequency)",
        ));
    }
    let value = json!({ "server": zabbix, "host": host, "key": key, "taken": true });
    output.done(&value, &format!("Zabbix at {zabbix} has taken a value for {key} of {host}"))
}

/// `zabbix:lld`.
#[derive(Debug, Args)]
pub struct Discovery {
    /// What is to be discovered
    #[arg(value_name = "WHAT")]
    kind: Kind,
}

/// What can be discovered.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
    Company,
    Runtemplate,
    Agent,
    Action,
    Job,
}

impl Discovery {
    /// Prints the JSON that Zabbix's discovery takes, whatever the format.
    pub async fn run(self, server: &Server) -> Result<(), Failure> {
        let kind = match self.kind {
            Kind::Company => ZabbixDiscoveryKind::Company,
            Kind::Runtemplate => ZabbixDiscoveryKind::RunTemplate,
            Kind::Agent => ZabbixDiscoveryKind::Agent,
            Kind::Action => ZabbixDiscoveryKind::Action,
            Kind::Job => ZabbixDiscoveryKind::Job,
        };
        let request = GetZabbixDiscoveryRequest { kind: kind.into() };
        let answer = server.zabbix().get_zabbix_discovery(request).await?.into_inner();
        output::print(&format!("{}\n", answer.discovery))
    }
}
