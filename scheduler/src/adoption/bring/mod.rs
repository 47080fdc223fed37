//! Puts source and target together, one kind after the other: what others refer to first.

mod actions;
mod applications;
mod companies;
mod credential_types;
mod credentials;
mod jobs;
mod left;
mod run_templates;
mod schedules;

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Error,
    source::{CREDATA, Row, Source},
    target::Target,
};
use crate::store::{ListPage, Listed, MAX_PAGE, StoreError};

/// Imports everything.
pub async fn all(source: &mut Source, target: &mut Target) -> Result<(), Error> {
    // What a credential gives is secret wherever else it is.
    let hidden = source.all(&CREDATA).await?;
    let hidden: BTreeSet<String> = hidden.iter().filter_map(|row| row.raw("name")).collect();
    let definitions = applications::bring(source, target).await?;
    let companies = companies::bring(source, target, (&definitions, &hidden)).await?;
    let types = credential_types::bring(source, target).await?;
    let credentials = credentials::bring(source, target, &types).await?;
    let given = run_templates::Given { definitions, companies, credentials, hidden };
    run_templates::bring(source, target, &given).await?;
    actions::bring(source, target, &given.definitions).await?;
    if let Some(zone) = target.schedules {
        schedules::bring(source, target, zone).await?;
    }
    jobs::bring(source, target).await?;
    left::count(source, target).await?;
    Ok(())
}

/// Rows by the id of what they belong to.
fn by<'r>(rows: &'r [Row], owner: &str) -> BTreeMap<i64, Vec<&'r Row>> {
    let mut owned: BTreeMap<i64, Vec<&Row>> = BTreeMap::new();
    for row in rows {
        owned.entry(row.int(owner).unwrap_or_default()).or_default().push(row);
    }
    owned
}

/// The rows of one.
fn of<'m, 'r>(rows: &'m BTreeMap<i64, Vec<&'r Row>>, id: i64) -> &'m [&'r Row] {
    rows.get(&id).map(Vec::as_slice).unwrap_or_default()
}

/// All pages of one of our lists.
async fn pages<T>(
    list: impl AsyncFn(ListPage) -> Result<Listed<T>, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let (mut all, mut token) = (Vec::new(), String::new());
    loop {
        let Listed { rows, next } = list(ListPage::parse(MAX_PAGE, &token)?).await?;
        all.extend(rows);
        if next.is_empty() {
            return Ok(all);
        }
        token = next;
    }
}

/// What is said of something that was imported and is no longer here.
const DELETED_HERE: &str = "it was imported before and has been deleted here: it is not \
     imported again";
