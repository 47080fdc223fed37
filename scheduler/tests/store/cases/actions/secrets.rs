//! What actions are told and nobody else is.

use multiflexi_scheduler::{
    domain::{action::Mode, environment::Given},
    store::{CreateAction, NextSettings, Reseal, SealSettings},
};

use crate::{
    databases::{Database, open_with_keys},
    world::{World, agent},
};

pub async fn what_an_action_is_told_is_sealed_anew(database: Box<dyn Database>) {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::new(database).await;
    world.store = open_with_keys(world.database.as_ref(), folder.path()).await;
    world.agent = agent(&world.store, "another agent").await;
    let mut settings = Given::from([("TOKEN".to_owned(), "open sesame".to_owned())]);
    settings.secret.insert("TOKEN".to_owned());
    let create = CreateAction { settings, ..world.action("A", Mode::Always) };
    let id = world.store.change(create).await.unwrap();
    let key = world.ended_with(0).await;
    world.store.vault().add_key().unwrap();
    assert_eq!(world.store.change(Reseal::begin()).await.unwrap().secrets, 2);
    world.store.vault().forget_others().unwrap();
    assert_eq!(world.store.action(id).await.unwrap().settings.values["TOKEN"], "open sesame");
    let performed = world.performed(key.job).await.remove(0);
    assert_eq!(performed.settings.values["TOKEN"], "open sesame");
    assert!(performed.settings.secret.contains("TOKEN"));
}

pub async fn settings_that_are_secret_now_are_sealed(database: Box<dyn Database>) {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::new(database).await;
    world.store = open_with_keys(world.database.as_ref(), folder.path()).await;
    world.agent = agent(&world.store, "another agent").await;
    let mut ids = Vec::new();
    for kind in ["A", "B"] {
        let settings = Given::from([("TOKEN".to_owned(), "open sesame".to_owned())]);
        let create = CreateAction { settings, ..world.action(kind, Mode::Always) };
        ids.push((world.store.change(create).await.unwrap(), kind));
    }
    let key = world.ended_with(0).await;
    let begin = || SealSettings::begin(vec![("A", vec!["OTHER", "TOKEN"])]);
    let mut next = begin();
    let whole = loop {
        match world.store.change(next).await.unwrap().expect("it is not done yet") {
            NextSettings::More(more) => next = more,
            NextSettings::Whole(whole) => break whole,
        }
    };
    let is_sealed = |settings: &Given, kind: &str| {
        assert_eq!(settings.values["TOKEN"], "open sesame");
        assert_eq!(settings.secret.contains("TOKEN"), kind == "A", "{kind}");
    };
    for (id, kind) in ids {
        is_sealed(&world.store.action(id).await.unwrap().settings, kind);
    }
    let performed = world.performed(key.job).await;
    assert_eq!(performed.len(), 2);
    performed.iter().for_each(|row| is_sealed(&row.settings, &row.kind));
    world.store.change(whole).await.unwrap();
    assert!(world.store.change(begin()).await.unwrap().is_none(), "it is done once");
}
