//! Lists of jobs: filtered, sorted and paged by the database, each page a range of an
//! index however many jobs there are.

use std::ops::Range;

use sqlx::AssertSqlSafe;

use super::{COLUMNS, JOINED, JobRow, NEWEST};
use crate::{
    domain::{
        ids::{AgentId, ApplicationId, CompanyId, RunTemplateId},
        job::State,
    },
    store::{Dialect, Listed, MAX_PAGE, Page, Store, StoreError, page::foreign_token, transitions},
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

/// The jobs that a list walks through. No database finds out by itself which of the
/// conditions is the rarest; SQLite counts no rows at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Walk {
    /// Those that the database thinks best.
    Any,
    /// Those of one state.
    State,
    /// Those that have ended and not succeeded: all, or what this index has of them.
    Unsuccessful(&'static str),
    /// Those with attempts that exited so.
    ExitCode,
    /// Those with attempts on this agent.
    Agent,
}

impl JobFilter {
    /// The way to the few that are looked for. Nearly all jobs have succeeded: what is
    /// asked of the others is answered from these alone.
    fn walk(&self) -> Walk {
        let failed = self.exit_code.is_some_and(|code| code != 0) && self.order == JobOrder::Id;
        let owned = match (self.run_template, self.application, self.company) {
            (Some(_), ..) => Some("job_runtemplate_unsuccessful"),
            (_, Some(_), _) => Some("job_app_unsuccessful"),
            (.., Some(_)) => Some("job_company_unsuccessful"),
            _ => None,
        };
        let unsuccessful = |state: &State| State::UNSUCCESSFUL.contains(state);
        match self.states[..] {
            [_, ..] if self.states.iter().all(unsuccessful) && (owned.is_some() || !failed) => {
                Walk::Unsuccessful(owned.unwrap_or("job_unsuccessful"))
            }
            [state] if !state.is_terminal() && self.order == JobOrder::Id => Walk::State,
            _ if failed => Walk::ExitCode,
            _ if self.agent.is_some() && self.order == JobOrder::Id => Walk::Agent,
            _ => Walk::Any,
        }
    }

    /// The statement that reads a page and a job more, and its parameters.
    fn sql(&self, dialect: Dialect, page: JobPage) -> (String, Vec<i64>) {
        let walk = self.walk();
        let mut values = vec![page.size.min(i64::from(MAX_PAGE)) + 1];
        let mut conditions = vec!["1 = 1".to_owned()];
        let mut add = |condition: &str, value: i64| {
            values.push(value);
            conditions.push(condition.replace('?', &format!("${}", values.len())));
        };
        // Attempts come first only where they are walked through.
        let [agent, exit_code] = ["n.agent_id", "n.exit_code"].map(|column| match walk {
            Walk::Agent | Walk::ExitCode => format!("{column} = ?"),
            _ => format!("{} = ?", dialect.unindexed_number(column)),
        });
        let ids = [
            ("j.runtemplate_id = ?", self.run_template.map(|id| id.0)),
            ("j.company_id = ?", self.company.map(|id| id.0)),
            ("j.app_id = ?", self.application.map(|id| id.0)),
            (&agent, self.agent.map(|id| id.0)),
            (&exit_code, self.exit_code.map(i64::from)),
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
        let column = match (self.order, walk) {
            (JobOrder::Id, Walk::ExitCode | Walk::Agent) => "n.job_id",
            (JobOrder::Id, _) => "j.id",
            (JobOrder::Created, _) => "j.created",
            (JobOrder::Ended, _) => "j.ended",
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
        if self.order == JobOrder::Ended {
            conditions.push("j.ended IS NOT NULL".to_owned());
        }
        if !self.states.is_empty() {
            conditions.push(format!("j.state IN {}", transitions::list(&self.states)));
        }
        let jobs = |index: &str| format!("FROM job j {index} {NEWEST}");
        let attempts = |index: &str| {
            let index = dialect.by_index(index);
            format!("FROM attempt n {index} JOIN job j ON j.id = n.job_id AND j.attempt = n.number")
        };
        // An index of some rows is used by a statement that says which they are.
        let from = match walk {
            Walk::Any => jobs(""),
            Walk::State => jobs(&dialect.by_index("job_state")),
            Walk::Unsuccessful(index) => {
                let all = transitions::list(&State::UNSUCCESSFUL);
                conditions.push(format!("j.state IN {all}"));
                jobs(&dialect.by_partial_index(index, "job_state"))
            }
            Walk::ExitCode => {
                conditions.push("n.exit_code <> 0".to_owned());
                attempts("attempt_exit_code")
            }
            Walk::Agent => attempts("attempt_agent"),
        };
        let order = match self.order {
            JobOrder::Id => format!("{column} {direction}"),
            JobOrder::Created | JobOrder::Ended => {
                format!("{column} {direction}, j.id {direction}")
            }
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
    use crate::store::transitions::tests::plan;

    #[tokio::test]
    async fn no_page_is_sorted_or_looked_for() {
        let page = JobPage { size: 50, after: Some((7, 7)) };
        let first = JobPage { size: 50, after: None };
        let all = JobFilter::default;
        let unsuccessful = || State::UNSUCCESSFUL.to_vec();
        let filters = [
            all(),
            JobFilter { states: vec![State::Failed], ..all() },
            JobFilter { run_template: Some(RunTemplateId(1)), ..all() },
            JobFilter { company: Some(CompanyId(1)), ascending: true, ..all() },
            JobFilter { application: Some(ApplicationId(1)), ..all() },
            JobFilter { exit_code: Some(3), ..all() },
            JobFilter { agent: Some(AgentId(1)), ..all() },
            JobFilter { states: vec![State::Running], agent: Some(AgentId(1)), ..all() },
            JobFilter { states: vec![State::Failed, State::Lost], ..all() },
            JobFilter { states: unsuccessful(), run_template: Some(RunTemplateId(1)), ..all() },
            JobFilter { states: unsuccessful(), company: Some(CompanyId(1)), ..all() },
            JobFilter { states: unsuccessful(), application: Some(ApplicationId(1)), ..all() },
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

    /// Which index a list goes through, as SQLite names it.
    async fn index(filter: JobFilter) -> String {
        let page = JobPage { size: 50, after: None };
        let plan = plan(&filter.sql(Dialect::Sqlite, page).0).await;
        let index = plan.lines().find_map(|step| Some(step.split_once(" INDEX ")?.1.to_owned()));
        index.unwrap_or(plan)
    }

    #[tokio::test]
    async fn what_is_rare_is_looked_for_among_the_few() {
        let all = JobFilter::default;
        let company = || JobFilter { company: Some(CompanyId(1)), ..all() };
        let failed = |filter| JobFilter { states: vec![State::Failed], ..filter };
        let old = |filter| JobFilter { order: JobOrder::Ended, ended: Some(1..9), ..filter };
        let of_company = "job_company_unsuccessful (company_id=?)";
        assert_eq!(index(failed(company())).await, of_company);
        assert_eq!(index(old(failed(company()))).await, of_company);
        let template = Some(RunTemplateId(1));
        let filter = JobFilter { run_template: template, exit_code: Some(3), ..failed(company()) };
        assert_eq!(index(filter).await, "job_runtemplate_unsuccessful (runtemplate_id=?)");
        let filter = JobFilter { agent: Some(AgentId(1)), exit_code: Some(0), ..failed(all()) };
        assert_eq!(index(filter).await, "job_unsuccessful");
        let filter = JobFilter { exit_code: Some(3), ..failed(all()) };
        assert_eq!(index(filter).await, "attempt_exit_code (exit_code=?)");
        let filter = JobFilter { states: vec![State::Queued], ..company() };
        assert_eq!(index(filter).await, "job_state (state=?)");
        let states = vec![State::Failed, State::Succeeded];
        assert_eq!(index(JobFilter { states, ..company() }).await, "job_company (company_id=?)");
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
