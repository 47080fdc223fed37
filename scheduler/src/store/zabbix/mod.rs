//! What Zabbix is told: changes of jobs with what is known of them, and what there is to
//! watch. How far it has been told stands in `setting`, so that nothing is left out when a
//! scheduler is restarted, and one of several schedulers tells it.

mod cursor;
mod gauges;
mod told;
mod watched;

pub(super) use cursor::told;
pub use cursor::{AdvanceZabbix, ForgetZabbix, TakeZabbix, ZabbixCursor, ZabbixProgress};
pub use gauges::Gauges;
pub use told::{JobFacts, Told};
pub use watched::{Watched, WatchedAction, WatchedCompany};
