//! Our side of an import: what is written, or in a dry run what would be.

use std::collections::{BTreeMap, HashMap};

use chrono_tz::Tz;

use super::{
    map::merge::{Fields, Merge},
    report::{Kind, Report},
};
use crate::{
    objects::Objects,
    store::{Adopt, AdoptedRow, Brought, Change, Link, Origin, Readopt, Store, StoreError},
};

/// Our side.
#[derive(Debug)]
pub struct Target {
    /// The database.
    pub store: Store,
    /// Where large logs and files go.
    pub objects: Objects,
    /// What names the source here.
    pub source: String,
    /// Where days and hours of schedules are, if schedules are brought.
    pub schedules: Option<Tz>,
    /// Nothing is written.
    pub dry_run: bool,
    /// What happened.
    pub report: Report,
    /// Ids there and here, of all that is here.
    ids: HashMap<(Kind, i64), i64>,
    /// In a dry run, the last id that would have been given out.
    last: HashMap<&'static str, i64>,
}

impl Target {
    /// Our side, of which nothing has been asked yet.
    pub fn new(store: Store, objects: Objects, source: String, dry_run: bool) -> Self {
        let report = Report { source: source.clone(), dry_run, ..Report::default() };
        let (ids, last) = (HashMap::new(), HashMap::new());
        Self { store, objects, source, schedules: None, dry_run, report, ids, last }
    }

    /// What was imported of a kind before.
    pub async fn known(&self, kind: Kind) -> Result<BTreeMap<i64, AdoptedRow>, StoreError> {
        self.store.adopted(&self.source, kind.name(), i64::MIN..=i64::MAX).await
    }

    /// The id here of what has an id there; none if it is not here.
    pub fn own(&self, kind: Kind, id: i64) -> Option<i64> {
        self.ids.get(&(kind, id)).copied()
    }

    /// Remembers under which id something is here.
    pub fn is(&mut self, kind: Kind, id: i64, own: i64) {
        self.ids.insert((kind, id), own);
    }

    /// Where something comes from.
    pub fn origin(&self, kind: Kind, id: i64) -> Origin {
        Origin { source: self.source.clone(), kind: kind.name(), id }
    }

    /// Creates something; its id here, if it is not refused.
    pub async fn create<C: Change>(
        &mut self,
        (kind, id): (Kind, i64),
        table: &'static str,
        what: C,
        own: fn(&C::Output) -> i64,
        fields: Fields,
    ) -> Result<Option<i64>, StoreError> {
        let created = if self.dry_run {
            Ok(self.next_id(table, id).await?)
        } else {
            let origin = self.origin(kind, id);
            let brought = brought(fields);
            self.store.change(Adopt { what, table: Some(table), id: own, origin, brought }).await
        };
        match created {
            Ok(own) => {
                self.is(kind, id, own);
                self.report.created(kind, id, own);
                Ok(Some(own))
            }
            Err(refusal) if refusal.is_answer() => {
                self.report.skipped(kind, id, refusal.to_string());
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// The id that a new row of a table would get.
    pub async fn next_id(&mut self, table: &'static str, wanted: i64) -> Result<i64, StoreError> {
        let last = match self.last.get(table) {
            Some(last) => *last,
            None => self.store.last_id(table).await?,
        };
        let next = wanted.max(last + 1);
        self.last.insert(table, next);
        Ok(next)
    }

    /// Says that something here, which was not imported, is what is there.
    pub async fn link(
        &mut self,
        kind: Kind,
        id: i64,
        own: i64,
        fields: Fields,
    ) -> Result<(), StoreError> {
        if !self.dry_run {
            let (origin, brought) = (self.origin(kind, id), brought(fields));
            self.store.change(Link { own, origin, brought }).await?;
        }
        self.is(kind, id, own);
        self.report.linked(kind, id, own);
        Ok(())
    }

    /// Changes something that was imported, where it has changed there and not here;
    /// `change` makes the change from what the merge says.
    pub async fn update<C: Change>(
        &mut self,
        (kind, id): (Kind, i64),
        before: &AdoptedRow,
        there: &Fields,
        here: &Fields,
        change: impl FnOnce(&Merge) -> C,
    ) -> Result<(), StoreError> {
        self.is(kind, id, before.own);
        let merge = Merge::of(&before.brought.fields, there, here);
        for field in &merge.keep {
            self.report.kept(kind, id, shown(field));
        }
        let fields = merge.brought.clone();
        if merge.take.is_empty() {
            if fields != before.brought.fields && !self.dry_run {
                let (origin, brought) = (self.origin(kind, id), brought(fields));
                self.store.change(Link { own: before.own, origin, brought }).await?;
            }
            self.report.of(kind).unchanged += 1;
            return Ok(());
        }
        let names: Vec<&str> = merge.take.iter().map(|field| shown(field)).collect();
        let names = names.join(", ");
        let changed = if self.dry_run {
            Ok(())
        } else {
            let (origin, brought) = (self.origin(kind, id), brought(fields));
            let own = before.own;
            self.store.change(Readopt { what: change(&merge), own, origin, brought }).await
        };
        match changed {
            Ok(()) => self.report.changed(kind, id, names),
            Err(refusal) if refusal.is_answer() => {
                self.report.skipped(kind, id, format!("it has changed ({names}), but {refusal}"));
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

/// A field as people know it: of a variable its name.
fn shown(field: &str) -> &str {
    field.strip_prefix("env ").unwrap_or(field)
}

/// The field that is a whole definition.
pub(super) const DEFINITION: &str = "definition";

/// Values of variables may be secrets or become some, and definitions hold such: they are
/// sealed.
fn brought(fields: Fields) -> Brought {
    let secret = fields.keys().any(|field| field == DEFINITION || field.starts_with("env "));
    Brought { fields, secret }
}
