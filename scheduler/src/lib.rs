//! The scheduler: the only process that touches the database. Services (`api`)
//! ask the rules (`domain`) and the `store`; `dispatch` turns what they decide
//! into messages to agents; `logs` and `artifacts` keep what jobs leave.

pub mod dispatch;
pub mod domain;
pub mod events;
pub mod logs;
pub mod objects;
pub mod store;
