use super::*;

fn refs(rows: &[Row]) -> Vec<&Row> {
    rows.iter().collect()
}

#[test]
fn a_definition_is_rebuilt_from_all_its_rows() {
    let app = Row::of(
        3,
        &[
            ("name", "Probe"),
            ("description", "it's a \"probe\""),
            ("executable", "/bin/sh"),
            ("cmdparams", "-c 'echo {WHO} ${WHO}'"),
            ("uuid", "55555555-5555-4555-8555-555555555555"),
            ("version", "1.2.3"),
            ("tags", "a, b,"),
            ("requirements", "FioBank"),
            ("ociimage", ""),
            ("helmchart", "oci://x/y"),
        ],
    );
    let translations = [Row::of(1, &[("lang", "cs"), ("name", "Sonda"), ("description", "sonda")])];
    let fields = [
        Row::of(1, &[("keyname", "WHO"), ("type", "text"), ("defval", "světe"), ("required", "1")]),
        Row::of(2, &[("keyname", "TOKEN"), ("type", "string"), ("secret", "1")]),
        Row::of(3, &[("keyname", "OLD"), ("type", "checkbox"), ("defval", "1")]),
    ];
    let artifacts = [Row::of(9, &[("path", "r_.*\\.json"), ("type", "application/json")])];
    let texts = [Row::of(1, &[("lang", "en"), ("name", "result")])];
    let codes = [
        Row::of(
            1,
            &[
                ("exit_code", "75"),
                ("lang", "en"),
                ("description", "later"),
                ("severity", "warning"),
                ("retry", "1"),
            ],
        ),
        Row::of(2, &[("exit_code", "75"), ("lang", "cs"), ("description", "později")]),
    ];
    let produces = [Row::of(
        1,
        &[
            ("name", "balance"),
            ("format", "json"),
            ("patterns_json", "[\"b.*\"]"),
            ("fields_json", "[]"),
        ],
    )];
    let consumes = [Row::of(
        1,
        &[
            ("name", "statement"),
            ("format", "file"),
            ("required", "0"),
            ("target_env_key", "WHO"),
            ("description_json", "{broken"),
        ],
    )];
    let parts = Parts {
        translations: &refs(&translations),
        fields: &refs(&fields),
        artifacts: &refs(&artifacts),
        artifact_texts: &[(9, refs(&texts))].into(),
        exit_codes: &refs(&codes),
        produces: &refs(&produces),
        consumes: &refs(&consumes),
    };
    let (definition, said) = definition(&app, &parts).unwrap();
    assert_eq!(definition.name.get("cs"), "Sonda");
    assert_eq!(definition.cmdparams, "-c 'echo {WHO} ${WHO}'");
    assert_eq!(definition.environment["WHO"].default.as_deref(), Some("světe"));
    assert!(definition.environment["TOKEN"].secret && definition.environment["WHO"].required);
    assert_eq!(definition.artifacts[0].name.main(), "result");
    assert_eq!(definition.exit_codes[&75].description.get("cs"), "později");
    assert_eq!(definition.exit_codes[&75].retry, Some(true));
    assert_eq!(definition.produces["balance"].patterns, ["b.*"]);
    assert!(!definition.consumes["statement"].required);
    assert_eq!((definition.tags.len(), definition.requirements.len()), (2, 1));
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("description_json"), "{said:?}");
}

#[test]
fn what_an_application_cannot_do_without_is_missed() {
    let none = BTreeMap::new();
    let parts = Parts {
        artifact_texts: &none,
        translations: &[],
        fields: &[],
        artifacts: &[],
        exit_codes: &[],
        produces: &[],
        consumes: &[],
    };
    let without = Row::of(1, &[("name", "x")]);
    assert!(definition(&without, &parts).unwrap_err().contains("executable"));
    let open = Row::of(1, &[("name", "x"), ("executable", "y"), ("cmdparams", "'")]);
    assert!(definition(&open, &parts).unwrap_err().contains("quote"));
    let least = Row::of(1, &[("name", "x"), ("executable", "php -f y"), ("cmdparams", "> z")]);
    let (definition, said) = definition(&least, &parts).unwrap();
    assert_eq!(definition.executable, "php");
    assert_eq!(definition.cmdparams, "-f y > z");
    assert!(said[0].contains("no shell runs here"), "{said:?}");
}
