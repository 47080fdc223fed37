//! What users see, over real processes: scheduler, agent and command line. Each
//! file is a part of a user's world; each test is named after what it promises.

#![allow(clippy::unwrap_used, reason = "all of this is tests")]

mod action_settings;
mod actions;
mod adoption;
mod agents;
mod applications;
mod artifacts;
mod backup;
mod bad_input;
mod certificates;
mod commands;
mod completion;
mod contexts;
mod control;
mod credentials;
mod events;
mod exit_codes;
mod files;
mod followers;
mod life;
mod lists;
mod lost_output;
mod mail;
mod monitoring;
mod object_store;
mod one_command;
mod output;
mod performance;
mod printed;
mod restarts;
mod retries;
mod schedulers;
mod schedules;
mod scripts;
mod traces;
mod transfer;
mod volume;
mod web_hooks;
mod zabbix;
