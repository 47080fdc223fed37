//! When jobs start by themselves. A schedule that was brought starts jobs here; one that is
//! then switched off there has moved, and stays on here.

use std::collections::HashMap;

use chrono_tz::Tz;

use super::{pages, run_templates::is_active};
use crate::{
    adoption::{
        Error,
        map::{
            merge::Merge,
            names,
            schedule::{self, Mapped, own_fields},
        },
        report::{Kind, Scheduled},
        source::{RUNTEMPLATE, Row, Source},
        target::Target,
    },
    domain::{
        ids::RunTemplateId,
        schedule::{Schedule, local},
    },
    store::{AdoptedRow, Brought, Readopt, RunTemplateFilter, SetSchedule},
};

const KIND: Kind = Kind::Schedule;

/// Brings the schedules of all run templates that are here. Days and hours of those that are
/// new are in `zone`.
pub async fn bring(source: &mut Source, target: &mut Target, zone: Tz) -> Result<(), Error> {
    let known = target.known(KIND).await?;
    let store = target.store.clone();
    let now = store.now().await?;
    let all = pages(async |page| store.run_templates(&RunTemplateFilter::default(), &page).await);
    let active: HashMap<RunTemplateId, bool> =
        all.await?.into_iter().map(|row| (row.template.id, row.active)).collect();
    let ids: Vec<RunTemplateId> = active.keys().copied().collect();
    let schedules = store.schedules(&ids).await?;
    for row in &source.all(&RUNTEMPLATE).await? {
        let id = row.id();
        let before = known.get(&id);
        let there = match schedule::schedule(row) {
            Ok(None) if before.is_none() => continue,
            there => there,
        };
        target.report.of(KIND).read += 1;
        let Some(own) = target.own(Kind::RunTemplate, id).map(RunTemplateId) else {
            target.report.skipped(KIND, id, "its run template is not here");
            continue;
        };
        let there = match there {
            Ok(there) => there,
            Err(reason) => {
                target.report.skipped(KIND, id, reason);
                continue;
            }
        };
        // In a dry run one that would be new is not here.
        let here = schedules.get(&own).map(|row| row.schedule.clone());
        let one = One {
            row,
            own,
            here: here.unwrap_or_else(|| Schedule::none(zone)),
            active: active.get(&own).copied().unwrap_or_else(|| is_active(row)),
        };
        one.bring(target, there.as_ref(), before, (zone, now)).await?;
    }
    Ok(())
}

/// A run template that is here.
struct One<'r> {
    row: &'r Row,
    own: RunTemplateId,
    /// Its schedule.
    here: Schedule,
    /// Whether it starts jobs.
    active: bool,
}

impl One<'_> {
    async fn bring(
        self,
        target: &mut Target,
        there: Option<&Mapped>,
        before: Option<&AdoptedRow>,
        (zone, now): (Tz, i64),
    ) -> Result<(), Error> {
        let id = self.row.id();
        let here = own_fields(&self.here);
        let change = match (there, before) {
            (None, _) => None,
            (Some(_), None) if !self.here.rhythm.is_none() => {
                target.report.kept(KIND, id, "it was set here and not brought");
                None
            }
            (Some(there), None) => Some((there, there.set())),
            (Some(there), Some(before)) => {
                let take = Merge::of(&before.brought.fields, &there.fields(), &here).take;
                Some((there, there.change(|field| take.contains(field))))
            }
        };
        let mut after = self.here.clone();
        if let Some((there, change)) = change {
            change.apply(&mut after, zone);
            if let Err(error) = after.check(now) {
                target.report.skipped(KIND, id, error.to_string());
                return Ok(());
            }
            if let Some(remark) = &there.remark {
                target.report.remark(KIND, id, remark.clone());
            }
            let set = SetSchedule { id: self.own, change, zone };
            match before {
                None => self.create(target, there, set).await?,
                Some(before) => {
                    target.update((KIND, id), before, &there.fields(), &here, |_| set).await?;
                }
            }
        } else {
            target.report.of(KIND).unchanged += 1;
        }
        let next = after.after(now).filter(|_| self.active);
        let next = next.map(|slot| local(after.start(slot, self.own.0), after.zone));
        target.report.schedules.push(Scheduled {
            run_template: id,
            name: names::name(self.row.text("name"), &format!("run template {id}")),
            schedule: after.rhythm.to_string(),
            time_zone: after.zone.name().to_owned(),
            next,
            on_there: there.is_some() && is_active(self.row),
        });
        Ok(())
    }

    async fn create(
        &self,
        target: &mut Target,
        there: &Mapped,
        what: SetSchedule,
    ) -> Result<(), Error> {
        if !target.dry_run {
            let origin = target.origin(KIND, self.row.id());
            let brought = Brought { fields: there.fields(), secret: false };
            let own = self.own.0;
            target.store.change(Readopt { what, own, origin, brought }).await?;
        }
        target.report.of(KIND).created += 1;
        Ok(())
    }
}
