//! Seals settings of actions that their kinds have come to keep secret and that were stored
//! before, a few rows at a time. It is done once for what the kinds keep secret: a row in
//! `setting` says for what it was.

use sqlx::AssertSqlSafe;

use crate::{
    domain::environment::Given,
    store::{
        Change, StoreError, Tx,
        reseal::{self, ACTIONS, AllSealed, Holders, PERFORMED},
    },
};

/// The setting that says what was sealed.
const SEALED: &str = "sealed settings of actions";

/// How many ids are looked through in one transaction.
const WINDOW: i64 = 50_000;

/// Where such settings are.
const TABLES: [&Holders; 2] = [&ACTIONS, &PERFORMED];

/// A kind of action, with the settings that it keeps secret.
pub type SecretSettings = (&'static str, Vec<&'static str>);

/// Seals the next few settings that are secret and are not sealed.
#[derive(Clone, Debug)]
pub struct SealSettings {
    secret: Vec<SecretSettings>,
    /// Which kind in which table is looked at, and the last id that was.
    at: (usize, i64),
}

impl SealSettings {
    /// From the first on.
    pub fn begin(secret: Vec<SecretSettings>) -> Self {
        Self { secret, at: (0, 0) }
    }

    /// What says that all of it is sealed.
    fn said(&self) -> AllSealed {
        let kinds = self.secret.iter().map(|(kind, names)| format!("{kind} {}", names.join(",")));
        AllSealed { what: SEALED, value: kinds.collect::<Vec<_>>().join("; ") }
    }
}

impl Change for SealSettings {
    /// What is to be done next; none if all is sealed and that was said.
    type Output = Option<NextSettings>;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Self::Output, StoreError> {
        let (index, after) = self.at;
        if self.at == (0, 0) && self.said().is_said(tx).await? {
            return Ok(None);
        }
        let Some((kind, names)) = self.secret.get(index / TABLES.len()) else {
            return Ok(Some(NextSettings::Whole(self.said())));
        };
        let holders = TABLES[index % TABLES.len()];
        let Holders { table, column } = holders;
        // What is sealed is an object, and what is not is a text.
        let plain: Vec<String> =
            names.iter().map(|name| format!("{column} LIKE '%\"{name}\":\"%'")).collect();
        let upto = after.saturating_add(WINDOW);
        let chosen = format!("id <= {upto} AND module = '{kind}' AND ({})", plain.join(" OR "));
        let mark = |given: &mut Given| {
            let plain = names.iter().filter(|name| given.values.contains_key(**name));
            let plain: Vec<String> = plain.map(|name| (*name).to_owned()).collect();
            let before = given.secret.len();
            given.secret.extend(plain);
            given.secret.len() - before
        };
        let (_, last) = reseal::walk(tx, holders, (&chosen, after), mark).await?;
        let highest = AssertSqlSafe(format!("SELECT COALESCE(MAX(id), 0) FROM {table}"));
        let highest: i64 = sqlx::query_scalar(highest).fetch_one(&mut *tx.conn).await?;
        let at = match last {
            Some(last) => (index, last),
            None if upto < highest => (index, upto),
            None => (index + 1, 0),
        };
        Ok(Some(NextSettings::More(Self { secret: self.secret.clone(), at })))
    }
}

/// What follows a [`SealSettings`].
#[derive(Clone, Debug)]
pub enum NextSettings {
    /// There is more.
    More(SealSettings),
    /// All is sealed, which is to be said once nothing of the values is left in the database's
    /// files.
    Whole(AllSealed),
}
