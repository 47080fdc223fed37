//! Lists of jobs: filtered, sorted and paged by the database, each page a range of an
//! index however many jobs there are.

use std::ops::Range;

use sqlx::AssertSqlSafe;

use super::{COLUMNS, FROM, JOINED, JobRow};
use crate::{
    domain::{
        ids::{AgentId, ApplicationId, CompanyId, RunTemplateId},
        job::State,
    },
    store::{Listed, MAX_PAGE, Page, Store, StoreError, page::foreign_token, transitions},
};

/// Which jobs a list has, and in which order.
#[derive(Clone, Debug, Default)]
pub struct JobFilter {
    /// Only these states; empty for all.
    pub states: Vec<State>,
    /// Only this run template's.
    pub run_template: Option<RunTemplateId>,
    /// Only this company's.
    pub company: Option<CompanyId>,
    /// Only this application's.
    pub application: Option<ApplicationId>,
    /// Only those whose newest attempt is on this agent.
    pub agent: Option<AgentId>,
    /// Only those whose newest attempt exited so.
    pub exit_code: Option<i32>,
    /// Only those created in this range of times.
    pub created: Option<Range<i64>>,
    /// Only those that ended in this range of times.
    pub ended: Option<Range<i64>>,
    /// What they are sorted by.
    pub order: JobOrder,
    /// The smallest first; else the largest.
    pub ascending: bool,
}

/// What a list of jobs is sorted by; equal ones by id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum JobOrder {
    /// The id: the order in which they were created.
    #[default]
    Id,
    /// The time at which they were created.
    Created,
    /// The time at which they ended; those that have not are left out.
    Ended,
}

/// One page of a list of jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobPage {
    /// Most jobs on it.
    pub size: i64,
    /// The job after which it begins, by what the list is sorted by; none for the first
    /// page.
    pub after: Option<(i64, i64)>,
}

impl JobPage {
    /// Reads `page_size` and `page_token` of a request.
    pub fn parse(size: i32, token: &str) -> Result<Self, StoreError> {
        let size = Page::parse(size, "")?.size;
        if token.is_empty() {
            return Ok(Self { size, after: None });
        }
        let after =
            token.split_once('.').and_then(|(key, id)| Some((key.parse().ok()?, id.parse().ok()?)));
        Ok(Self { size, after: Some(after.ok_or_else(|| foreign_token(token))?) })
    }

    /// The page of what was read for it.
    fn listed(self, order: JobOrder, rows: Vec<JobRow>) -> Listed<JobRow> {
        Listed::of(rows, self.size, |last| {
            let key = match order {
                JobOrder::Id => last.id.0,
                JobOrder::Created => last.created,
                JobOrder::Ended => last.ended.unwrap_or_default(),
            };
            format!("{key}.{}", last.id)
        })
    }
}

impl JobFilter {
    /// The statement that reads a page and a job more, and its parameters.
    fn sql(&self, dialect: crate::store::Dialect, page: JobPage) -> (String, Vec<i64>) {
        // What an agent had, and what has failed, is found by its attempts. SQLite counts no
        // rows and is told so.
        let by_attempt = match (self.agent, self.exit_code) {
            _ if self.order != JobOrder::Id => None,
            (_, Some(code)) if code != 0 => Some("attempt_exit_code"),
            (Some(_), _) => Some("attempt_agent"),
            _ => None,
        };
        let mut values = vec![page.size.min(i64::from(MAX_PAGE)) + 1];
        let mut conditions = vec!["1 = 1".to_owned()];
        let mut add = |condition: &str, value: i64| {
            values.push(value);
            conditions.push(condition.replace('?', &format!("${}", values.len())));
        };
        let ids = [
            ("j.runtemplate_id = ?", self.run_template.map(|id| id.0)),
            ("j.company_id = ?", self.company.map(|id| id.0)),
            ("j.app_id = ?", self.application.map(|id| id.0)),
            ("n.agent_id = ?", self.agent.map(|id| id.0)),
            ("n.exit_code = ?", self.exit_code.map(i64::from)),
        ];
        for (condition, value) in ids {
            value.into_iter().for_each(|value| add(condition, value));
        }
        for (column, range) in [("j.created", &self.created), ("j.ended", &self.ended)] {
            if let Some(range) = range {
                add(&format!("{column} >= ?"), range.start);
                add(&format!("{column} < ?"), range.end);
            }
        }
        let column = match self.order {
            JobOrder::Id if by_attempt.is_some() => "n.job_id",
            JobOrder::Id => "j.id",
            JobOrder::Created => "j.created",
            JobOrder::Ended => "j.ended",
        };
        let (direction, beyond) = if self.ascending { ("", ">") } else { ("DESC", "<") };
        match page.after {
            Some((_, id)) if self.order == JobOrder::Id => add(&format!("{column} {beyond} ?"), id),
            Some((key, id)) => {
                values.extend([key, id]);
                let [key, id] = [values.len() - 1, values.len()].map(|at| format!("${at}"));
                conditions.push(dialect.beyond(&[column, "j.id"], beyond, &[&key, &id]));
            }
            None => {}
        }
        if by_attempt == Some("attempt_exit_code") {
            conditions.push("n.exit_code <> 0".to_owned());
        }
        if self.order == JobOrder::Ended {
            conditions.push("j.ended IS NOT NULL".to_owned());
        }
        if !self.states.is_empty() {
            conditions.push(format!("j.state IN {}", transitions::list(&self.states)));
        }
        let (from, order) = match by_attempt {
            Some(index) => {
                let index = dialect.by_index(index);
                let join = "JOIN job j ON j.id = n.job_id AND j.attempt = n.number";
                (format!("FROM attempt n {index} {join}"), format!("{column} {direction}"))
            }
            None if self.order == JobOrder::Id => {
                (FROM.to_owned(), format!("{column} {direction}"))
            }
            None => (FROM.to_owned(), format!("{column} {direction}, j.id {direction}")),
        };
        let conditions = conditions.join(" AND ");
        let sql = format!("{COLUMNS} {from} {JOINED} WHERE {conditions} ORDER BY {order} LIMIT $1");
        (dialect.first_table_first(sql), values)
    }
}

impl Store {
    /// A page of jobs.
    pub async fn jobs(
        &self,
        filter: &JobFilter,
        page: JobPage,
    ) -> Result<Listed<JobRow>, StoreError> {
        let (sql, values) = filter.sql(self.dialect, page);
        let query =
            values.into_iter().fold(sqlx::query(AssertSqlSafe(sql)), sqlx::query::Query::bind);
        let rows = query.fetch_all(&self.readers).await?;
        Ok(page.listed(filter.order, self.jobs_of_rows(&rows).await?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Dialect, transitions::tests::plan};

    #[tokio::test]
    async fn no_page_is_sorted_or_looked_for() {
        let page = JobPage { size: 50, after: Some((7, 7)) };
        let first = JobPage { size: 50, after: None };
        let all = JobFilter::default;
        let filters = [
            all(),
            JobFilter { states: vec![State::Failed], ..all() },
            JobFilter { run_template: Some(RunTemplateId(1)), ..all() },
            JobFilter { company: Some(CompanyId(1)), ascending: true, ..all() },
            JobFilter { application: Some(ApplicationId(1)), ..all() },
            JobFilter { exit_code: Some(3), ..all() },
            JobFilter { agent: Some(AgentId(1)), ..all() },
            JobFilter { order: JobOrder::Created, created: Some(1..9), ..all() },
            JobFilter { order: JobOrder::Ended, ended: Some(1..9), ascending: true, ..all() },
        ];
        for filter in filters {
            for page in [page, first] {
                let plan = plan(&filter.sql(Dialect::Sqlite, page).0).await;
                assert!(!plan.contains("TEMP B-TREE"), "{filter:?}\n{plan}");
            }
        }
    }

    #[test]
    fn tokens_are_read_back_and_others_refused() {
        assert_eq!(JobPage::parse(7, "12.3").unwrap().after, Some((12, 3)));
        for bad in ["12", "x.1", "1.x", ".", "1.2.3"] {
            let error = JobPage::parse(0, bad).unwrap_err().to_string();
            assert!(error.contains("page_token"), "{error}");
        }
    }
}
