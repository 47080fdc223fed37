//! Credentials. All their values are sealed as they arrive, and none is ever said.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{DELETED_HERE, by, credential_types::Types, of, pages};
use crate::{
    adoption::{
        Error,
        map::{
            merge::{Fields, Merge},
            names,
            variables::{self, change, fields},
        },
        report::Kind,
        source::{CREDATA, CREDENTIALS, CREDTYPEDATA, Row, Source},
        target::Target,
    },
    domain::{
        environment::{Given, VariableChange},
        ids::{CompanyId, CredentialId},
    },
    store::{CreateCredential, CredentialFilter, CredentialRow, UpdateCredential},
};

const KIND: Kind = Kind::Credential;

/// Of the credentials, by their ids there: the company's id there, and the variables as jobs
/// get them.
pub type Credentials = BTreeMap<i64, (i64, Given)>;

/// Brings all credentials.
pub async fn bring(
    source: &mut Source,
    target: &mut Target,
    types: &Types,
) -> Result<Credentials, Error> {
    let rows = source.all(&CREDENTIALS).await?;
    let values = source.all(&CREDATA).await?;
    let of_types = source.all(&CREDTYPEDATA).await?;
    let (values, of_types) = (by(&values, "credential_id"), by(&of_types, "credential_type_id"));
    let store = target.store.clone();
    let all =
        pages(async |page| store.credentials(&CredentialFilter::default(), &page).await).await?;
    let ours: HashMap<i64, CredentialRow> = all.into_iter().map(|row| (row.id.0, row)).collect();
    let known = target.known(KIND).await?;
    let mut in_source: HashMap<i64, HashSet<String>> = HashMap::new();
    let mut given_of = BTreeMap::new();
    for row in &rows {
        target.report.of(KIND).read += 1;
        let id = row.id();
        let company = row.int("company_id").unwrap_or_default();
        let Some(own_company) = target.own(Kind::Company, company) else {
            target.report.skipped(KIND, id, format!("company {company} was not imported"));
            continue;
        };
        let name = names::name(row.text("name"), &format!("credential {id}"));
        let others = in_source.entry(company).or_default();
        let name = names::told_apart(&name, id, others);
        others.insert(name.clone());
        let kind_id = row.int("credential_type_id").unwrap_or_default();
        let (given, left_out) = given(of(&values, id), of(&of_types, kind_id));
        for reason in left_out {
            target.report.remark(KIND, id, reason);
        }
        let mut kind = types.get(&kind_id);
        if kind.is_none() && kind_id != 0 {
            let reason = format!("credential type {kind_id} was not imported");
            target.report.skipped(KIND, id, reason);
            continue;
        }
        let faults = kind.map(|kind| kind.faults(&given)).unwrap_or_default();
        if !faults.is_empty() {
            kind = None;
            let faults = faults.join("; ");
            let text = format!(
                "it has no type here, as it is not what its type says: {faults}; set what is \
                 missing and give it the type with credential:update"
            );
            target.report.remark(KIND, id, text);
        }
        let complete = kind.map_or_else(|| given.clone(), |kind| kind.complete(&given));
        given_of.insert(id, (company, sealed(complete)));
        let code = kind.map(|kind| kind.code.clone());
        let mut there = fields(&given);
        describe(&mut there, &name, code.as_ref());
        if let Some(before) = known.get(&id) {
            let Some(own) = ours.get(&before.own) else {
                target.report.skipped(KIND, id, DELETED_HERE);
                continue;
            };
            let mut here = fields(&target.store.credential_variables(before.own).await?);
            describe(&mut here, &own.name, own.kind.as_ref());
            let update = |merge: &Merge| UpdateCredential {
                id: CredentialId(before.own),
                name: merge.take.contains("name").then(|| name.clone()),
                kind: merge.take.contains("type").then(|| code.clone()),
                variables: change(&given, &merge.take),
            };
            target.update((KIND, id), before, &there, &here, update).await?;
            continue;
        }
        let taken = ours.values().any(|own| own.company.0.0 == own_company && own.name == name);
        if taken {
            let reason = format!(
                "its company has a credential {name:?} here that was not imported from there"
            );
            target.report.skipped(KIND, id, reason);
            continue;
        }
        if Some(name.as_str()) != row.raw("name").as_deref() {
            target.report.remark(KIND, id, format!("it is called {name:?} here"));
        }
        let company = CompanyId(own_company);
        let create = CreateCredential { company, name, kind: code, variables: given };
        target.create((KIND, id), "credentials", create, |id| id.0, there).await?;
    }
    Ok(given_of)
}

/// The variables of a credential: its own, and in their place those values that its type
/// gives to all. What is encrypted cannot be read.
fn given(own: &[&Row], of_type: &[&Row]) -> (Given, Vec<String>) {
    let mut said = Vec::new();
    let mut readable = |rows: &[&Row]| {
        let (encrypted, plain): (Vec<&Row>, Vec<&Row>) =
            rows.iter().partition(|row| is_encrypted(row));
        said.extend(encrypted.iter().map(|row| {
            let name = row.text("name").unwrap_or_default();
            format!("{name} is encrypted there: it is left out, set it with credential:update")
        }));
        let (given, left_out) = variables::read(plain, "name", "value", |_, _| true);
        said.extend(left_out.into_iter().map(|reason| format!("{reason}; it is left out")));
        given
    };
    let mut given = readable(own);
    let mut of_type = readable(of_type);
    let empty: Vec<String> =
        of_type.values.iter().filter(|(_, text)| text.is_empty()).map(|(n, _)| n.clone()).collect();
    of_type.retain(|name| !empty.iter().any(|known| known == name));
    given.change(&VariableChange { set: of_type, unset: Vec::new() });
    (given, said)
}

/// The JSON that the PHP program puts in place of a value that it has encrypted.
fn is_encrypted(row: &Row) -> bool {
    let envelope = |text: &String| {
        let json: Result<serde_json::Value, _> = serde_json::from_str(text);
        json.is_ok_and(|json| ["ciphertext", "iv"].iter().all(|key| json.get(key).is_some()))
    };
    row.flag("is_encrypted") || row.raw("value").as_ref().is_some_and(envelope)
}

fn sealed(given: Given) -> Given {
    let secret = given.names().cloned().collect();
    Given { secret, ..given }
}

fn describe(fields: &mut Fields, name: &str, code: Option<&String>) {
    fields.insert("name".to_owned(), name.to_owned());
    fields.extend(code.map(|code| ("type".to_owned(), code.clone())));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_the_type_win_and_what_is_encrypted_is_named() {
        let own = [
            Row::of(1, &[("name", "USER"), ("value", "me")]),
            Row::of(
                2,
                &[
                    ("name", "TOKEN"),
                    ("value", "{\"ciphertext\":\"x\",\"iv\":\"y\",\"tag\":\"z\"}"),
                ],
            ),
            Row::of(3, &[("name", "PIN"), ("value", "abc"), ("is_encrypted", "1")]),
            Row::of(4, &[("name", "A B"), ("value", "hidden")]),
        ];
        let of_type = [
            Row::of(1, &[("name", "USER"), ("value", "all")]),
            Row::of(2, &[("name", "EMPTY"), ("value", "")]),
        ];
        let own: Vec<&Row> = own.iter().collect();
        let of_type: Vec<&Row> = of_type.iter().collect();
        let (given, said) = given(&own, &of_type);
        assert_eq!(given.values.len(), 1);
        assert_eq!(given.values["USER"], "all");
        assert!(given.secret.contains("USER"));
        assert_eq!(said.len(), 3);
        assert!(said.iter().all(|text| !text.contains("hidden") && !text.contains("abc")));
    }
}
