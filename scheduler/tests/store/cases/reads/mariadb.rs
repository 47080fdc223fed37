//! MariaDB counts the rows that are read of each table.

use multiflexi_fixture::mariadb::MariaDb;

use super::{Counted, JOBS};

/// A server, and the name of the store's database.
pub struct Counting {
    pub server: MariaDb,
    pub name: String,
}

impl Counting {
    pub fn fill(&self) {
        let half = JOBS / 2;
        self.server.run(&format!(
            "USE {}; SET foreign_key_checks = 0, sql_mode = '';
             INSERT INTO job (id, runtemplate_id, app_id, company_id, env, state, attempt, fence,
                 created, ended) SELECT seq, 1, 1, 1, '{{}}', 'succeeded', 1, 1, seq, seq
                 FROM seq_1_to_{JOBS};
             INSERT INTO attempt (job_id, number, fence, state, agent_id)
                 SELECT id, 1, 1, state, 1 FROM job;
             INSERT INTO job (runtemplate_id, app_id, company_id, env, state, created, queued,
                 `rank`) SELECT 1, 1, 1, '{{}}', 'queued', 1, 1, seq FROM seq_1_to_{half};
             INSERT INTO action (job_id, attempt, actionconfig_id, state)
                 SELECT id, 1, 1, 'succeeded' FROM job WHERE attempt = 1;
             ANALYZE TABLE job, attempt, action; SET GLOBAL userstat = 1;",
            self.name
        ));
    }
}

impl Counted for Counting {
    type Since = ();

    fn begin(&self) {
        self.server.run("FLUSH TABLE_STATISTICS");
    }

    fn looked_at(&self, (): ()) -> Option<i64> {
        let read = self.server.run(&format!(
            "SELECT COALESCE(SUM(rows_read), 0) FROM information_schema.table_statistics \
             WHERE table_schema = '{}'",
            self.name
        ));
        Some(read.trim().parse().unwrap()).filter(|rows| *rows > 0)
    }
}
