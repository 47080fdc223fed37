//! PostgreSQL logs how it went about each statement.

use multiflexi_fixture::{database::Database, postgres::Postgres};
use serde_json::Value;

use super::{Counted, JOBS};

/// A server that logs plans, and the store's database.
pub struct Counting {
    pub server: Postgres,
    pub database: Database,
}

impl Counting {
    pub fn fill(&self) {
        let half = JOBS / 2;
        self.server.run_in(
            &self.database,
            &format!(
                "SET session_replication_role = replica;
                 INSERT INTO job (id, runtemplate_id, app_id, company_id, env, state, attempt, fence,
                     request_index, created_by, created, ended, priority)
                     SELECT 1000 + n, 1, 1, 1, '{{}}', 'succeeded', 1, 1, 0, '', n, n, 0
                     FROM generate_series(1, {JOBS}) AS n;
                 INSERT INTO attempt (job_id, number, fence, state, agent_id, command, queued, offered)
                     SELECT id, 1, 1, state, 1, '', 1, 1 FROM job WHERE id > 1000;
                 INSERT INTO action (job_id, attempt, actionconfig_id, runtemplate_id, module,
                     position, configuration, state, created)
                     SELECT id, 1, 1, 1, '', 1, '', 'succeeded', 1 FROM job WHERE id > 1000;
                 INSERT INTO job (id, runtemplate_id, app_id, company_id, env, state, request_index,
                     created_by, created, queued, priority, rank)
                     SELECT 100000 + n, 1, 1, 1, '{{}}', 'queued', 0, '', 1, 1, 0, n
                     FROM generate_series(1, {half}) AS n;"
            ),
        );
    }
}

/// What the leaves of a plan have found, and looked at besides.
fn rows(plan: &Value) -> i64 {
    let number = |name: &str| plan[name].as_f64().unwrap_or_default();
    match plan["Plans"].as_array() {
        Some(inner) => inner.iter().map(rows).sum(),
        None => {
            let removed =
                number("Rows Removed by Filter") + number("Rows Removed by Index Recheck");
            ((number("Actual Rows") + removed) * number("Actual Loops")) as i64
        }
    }
}

/// The plans in a part of the log, each of which is JSON over several lines.
fn plans(log: &str) -> impl Iterator<Item = Value> {
    log.split("plan:\n").skip(1).map(|text| {
        let mut values = serde_json::Deserializer::from_str(text).into_iter();
        values.next().expect("a plan follows").expect("it is JSON")
    })
}

impl Counted for Counting {
    type Since = usize;

    fn begin(&self) -> usize {
        self.server.log().len()
    }

    fn looked_at(&self, since: usize) -> Option<i64> {
        let log = self.server.log();
        let counted: Vec<i64> = plans(&log[since..]).map(|said| rows(&said["Plan"])).collect();
        (!counted.is_empty()).then(|| counted.iter().sum())
    }
}
