//! What follows the ends of jobs: those actions that are switched on there and have a kind
//! here. What was imported stays as it is here; what cannot come is named.

use std::collections::BTreeMap;

use super::{applications::Definitions, by, of};
use crate::{
    actions::Registry,
    adoption::{
        Error,
        map::{action, job::actions, merge::Fields},
        report::Kind,
        source::{ACTIONCONFIG, RUNTEMPLATE, Row, Source},
        target::Target,
    },
    domain::{
        action::{Mode, Owner},
        environment::Variables,
        ids::RunTemplateId,
    },
    store::{Adopt, Brought, CreateAction},
};

const KIND: Kind = Kind::Action;

/// Most actions of a run template that are told apart: they have no ids there.
const MOST: i64 = 1000;

/// Brings the actions of all run templates that were imported.
pub async fn bring(
    source: &mut Source,
    target: &mut Target,
    definitions: &Definitions,
) -> Result<(), Error> {
    let registry = Registry::default();
    let settings = source.all(&ACTIONCONFIG).await?;
    let settings = by(&settings, "runtemplate_id");
    let known = target.known(KIND).await?;
    for row in &source.all(&RUNTEMPLATE).await? {
        let settings = of(&settings, row.id());
        let homepage = row.int("app_id").and_then(|id| definitions.get(&id));
        let homepage = homepage.and_then(|definition| definition.homepage.clone());
        let this = format!("run template {} {:?}", row.id(), row.text("name").unwrap_or_default());
        let switched = [("success", Mode::Success), ("fail", Mode::Fail)].into_iter().flat_map(
            |(column, mode)| {
                let modules = actions(row.bytes(column)).into_iter();
                modules.map(move |module| (column, mode.clone(), module))
            },
        );
        for (index, (column, mode, module)) in (0..MOST).zip(switched) {
            target.report.of(KIND).read += 1;
            let told = told(settings, (column, &module));
            let Some(template) = target.own(Kind::RunTemplate, row.id()) else {
                target.report.of(KIND).skipped += 1;
                continue;
            };
            let mapped = action::action(&registry, &module, &told, homepage.as_deref());
            let mapped = match mapped {
                Ok(mapped) => mapped,
                Err(reason) => {
                    target.report.of(KIND).skipped += 1;
                    let item = format!("{this}: on {column} {module}: {reason}");
                    target.report.not_brought("actions", item);
                    continue;
                }
            };
            let id = row.id() * MOST + index;
            let fields = fields((column, &module), &mapped.settings);
            if let Some(before) = known.get(&id) {
                target.report.of(KIND).unchanged += 1;
                if before.brought.fields != fields {
                    let text = format!(
                        "its action {module} on {column} has changed there; here it stays as it is"
                    );
                    target.report.kept(Kind::RunTemplate, row.id(), text);
                }
                continue;
            }
            if let Some(remark) = mapped.remark {
                target.report.remark(Kind::RunTemplate, row.id(), remark);
            }
            let create = CreateAction {
                owner: Owner::RunTemplate(RunTemplateId(template)),
                kind: mapped.kind.name().to_owned(),
                mode,
                position: None,
                leads_to: mapped.leads_to(),
                settings: mapped.kind.sealed(mapped.settings),
            };
            if !target.dry_run {
                let (origin, brought) = (target.origin(KIND, id), Brought { fields, secret: true });
                let adopt = Adopt { what: create, table: None, id: |id| id.0, origin, brought };
                target.store.change(adopt).await?;
            }
            target.report.of(KIND).created += 1;
        }
    }
    Ok(())
}

/// What an action is told there.
fn told(settings: &[&Row], (mode, module): (&str, &str)) -> Variables {
    let is = |row: &Row, column: &str, value: &str| row.text(column).as_deref() == Some(value);
    let of_it = settings.iter().filter(|row| is(row, "mode", mode) && is(row, "module", module));
    of_it.filter_map(|row| Some((row.text("keyname")?, row.text("value")?))).collect()
}

/// What is compared when it is imported again.
fn fields((mode, module): (&str, &str), settings: &Variables) -> Fields {
    let of_it = [("mode", mode), ("module", module)];
    let of_it = of_it.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let told = settings.iter().map(|(name, value)| (format!("env {name}"), value.clone()));
    told.chain(of_it).collect::<BTreeMap<_, _>>()
}
