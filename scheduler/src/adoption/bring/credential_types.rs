//! Types of credentials: prototypes, and what companies have made of them. There each
//! company has types of its own; here a type is for all, told by its code.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use super::{DELETED_HERE, by, of, pages};
use crate::{
    adoption::{
        Error,
        map::{credential_type, merge::Fields, names},
        report::Kind,
        source::{
            CREDENTIAL_PROTOTYPE, CREDENTIAL_PROTOTYPE_FIELD, CREDENTIAL_TYPE, CRTYPEFIELD, Row,
            Source,
        },
        target::{DEFINITION, Target},
    },
    domain::credential_type::CredentialType,
    store::{CredentialTypeFilter, PutCredentialType},
};

/// The types by the ids of the rows of `credential_type`.
pub type Types = BTreeMap<i64, Arc<CredentialType>>;

/// What is here, and what the source has so far.
struct Codes {
    by_id: HashMap<i64, Arc<CredentialType>>,
    by_uuid: HashMap<String, i64>,
    codes: BTreeSet<String>,
    /// What the source has under a code, with kind and id.
    in_source: HashMap<String, (Kind, i64, Arc<CredentialType>)>,
}

/// Brings all types.
pub async fn bring(source: &mut Source, target: &mut Target) -> Result<Types, Error> {
    let store = target.store.clone();
    let rows =
        pages(async |page| store.credential_types(&CredentialTypeFilter::default(), &page).await);
    let mut codes = Codes {
        by_id: HashMap::new(),
        by_uuid: HashMap::new(),
        codes: BTreeSet::new(),
        in_source: HashMap::new(),
    };
    for row in rows.await? {
        codes.add(row.id.0, &row.definition);
    }
    let prototypes = source.all(&CREDENTIAL_PROTOTYPE).await?;
    let fields = source.all(&CREDENTIAL_PROTOTYPE_FIELD).await?;
    let fields = by(&fields, "credential_prototype_id");
    for row in &prototypes {
        let (kind, id) = (Kind::CredentialPrototype, row.id());
        target.report.of(kind).read += 1;
        let code = row.text("code").as_deref().and_then(names::code);
        let code = codes.free(code.unwrap_or_else(|| format!("prototype-{id}")), id);
        let built = credential_type::of_prototype(row, of(&fields, id), &code);
        bring_one((kind, id), built, &mut codes, target).await?;
    }
    let types = source.all(&CREDENTIAL_TYPE).await?;
    let fields = source.all(&CRTYPEFIELD).await?;
    let fields = by(&fields, "credential_type_id");
    let mut found = Types::new();
    for row in &types {
        let (kind, id) = (Kind::CredentialType, row.id());
        target.report.of(kind).read += 1;
        let fields = of(&fields, id);
        let code = row.text("prototype").as_deref().and_then(names::code);
        let code = code.or_else(|| row.text("name").as_deref().and_then(names::code));
        let code = code.unwrap_or_else(|| format!("type-{id}"));
        let built = credential_type::of_type(row, fields, &code);
        if let Some((kind_of, id_of, shared)) = codes.shared(&code, &built, fields) {
            let Some(own) = target.own(kind_of, id_of) else {
                let reason = format!("its {} {id_of} was left out", kind_of.name());
                target.report.skipped(kind, id, reason);
                continue;
            };
            target.is(kind, id, own);
            target.report.of(kind).unchanged += 1;
            found.insert(id, shared);
            continue;
        }
        let free = codes.free(code.clone(), id);
        let built = match free == code {
            true => built,
            false => credential_type::of_type(row, fields, &free),
        };
        if let Some(definition) = bring_one((kind, id), built, &mut codes, target).await? {
            found.insert(id, definition);
        }
    }
    Ok(found)
}

async fn bring_one(
    (kind, id): (Kind, i64),
    built: Result<(CredentialType, Vec<String>), String>,
    codes: &mut Codes,
    target: &mut Target,
) -> Result<Option<Arc<CredentialType>>, Error> {
    let (definition, said) = match built {
        Ok((definition, said)) => (Arc::new(definition), said),
        Err(fault) => {
            target.report.skipped(kind, id, fault);
            return Ok(None);
        }
    };
    let code = definition.code.to_ascii_lowercase();
    codes.in_source.insert(code.clone(), (kind, id, Arc::clone(&definition)));
    let fields = Fields::from([(DEFINITION.to_owned(), definition.document().to_string())]);
    let known = target.store.adopted(&target.source, kind.name(), id..=id).await?;
    if let Some(before) = known.get(&id) {
        let Some(own) = codes.by_id.get(&before.own) else {
            target.report.skipped(kind, id, DELETED_HERE);
            return Ok(None);
        };
        let here = Fields::from([(DEFINITION.to_owned(), own.document().to_string())]);
        let change = |_: &_| PutCredentialType(Arc::clone(&definition));
        target.update((kind, id), before, &fields, &here, change).await?;
        return Ok(Some(definition));
    }
    if let Some(own) = definition.uuid.as_ref().and_then(|uuid| codes.by_uuid.get(uuid)).copied() {
        let text = "it is here already, by its UUID; its definition here stays as it is";
        target.report.remark(kind, id, text);
        target.link(kind, id, own, fields).await?;
        return Ok(codes.by_id.get(&own).cloned());
    }
    if codes.codes.contains(&code) {
        let reason = format!(
            "there is a credential type {:?} here that was not imported from there",
            definition.code
        );
        target.report.skipped(kind, id, reason);
        return Ok(None);
    }
    for text in said {
        target.report.remark(kind, id, text);
    }
    let put = PutCredentialType(Arc::clone(&definition));
    let made = target.create((kind, id), "credential_type", put, |put| put.id().0, fields).await?;
    let Some(own) = made else { return Ok(None) };
    codes.add(own, &definition);
    Ok(Some(definition))
}

impl Codes {
    fn add(&mut self, id: i64, definition: &Arc<CredentialType>) {
        self.by_id.insert(id, Arc::clone(definition));
        self.by_uuid.extend(definition.uuid.clone().map(|uuid| (uuid, id)));
        self.codes.insert(definition.code.to_ascii_lowercase());
    }

    /// The code, told from others of the source by the id.
    fn free(&self, code: String, id: i64) -> String {
        let taken = self.in_source.contains_key(&code.to_ascii_lowercase());
        if taken { format!("{code}-{id}") } else { code }
    }

    /// What of the source is the same type: its prototype, if that has all its fields, or
    /// another company's that is like it.
    fn shared(
        &self,
        code: &str,
        built: &Result<(CredentialType, Vec<String>), String>,
        fields: &[&Row],
    ) -> Option<(Kind, i64, Arc<CredentialType>)> {
        let (kind, id, known) = self.in_source.get(&code.to_ascii_lowercase())?;
        let of_prototype = *kind == Kind::CredentialPrototype
            && fields.iter().all(|row| {
                row.text("keyname").is_some_and(|keyword| known.field(&keyword).is_some())
            });
        let alike = built.as_ref().is_ok_and(|(built, _)| built.fields == known.fields);
        (of_prototype || alike).then(|| (*kind, *id, Arc::clone(known)))
    }
}
