//! `ZabbixService`.

use multiflexi_proto::{
    timestamp,
    v1::{
        GetZabbixDiscoveryRequest, GetZabbixDiscoveryResponse, GetZabbixStatusRequest,
        GetZabbixStatusResponse, TestZabbixRequest, TestZabbixResponse, UnknownZabbixItem,
        ZabbixDiscoveryKind, zabbix_service_server::ZabbixService,
    },
};
use tonic::{Request, Response, Status};

use super::{Services, status::invalid};
use crate::zabbix::{
    self,
    discovery::{Inventory, Kind},
};

/// Most items that a status names.
const MOST_ITEMS: usize = 1_000;

impl Services {
    /// The host in Zabbix of companies that have none of their own.
    fn zabbix_host(&self) -> &str {
        self.zabbix.settings().map_or("", |settings| &settings.host)
    }
}

#[tonic::async_trait]
impl ZabbixService for Services {
    async fn get_zabbix_status(
        &self,
        _: Request<GetZabbixStatusRequest>,
    ) -> Result<Response<GetZabbixStatusResponse>, Status> {
        let settings = self.zabbix.settings();
        let condition = self.zabbix.condition();
        let progress = self.store.zabbix_progress().await?;
        let (away_since, away_reason) = condition.away.unzip();
        let item = |((host, key), waiting): (zabbix::Item, Option<usize>)| UnknownZabbixItem {
            host,
            key,
            waiting: waiting.map(|waiting| i64::try_from(waiting).unwrap_or(i64::MAX)),
        };
        let unknown_items = condition.unknown.into_iter().take(MOST_ITEMS).map(item).collect();
        let here =
            progress.sender.as_ref().is_some_and(|(scheduler, _)| *scheduler == self.store.me());
        Ok(Response::new(GetZabbixStatusResponse {
            server: settings.map(|settings| settings.link.to_string()).unwrap_or_default(),
            host: self.zabbix_host().to_owned(),
            encrypted: settings.is_some_and(|settings| settings.link.psk.is_some()),
            here,
            sender: progress.sender.map(|(_, address)| address).unwrap_or_default(),
            cursor: progress.cursor,
            behind: progress.cursor.map_or(0, |cursor| (progress.newest - cursor).max(0)),
            behind_since: progress.oldest.map(timestamp),
            away_since: away_since.map(timestamp),
            away_reason: away_reason.unwrap_or_default(),
            last_taken: condition.last_taken.map(timestamp),
            unknown_items,
            lost: i64::try_from(condition.lost).unwrap_or(i64::MAX),
        }))
    }

    async fn test_zabbix(
        &self,
        _: Request<TestZabbixRequest>,
    ) -> Result<Response<TestZabbixResponse>, Status> {
        let (Some(settings), Some(answer)) = (self.zabbix.settings(), self.zabbix.test().await)
        else {
            let reason = "no Zabbix server is configured: start the scheduler with ZABBIX_SERVER";
            return Err(Status::failed_precondition(reason));
        };
        let taken = answer.map_err(|away| Status::unavailable(away.to_string()))?;
        Ok(Response::new(TestZabbixResponse {
            server: settings.link.to_string(),
            host: settings.host.clone(),
            key: zabbix::TEST.to_owned(),
            taken: taken.processed > 0,
        }))
    }

    async fn get_zabbix_discovery(
        &self,
        request: Request<GetZabbixDiscoveryRequest>,
    ) -> Result<Response<GetZabbixDiscoveryResponse>, Status> {
        let kind = ZabbixDiscoveryKind::try_from(request.into_inner().kind)
            .map_err(|error| invalid("kind", error))?;
        let kind = match kind {
            ZabbixDiscoveryKind::Unspecified => {
                return Err(invalid("kind", "say what is to be discovered"));
            }
            ZabbixDiscoveryKind::Company => Kind::Company,
            ZabbixDiscoveryKind::RunTemplate => Kind::RunTemplate,
            ZabbixDiscoveryKind::Agent => Kind::Agent,
            ZabbixDiscoveryKind::Action => Kind::Action,
            ZabbixDiscoveryKind::Job => {
                let discovery = zabbix::discovery::jobs(&self.store).await?;
                return Ok(Response::new(GetZabbixDiscoveryResponse { discovery }));
            }
        };
        let inventory = Inventory::of(&self.store).await?;
        let discovery = inventory.all(kind, self.zabbix_host());
        Ok(Response::new(GetZabbixDiscoveryResponse { discovery }))
    }
}
