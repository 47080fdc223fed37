//! Run templates, with their variables and the credentials that they use.

mod read;

use std::collections::{BTreeMap, BTreeSet, HashMap};

pub(super) use read::is_active;
use read::{describe, read_files, read_variables, retry};

use super::{DELETED_HERE, applications::Definitions, by, credentials::Credentials, of, pages};
use crate::{
    adoption::{
        Error,
        map::{
            merge::Merge,
            names,
            precedence::{Layers, differences},
            variables::{change, fields},
        },
        report::Kind,
        source::{CONFIGURATION, RUNTEMPLATE, RUNTPLCREDS, Source},
        target::Target,
    },
    domain::{
        environment::{self, VariableChange},
        ids::{ApplicationId, CompanyId, CredentialId, RunTemplateId},
        job::{GRACE, LOST_AFTER, Overflow},
        retention::Keep,
        retry::RetryPolicy,
    },
    store::{
        CreateRunTemplate, CreateWithCredentials, CredentialFilter, NewRunTemplate,
        RunTemplateFilter, RunTemplateRow, StoreError, UpdateRunTemplate, UpdateWithCredentials,
    },
};

const KIND: Kind = Kind::RunTemplate;

/// Before the id of a credential among the fields that are compared.
const CREDENTIAL: &str = "credential ";

/// What gives variables to run templates, by the ids there.
#[derive(Debug)]
pub struct Given {
    /// Applications.
    pub definitions: Definitions,
    /// Companies.
    pub companies: BTreeMap<i64, environment::Given>,
    /// Credentials.
    pub credentials: Credentials,
    /// Names of variables that are secret wherever they are.
    pub hidden: BTreeSet<String>,
}

/// Brings all run templates.
pub async fn bring(source: &mut Source, target: &mut Target, given: &Given) -> Result<(), Error> {
    let rows = source.all(&RUNTEMPLATE).await?;
    let configuration = source.all(&CONFIGURATION).await?;
    let assigned = source.all(&RUNTPLCREDS).await?;
    let (configuration, assigned) =
        (by(&configuration, "runtemplate_id"), by(&assigned, "runtemplate_id"));
    let store = target.store.clone();
    let all = pages(async |page| store.run_templates(&RunTemplateFilter::default(), &page).await);
    let ours: HashMap<i64, RunTemplateRow> =
        all.await?.into_iter().map(|row| (row.template.id.0, row)).collect();
    let credentials = credentials_here(target).await?;
    let known = target.known(KIND).await?;
    for row in &rows {
        target.report.of(KIND).read += 1;
        let id = row.id();
        let (application, company) =
            (row.int("app_id").unwrap_or_default(), row.int("company_id").unwrap_or_default());
        let own = (target.own(Kind::Application, application), target.own(Kind::Company, company));
        let (Some(definition), (Some(own_application), Some(own_company))) =
            (given.definitions.get(&application), own)
        else {
            let reason = match own.0 {
                None => format!("application {application} was not imported"),
                Some(_) => format!("company {company} was not imported"),
            };
            target.report.skipped(KIND, id, reason);
            continue;
        };
        let said = &mut Vec::new();
        let mut environment =
            read_variables(of(&configuration, id), definition, &given.hidden, said);
        read_files(source, id, &mut environment, said).await?;
        let retry = retry(row, said);
        let name = names::name(row.text("name"), &format!("run template {id}"));
        let mut uses = BTreeSet::new();
        let mut of_credentials = environment::Given::default();
        for assigned in of(&assigned, id) {
            let credential = assigned.int("credentials_id").unwrap_or_default();
            let known = given.credentials.get(&credential);
            if let Some((_, of_one)) = known {
                let set = VariableChange { set: of_one.clone(), unset: Vec::new() };
                of_credentials.change(&set);
            }
            match target.own(Kind::Credential, credential) {
                Some(_) if known.is_some_and(|(of, _)| *of != company) => said.push(format!(
                    "credential {credential} is of another company: it does not use it here"
                )),
                Some(own) => drop(uses.insert(own)),
                None => said.push(format!("credential {credential} was not imported")),
            }
        }
        if Some(name.as_str()) != row.raw("name").as_deref() {
            said.push(format!("it is called {name:?} here"));
        }
        for text in said.drain(..) {
            target.report.remark(KIND, id, text);
        }
        let none = environment::Given::default();
        let layers = Layers {
            application: &environment::Given::from(definition.defaults()),
            company: given.companies.get(&company).unwrap_or(&none),
            credentials: &of_credentials,
            run_template: &environment,
        };
        let declared = |name: &str| definition.environment.get(name).is_some_and(|f| f.secret);
        for difference in differences(layers, declared) {
            target.report.differs(id, &name, difference);
        }
        let mut there = fields(&environment);
        describe(&mut there, &name, (own_application, own_company), &retry, &uses);
        let Some(before) = known.get(&id) else {
            let new = NewRunTemplate {
                name,
                application: ApplicationId(own_application),
                company: CompanyId(own_company),
                environment,
                timeout: None,
                grace: GRACE,
                lost_after: LOST_AFTER,
                retry,
                overflow: Overflow::default(),
                priority: 0,
                max_running: None,
                keep: Keep::default(),
            };
            let create = CreateWithCredentials {
                create: CreateRunTemplate(new),
                uses: uses.into_iter().map(CredentialId).collect(),
                active: is_active(row),
            };
            target.create((KIND, id), "runtemplate", create, |id| id.0, there).await?;
            continue;
        };
        let Some(own) = ours.get(&before.own) else {
            target.report.skipped(KIND, id, DELETED_HERE);
            continue;
        };
        let template = &own.template;
        let mut here = fields(&template.environment);
        let assigned = credentials.get(&before.own).cloned().unwrap_or_default();
        let parents = (template.application.0, template.company.0);
        describe(&mut here, &template.name, parents, &template.retry, &assigned);
        // What a run template is of cannot change here.
        for parent in ["application", "company"] {
            if there.get(parent) != before.brought.fields.get(parent) {
                let text =
                    format!("it is of another {parent} there now; here it stays where it is");
                target.report.kept(KIND, id, text);
            }
            let stays = before.brought.fields.get(parent).cloned();
            there.extend(stays.map(|stays| (parent.to_owned(), stays)));
        }
        // One that was switched off there has moved here; one that was switched on there would
        // run on both sides.
        if own.active != is_active(row) {
            let text = match own.active {
                true => "it is inactive there, and stays active here",
                false => "it is active there, and stays inactive here",
            };
            target.report.kept(KIND, id, text);
        }
        let update = |merge: &Merge| {
            let own = RunTemplateId(before.own);
            let retry_changed = ["max_attempts", "retry_backoff", "retry_min_gap"]
                .iter()
                .any(|field| merge.take.contains(*field));
            let update = UpdateRunTemplate {
                name: merge.take.contains("name").then(|| name.clone()),
                environment: change(&environment, &merge.take),
                retry: retry_changed
                    .then(|| RetryPolicy { on: template.retry.on.clone(), ..retry.clone() }),
                ..UpdateRunTemplate::of(own)
            };
            let changed = merge.take.iter().filter_map(|field| {
                let id: i64 = field.strip_prefix(CREDENTIAL)?.parse().ok()?;
                Some((CredentialId(id), there.contains_key(field)))
            });
            UpdateWithCredentials { update, uses: changed.collect() }
        };
        target.update((KIND, id), before, &there, &here, update).await?;
    }
    Ok(())
}

/// The credentials that run templates use here.
async fn credentials_here(target: &Target) -> Result<HashMap<i64, BTreeSet<i64>>, StoreError> {
    let store = target.store.clone();
    let all =
        pages(async |page| store.credentials(&CredentialFilter::default(), &page).await).await?;
    let mut uses: HashMap<i64, BTreeSet<i64>> = HashMap::new();
    for credential in all {
        for template in credential.run_templates {
            uses.entry(template.0).or_default().insert(credential.id.0);
        }
    }
    Ok(uses)
}
