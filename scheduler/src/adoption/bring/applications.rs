//! Applications.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
    sync::Arc,
};

use super::{DELETED_HERE, by, of, pages};
use crate::{
    adoption::{
        Error,
        map::{
            application::{self, Parts},
            merge::Fields,
        },
        report::Kind,
        source::{
            APP_ARTIFACT_TRANSLATIONS, APP_ARTIFACTS, APP_CONSUMES, APP_EXIT_CODES, APP_PRODUCES,
            APP_TRANSLATIONS, APPS, CONFFIELD, Row, Source,
        },
        target::{DEFINITION, Target},
    },
    domain::{
        application::{Definition, MAX_DOCUMENT, parse},
        ids::ApplicationId,
    },
    store::{ApplicationFilter, PutApplication},
};

const KIND: Kind = Kind::Application;

/// The definitions of the applications, by their ids there.
pub type Definitions = BTreeMap<i64, Arc<Definition>>;

/// Brings all applications.
pub async fn bring(source: &mut Source, target: &mut Target) -> Result<Definitions, Error> {
    let apps = source.all(&APPS).await?;
    let translations = source.all(&APP_TRANSLATIONS).await?;
    let fields = source.all(&CONFFIELD).await?;
    let artifacts = source.all(&APP_ARTIFACTS).await?;
    let artifact_texts = source.all(&APP_ARTIFACT_TRANSLATIONS).await?;
    let exit_codes = source.all(&APP_EXIT_CODES).await?;
    let produces = source.all(&APP_PRODUCES).await?;
    let consumes = source.all(&APP_CONSUMES).await?;
    let [translations, fields, artifacts, exit_codes, produces, consumes] =
        [&translations, &fields, &artifacts, &exit_codes, &produces, &consumes]
            .map(|rows| by(rows, "app_id"));
    let artifact_texts = by(&artifact_texts, "app_artifact_id");
    let store = target.store.clone();
    let rows =
        pages(async |page| store.applications(&ApplicationFilter::default(), &page).await).await?;
    let mut ours = Ours::default();
    for row in rows {
        ours.add(row.id.0, &row.definition);
    }
    let known = target.known(KIND).await?;
    let mut definitions = Definitions::new();
    for app in &apps {
        target.report.of(KIND).read += 1;
        let id = app.id();
        let parts = Parts {
            translations: of(&translations, id),
            fields: of(&fields, id),
            artifacts: of(&artifacts, id),
            artifact_texts: &artifact_texts,
            exit_codes: of(&exit_codes, id),
            produces: of(&produces, id),
            consumes: of(&consumes, id),
        };
        let read = match from_file(app) {
            Some(read) => Ok(read),
            None => application::definition(app, &parts),
        };
        let (definition, said) = match read {
            Ok((definition, said)) => (Arc::new(definition), said),
            Err(fault) => {
                target.report.skipped(KIND, id, fault);
                continue;
            }
        };
        let fields = Fields::from([(DEFINITION.to_owned(), definition.document().to_string())]);
        let put = |id| PutApplication { id, definition: Arc::clone(&definition), replace: true };
        if let Some(before) = known.get(&id) {
            let Some(own) = ours.by_id.get(&before.own) else {
                target.report.skipped(KIND, id, DELETED_HERE);
                continue;
            };
            let here = Fields::from([(DEFINITION.to_owned(), own.document().to_string())]);
            let change = |_: &_| put(Some(ApplicationId(before.own)));
            target.update((KIND, id), before, &fields, &here, change).await?;
            definitions.insert(id, definition);
            continue;
        }
        let name = definition.name.main();
        let uuid = definition.uuid.as_ref();
        if let Some(own) = uuid.and_then(|uuid| ours.by_uuid.get(uuid)).copied() {
            let text = "it is here already, by its UUID; its definition here stays as it is";
            target.report.remark(KIND, id, text);
            target.link(KIND, id, own, fields).await?;
        } else if ours.names.contains_key(name) {
            let reason = format!(
                "there is an application named {name:?} here that was not imported from there: \
                 rename one of them"
            );
            target.report.skipped(KIND, id, reason);
            continue;
        } else {
            for text in said {
                target.report.remark(KIND, id, text);
            }
            let change = PutApplication { replace: false, ..put(None) };
            let made = target.create((KIND, id), "apps", change, |put| put.id().0, fields);
            let Some(own) = made.await? else { continue };
            ours.add(own, &definition);
        }
        definitions.insert(id, definition);
    }
    Ok(definitions)
}

/// What is here.
#[derive(Default)]
struct Ours {
    by_id: HashMap<i64, Arc<Definition>>,
    by_uuid: HashMap<String, i64>,
    names: HashMap<String, i64>,
}

impl Ours {
    fn add(&mut self, id: i64, definition: &Arc<Definition>) {
        self.by_id.insert(id, Arc::clone(definition));
        self.names.insert(definition.name.main().to_owned(), id);
        self.by_uuid.extend(definition.uuid.clone().map(|uuid| (uuid, id)));
    }
}

/// The definition file that the row names, if it is on this host and is this application's.
fn from_file(app: &Row) -> Option<(Definition, Vec<String>)> {
    let file = app.text("deffile")?;
    let path = Path::new(&file);
    let about = path.metadata().ok().filter(|about| about.is_file())?;
    if !path.is_absolute() || about.len() > MAX_DOCUMENT as u64 {
        return None;
    }
    let definition = parse(&std::fs::read_to_string(path).ok()?).ok()?;
    let same = match (&definition.uuid, app.text("uuid")) {
        (Some(uuid), Some(known)) => uuid.eq_ignore_ascii_case(&known),
        _ => Some(definition.name.main()) == app.text("name").as_deref(),
    };
    let mut said = vec![format!("its definition is taken from the file {file}")];
    said.extend(application::shell_notes(&definition));
    same.then_some((definition, said))
}
