//! Run templates, with their variables and the credentials that they use.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use super::{DELETED_HERE, applications::Definitions, by, credentials::Credentials, of, pages};
use crate::{
    adoption::{
        AdoptionError,
        map::{
            merge::{Fields, Merge},
            names,
            precedence::{Layers, differences},
            variables::{self, change, fields},
        },
        report::Kind,
        source::{CONFIGURATION, FILE_STORE, RUNTEMPLATE, RUNTPLCREDS, Row, Source},
        target::Target,
    },
    domain::{
        application::Definition,
        environment::{self, VariableChange},
        ids::{ApplicationId, CompanyId, CredentialId, RunTemplateId},
        job::{GRACE, LOST_AFTER, Overflow},
        retention::Keep,
        retry::{Backoff, MAX_ATTEMPTS, RetryPolicy},
    },
    store::{
        AssignCredential, Change, CreateRunTemplate, CredentialFilter, NewRunTemplate,
        RunTemplateFilter, RunTemplateRow, StoreError, Tx, UpdateRunTemplate,
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
pub async fn bring(
    source: &mut Source,
    target: &mut Target,
    given: &Given,
) -> Result<(), AdoptionError> {
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
            let create = WithCredentials { what: CreateRunTemplate(new), uses };
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
        let update = |merge: &Merge| {
            let own = RunTemplateId(before.own);
            let retry_changed = ["max_attempts", "retry_backoff", "retry_min_gap"]
                .iter()
                .any(|field| merge.take.contains(*field));
            let what = UpdateRunTemplate {
                name: merge.take.contains("name").then(|| name.clone()),
                environment: change(&environment, &merge.take),
                retry: retry_changed
                    .then(|| RetryPolicy { on: template.retry.on.clone(), ..retry.clone() }),
                ..UpdateRunTemplate::of(own)
            };
            let changed = merge.take.iter().filter_map(|field| {
                let id: i64 = field.strip_prefix(CREDENTIAL)?.parse().ok()?;
                Some((id, there.contains_key(field)))
            });
            Reassign { what, own, changed: changed.collect() }
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

fn read_variables(
    rows: &[&Row],
    definition: &Definition,
    hidden: &BTreeSet<String>,
    said: &mut Vec<String>,
) -> environment::Given {
    let secret = |name: &str, row: &Row| {
        let kind = row.text("config_type").unwrap_or_default();
        matches!(kind.as_str(), "password" | "secret")
            || hidden.contains(name)
            || definition.environment.get(name).is_some_and(|field| field.secret)
    };
    let (given, left_out) = variables::read(rows.iter().copied(), "name", "value", secret);
    said.extend(left_out.into_iter().map(|reason| format!("{reason}; it is left out")));
    given
}

/// Adds the files that were uploaded for a run template.
async fn read_files(
    source: &mut Source,
    id: i64,
    environment: &mut environment::Given,
    said: &mut Vec<String>,
) -> Result<(), AdoptionError> {
    let mut rows = source.each(&FILE_STORE, "runtemplate_id", id, "id").await?;
    while let Some(row) = rows.next().await? {
        if let Err(reason) = variables::add_file(environment, &row) {
            said.push(format!("{reason}; the file is left out"));
        }
    }
    Ok(())
}

fn retry(row: &Row, said: &mut Vec<String>) -> RetryPolicy {
    let usual = RetryPolicy::default();
    let attempts = row.int("max_attempts").unwrap_or(1);
    let max_attempts = attempts.clamp(1, i64::from(MAX_ATTEMPTS));
    if attempts != max_attempts && attempts != 0 {
        said.push(format!("it has {max_attempts} attempts here and not {attempts}"));
    }
    let gap = u64::try_from(row.int("retry_min_gap").unwrap_or_default()).unwrap_or_default();
    let min_gap = Duration::from_secs(gap.min(10 * 365 * 24 * 3600));
    let backoff = row.text("retry_backoff").unwrap_or_default();
    let backoff = match backoff.parse() {
        // There the pause of both is the gap.
        Ok(Backoff::None) if !min_gap.is_zero() => Backoff::Fixed,
        Ok(backoff) => backoff,
        Err(error) => {
            if !backoff.is_empty() {
                said.push(format!("{error}; it is taken as fixed"));
            }
            Backoff::Fixed
        }
    };
    let max_gap = usual.max_gap.max(min_gap);
    let max_attempts = u32::try_from(max_attempts).unwrap_or(1);
    RetryPolicy { max_attempts, on: usual.on, backoff, min_gap, max_gap }
}

fn describe(
    fields: &mut Fields,
    name: &str,
    (application, company): (i64, i64),
    retry: &RetryPolicy,
    uses: &BTreeSet<i64>,
) {
    let texts = [
        ("name", name.to_owned()),
        ("application", application.to_string()),
        ("company", company.to_string()),
        ("max_attempts", retry.max_attempts.to_string()),
        ("retry_backoff", retry.backoff.to_string()),
        ("retry_min_gap", retry.min_gap.as_millis().to_string()),
    ];
    fields.extend(texts.map(|(name, value)| (name.to_owned(), value)));
    fields.extend(uses.iter().map(|id| (format!("{CREDENTIAL}{id}"), String::new())));
}

/// Assigns a credential after something was written: a refusal takes that back too.
async fn assign(tx: &mut Tx<'_>, change: AssignCredential) -> Result<(), StoreError> {
    let whole = |refusal: StoreError| match refusal.is_answer() {
        true => StoreError::Database(Arc::new(sqlx::Error::Protocol(refusal.to_string()))),
        false => refusal,
    };
    change.apply(tx).await.map_err(whole)
}

/// Creates a run template that uses credentials.
struct WithCredentials {
    what: CreateRunTemplate,
    uses: BTreeSet<i64>,
}

impl Change for WithCredentials {
    type Output = RunTemplateId;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<RunTemplateId, StoreError> {
        let run_template = self.what.apply(tx).await?;
        for id in &self.uses {
            let id = CredentialId(*id);
            assign(tx, AssignCredential { id, run_template, assign: true }).await?;
        }
        Ok(run_template)
    }
}

/// Changes a run template and the credentials that it uses.
struct Reassign {
    what: UpdateRunTemplate,
    own: RunTemplateId,
    changed: Vec<(i64, bool)>,
}

impl Change for Reassign {
    type Output = ();

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        self.what.apply(tx).await?;
        for (id, to) in &self.changed {
            let (id, run_template) = (CredentialId(*id), self.own);
            assign(tx, AssignCredential { id, run_template, assign: *to }).await?;
        }
        Ok(())
    }
}
