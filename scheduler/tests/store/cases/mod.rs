//! The cases, by what they are about.

pub mod actions;
pub mod adopted;
pub mod attempts;
pub mod catalogue;
pub mod contents;
pub mod declared;
pub mod ends;
pub mod events;
pub mod lists;
pub mod queue;
pub mod reads;
pub mod schedulers;
pub mod schedules;
pub mod schema;
pub mod turns;
pub mod zabbix;
