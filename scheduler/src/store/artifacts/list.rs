//! Lists of artifacts. The table grows with the jobs: a list without a job goes through
//! it from one end, by an index if one knows what is looked for, and else no further than
//! so many rows for a page. A page may then have less than it could, and still a next.

use sqlx::AssertSqlSafe;

use super::{ArtifactRow, COLUMNS, artifact};
use crate::{
    domain::ids::JobId,
    store::{
        Dialect, Store, StoreError,
        list::{self, Columns, Filter, ListPage, Listed, Order, Sort, Value},
    },
};

/// Most rows that are looked at for a page.
const WALK: i64 = 20_000;

/// The type of text that is nothing more special, as all output is.
const TEXT: &str = "text/plain";

/// Which artifacts a list has, and in which order.
#[derive(Clone, Debug, Default)]
pub struct ArtifactFilter {
    /// Only this job's.
    pub job: Option<JobId>,
    /// Only this attempt's.
    pub attempt: Option<i32>,
    /// Only those of this MIME type; empty for all.
    pub content_type: String,
    /// Only those whose name contains this.
    pub name: String,
    /// Only those that could not be kept, or only those that were.
    pub failed: Option<bool>,
    /// How they are sorted: without a job, by id.
    pub sort: Sort,
}

/// How the rows of a list are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// All rows of the job.
    Job,
    /// An index that has them in their order.
    Index(&'static str),
    /// All rows by id.
    All,
    /// All rows by id, of which few may fit.
    Walk,
}

impl ArtifactFilter {
    fn way(&self) -> Way {
        let is_special = !self.content_type.is_empty() && self.content_type != TEXT;
        let by_name = !self.name.is_empty();
        let by_type = !self.content_type.is_empty();
        match (by_name || self.attempt.is_some(), by_type, self.failed) {
            _ if self.job.is_some() => Way::Job,
            (false, false, None) => Way::All,
            (false, false, Some(true)) => Way::Index("artifacts_failed"),
            (false, true, None) if is_special => Way::Index("artifacts_type"),
            _ => Way::Walk,
        }
    }

    /// The statement of a page; `end` is the last id that is looked at.
    fn sql(
        &self,
        dialect: Dialect,
        page: &ListPage,
        end: Option<i64>,
    ) -> Result<(String, Vec<Value>), StoreError> {
        let way = self.way();
        let mut filter = Filter::new(dialect);
        filter.that("state <> 'uploading'");
        if let Some(job) = self.job {
            filter.with("job_id = ?", job.0);
        }
        if let Some(attempt) = self.attempt {
            filter.with("attempt = ?", i64::from(attempt));
        }
        match self.content_type.as_str() {
            "" => {}
            TEXT => filter.that(format!("content_type IN ('{TEXT}', '{TEXT}; charset=utf-8')")),
            special => filter.with("content_type = ?", special),
        }
        if way == Way::Index("artifacts_type") {
            filter.that("source = 'file'");
        }
        filter.contains("filename", &self.name);
        match self.failed {
            None => {}
            Some(true) => filter.that("state = 'failed'"),
            Some(false) => filter.that("state = 'stored'"),
        }
        if let Some(end) = end {
            filter.with(if self.sort.ascending { "id <= ?" } else { "id >= ?" }, end);
        }
        let index = match way {
            Way::Index(index) => dialect.by_index(index),
            Way::Job | Way::All | Way::Walk => String::new(),
        };
        // A job has few: they are found by the job and then sorted.
        let id = if way == Way::Job { dialect.unindexed_id() } else { "id" };
        let columns = Columns { id, name: "filename", created: "created" };
        filter.sql(&format!("{COLUMNS} {index}"), columns, self.sort, page)
    }
}

impl Store {
    /// A page of artifacts.
    pub async fn artifacts(
        &self,
        filter: &ArtifactFilter,
        page: &ListPage,
    ) -> Result<Listed<ArtifactRow>, StoreError> {
        if filter.job.is_none() && filter.sort.by != Order::Id {
            let reason = "artifacts of all jobs are sorted by id: take id or \"id desc\", or name \
                          a job";
            return Err(StoreError::Invalid(reason.to_owned()));
        }
        let end = match filter.way() {
            Way::Walk => self.end_of_walk(filter.sort, page).await?,
            _ => None,
        };
        let rows = list::fetch(&self.readers, filter.sql(self.dialect, page, end)?).await?;
        let rows = rows.iter().map(artifact).collect::<Result<_, _>>()?;
        let mut listed = page
            .listed(rows, filter.sort, |row: &ArtifactRow| (row.id.0, &row.filename, row.created));
        if let (true, Some(end)) = (listed.next.is_empty(), end) {
            listed.next = list::token(end, "");
        }
        Ok(listed)
    }

    /// The last id that is looked at for a page, if there are more behind it.
    async fn end_of_walk(&self, sort: Sort, page: &ListPage) -> Result<Option<i64>, StoreError> {
        let (direction, beyond, begin) =
            if sort.ascending { ("", ">", 0) } else { ("DESC", "<", i64::MAX) };
        let after = page.after.as_ref().map_or(begin, |(id, _)| *id);
        let sql = format!(
            "SELECT id FROM artifacts WHERE id {beyond} $1 ORDER BY id {direction} LIMIT 1 OFFSET {}",
            WALK - 1
        );
        let query = sqlx::query_scalar(AssertSqlSafe(sql)).bind(after);
        Ok(query.fetch_optional(&self.readers).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::transitions::tests::plan;

    #[tokio::test]
    async fn no_list_looks_at_or_sorts_all_artifacts() {
        let first = ListPage::parse(50, "").unwrap();
        let next = ListPage::parse(50, "7.").unwrap();
        let all = ArtifactFilter::default;
        let pdf = || "application/pdf".to_owned();
        let filters = [
            all(),
            ArtifactFilter { sort: Sort::NEWEST, ..all() },
            ArtifactFilter { content_type: pdf(), sort: Sort::NEWEST, ..all() },
            ArtifactFilter { content_type: TEXT.to_owned(), ..all() },
            ArtifactFilter { failed: Some(true), sort: Sort::NEWEST, ..all() },
            ArtifactFilter { failed: Some(true), content_type: pdf(), ..all() },
            ArtifactFilter { name: "x".to_owned(), sort: Sort::NEWEST, ..all() },
        ];
        for filter in filters {
            for page in [&first, &next] {
                let end = (filter.way() == Way::Walk).then_some(1);
                let plan = plan(&filter.sql(Dialect::Sqlite, page, end).unwrap().0).await;
                assert!(!plan.contains("TEMP B-TREE"), "{filter:?}\n{plan}");
                // By id or by an index; each row that is found fits, or the walk has an end.
                let is_bounded = match filter.way() {
                    Way::All => plan.contains("SCAN artifacts") || plan.contains("PRIMARY KEY"),
                    Way::Walk => plan.contains("(rowid") || plan.contains("(id"),
                    Way::Index(index) => plan.contains(index),
                    Way::Job => false,
                };
                assert!(is_bounded, "{filter:?}\n{plan}");
            }
        }
        for sort in [Sort::default(), Sort { by: Order::Name, ascending: false }] {
            let filter = ArtifactFilter { job: Some(JobId(1)), sort, ..all() };
            let plan = plan(&filter.sql(Dialect::Sqlite, &first, None).unwrap().0).await;
            assert!(plan.contains("(job_id=?"), "{plan}");
        }
    }
}
