//! Companies, with their variables.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::{DELETED_HERE, applications::Definitions, by, of, pages};
use crate::{
    adoption::{
        Error,
        map::{
            merge::Merge,
            names,
            variables::{self, change, fields},
        },
        report::Kind,
        source::{COMPANY, COMPANYENV, Row, Source},
        target::Target,
    },
    domain::{environment::Given, ids::CompanyId},
    store::{CompanyFilter, CompanyRow, CreateCompany, UpdateCompany},
    zabbix,
};

const KIND: Kind = Kind::Company;

/// Brings all companies; the variables of each, by its id there.
pub async fn bring(
    source: &mut Source,
    target: &mut Target,
    (definitions, hidden): (&Definitions, &BTreeSet<String>),
) -> Result<BTreeMap<i64, Given>, Error> {
    let rows = source.all(&COMPANY).await?;
    let environment = source.all(&COMPANYENV).await?;
    let environment = by(&environment, "company_id");
    let store = target.store.clone();
    let all = pages(async |page| store.companies(&CompanyFilter::default(), &page).await).await?;
    let mut taken: HashSet<String> = all.iter().map(|row| row.name.clone()).collect();
    let mut slugs: HashSet<String> = all.iter().filter_map(|row| row.slug.clone()).collect();
    let ours: HashMap<i64, CompanyRow> = all.into_iter().map(|row| (row.id.0, row)).collect();
    let known = target.known(KIND).await?;
    let (mut in_source, mut given_of) = (HashSet::new(), BTreeMap::new());
    for row in &rows {
        target.report.of(KIND).read += 1;
        let id = row.id();
        let name = names::name(row.text("name"), &format!("company {id}"));
        let name = names::told_apart(&name, id, &in_source);
        in_source.insert(name.clone());
        let slug = names::slug(row.text("slug"));
        let zabbix_host = row.text("zabbix_host").filter(|host| zabbix::check_host(host).is_ok());
        let secret = |name: &str| {
            let mut all = definitions.values();
            hidden.contains(name)
                || all.any(|known| known.environment.get(name).is_some_and(|field| field.secret))
        };
        let rows = of(&environment, id).iter().copied();
        let secret = |name: &str, _: &Row| secret(name);
        let (given, left_out) = variables::read(rows, "keyword", "value", secret);
        let mut there = fields(&given);
        there.insert("name".to_owned(), name.clone());
        there.extend(slug.clone().map(|slug| ("slug".to_owned(), slug)));
        there.extend(zabbix_host.clone().map(|host| ("zabbix_host".to_owned(), host)));
        for reason in left_out {
            target.report.remark(KIND, id, format!("{reason}; it is left out"));
        }
        if let Some(before) = known.get(&id) {
            let Some(own) = ours.get(&before.own) else {
                target.report.skipped(KIND, id, DELETED_HERE);
                continue;
            };
            let mut here = fields(&own.environment);
            here.insert("name".to_owned(), own.name.clone());
            here.extend(own.slug.clone().map(|slug| ("slug".to_owned(), slug)));
            here.extend(own.zabbix_host.clone().map(|host| ("zabbix_host".to_owned(), host)));
            let update = |merge: &Merge| UpdateCompany {
                name: merge.take.contains("name").then(|| name.clone()),
                slug: merge.take.contains("slug").then(|| slug.clone()),
                zabbix_host: merge.take.contains("zabbix_host").then(|| zabbix_host.clone()),
                environment: change(&given, &merge.take),
                ..UpdateCompany::of(CompanyId(before.own))
            };
            target.update((KIND, id), before, &there, &here, update).await?;
            given_of.insert(id, given);
            continue;
        }
        if taken.contains(&name) {
            let reason = format!(
                "there is a company named {name:?} here that was not imported from there: \
                 rename one of them"
            );
            target.report.skipped(KIND, id, reason);
            continue;
        }
        if Some(name.as_str()) != row.raw("name").as_deref() {
            target.report.remark(KIND, id, format!("it is called {name:?} here"));
        }
        let free = slug.clone().filter(|slug| !slugs.contains(slug));
        if free != row.text("slug") {
            let text = match &free {
                Some(slug) => format!("its slug is {slug:?} here"),
                None => "it has no slug here, as its own is taken or has no usable letters".into(),
            };
            target.report.remark(KIND, id, text);
        }
        slugs.extend(free.clone());
        taken.insert(name.clone());
        let environment = given.clone();
        let create =
            CreateCompany { name, slug: free, max_running: None, zabbix_host, environment };
        let made = target.create((KIND, id), "company", create, |id| id.0, there);
        if made.await?.is_some() {
            given_of.insert(id, given);
        }
    }
    Ok(given_of)
}
