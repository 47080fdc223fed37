//! What somebody says of actions that wait or have failed.

use multiflexi_scheduler::{
    domain::{
        action::{Mode, Progress},
        environment::Given,
        ids::CompanyId,
    },
    store::{
        ActionFailure, CancelAction, CreateAction, DeleteAction, Effect, KeepAction, Page,
        PerformedFilter, RetryAction, UpdateAction,
    },
};

use super::LONG;
use crate::{databases::Database, world::World};

pub async fn what_has_failed_is_done_again_when_somebody_says_so(database: Box<dyn Database>) {
    let world = World::new(database).await;
    world.with_action("A", Mode::Always).await;
    let key = world.ended_with(0).await;
    let action = world.due(LONG).await.remove(0);
    let id = action.claim.id;
    let running = world.store.change(RetryAction(id)).await.unwrap_err().to_string();
    assert!(running.contains("is running"), "{running}");
    let failure = ActionFailure { reason: "no".to_owned(), again: None };
    world.record(&action, Err(failure)).await;
    world.store.change(RetryAction(id)).await.unwrap();
    let again = world.due(LONG).await.remove(0);
    assert_eq!((again.claim.id, again.tries), (id, 1), "with all its tries");
    assert!(world.store.change(KeepAction { claim: again.claim, lease: LONG }).await.unwrap());
    assert!(!world.store.change(KeepAction { claim: action.claim, lease: LONG }).await.unwrap());
    world.record(&again, Ok(Effect::Nothing("yes".to_owned()))).await;
    let done = world.performed(key.job).await.remove(0);
    assert_eq!((done.progress, done.outcome.as_deref()), (Progress::Succeeded, Some("yes")));

    // They are found by what they have in common.
    let company = world.store.run_template(world.template).await.unwrap().template.company;
    let all = PerformedFilter {
        job: Some(key.job),
        progress: Some(Progress::Succeeded),
        run_template: Some(world.template),
        company: Some(company),
        kind: Some("A".to_owned()),
        since: Some(0),
    };
    let found = async |which: PerformedFilter| {
        let page = Page::parse(0, "").unwrap();
        world.store.performed_actions(&which, page).await.unwrap().rows.len()
    };
    assert_eq!(found(all.clone()).await, 1);
    assert_eq!(found(PerformedFilter { company: Some(CompanyId(999)), ..all.clone() }).await, 0);
    assert_eq!(found(PerformedFilter { kind: Some("B".to_owned()), ..all.clone() }).await, 0);
    assert_eq!(found(PerformedFilter { since: Some(i64::MAX), ..all }).await, 0);
    assert!(world.store.change(RetryAction(id)).await.is_err());
    let unknown = world.store.change(RetryAction(999.into())).await.unwrap_err();
    assert_eq!(unknown.to_string(), "there is no action of a job 999");
}

pub async fn what_waits_for_its_next_try_is_done_now_and_as_it_is_told_now(
    database: Box<dyn Database>,
) {
    let world = World::new(database).await;
    let told = |text: &str| Given::from([("uri".to_owned(), text.to_owned())]);
    let create = CreateAction { settings: told("mistyped"), ..world.action("A", Mode::Always) };
    let id = world.store.change(create).await.unwrap();
    world.with_action("B", Mode::Always).await;
    let key = world.ended_with(0).await;
    let action = world.due(LONG).await.remove(0);
    let later = ActionFailure { reason: "no".to_owned(), again: Some(LONG) };
    world.record(&action, Err(later)).await;
    assert!(world.due(LONG).await.is_empty(), "it waits");
    let settings = Some((told("right"), None));
    let update = UpdateAction { id, mode: None, position: None, settings };
    world.store.change(update).await.unwrap();
    world.store.change(RetryAction(action.claim.id)).await.unwrap();
    let again = world.due(LONG).await.remove(0);
    assert_eq!((again.claim.id, again.tries), (action.claim.id, 1));
    assert_eq!(again.settings.as_ref().unwrap().values["uri"], "right");
    let never = ActionFailure { reason: "no".to_owned(), again: None };
    world.record(&again, Err(never)).await;

    // Of one that is gone there is nothing new.
    world.store.change(DeleteAction(id)).await.unwrap();
    world.store.change(RetryAction(action.claim.id)).await.unwrap();
    let again = world.due(LONG).await;
    let again = again.iter().find(|it| it.claim.id == action.claim.id).unwrap();
    assert_eq!(again.settings.as_ref().unwrap().values["uri"], "right");
    assert_eq!(world.performed(key.job).await.len(), 2);
}

pub async fn what_is_cancelled_is_not_done_and_the_next_is(database: Box<dyn Database>) {
    let world = World::new(database).await;
    for kind in ["A", "B", "C"] {
        world.with_action(kind, Mode::Always).await;
    }
    let key = world.ended_with(0).await;
    let [a, b, c] = [0, 1, 2].map(async |index| world.performed(key.job).await[index].id);
    let (a, b, c) = tokio::join!(a, b, c);
    let waits = world.store.change(RetryAction(b)).await.unwrap_err().to_string();
    assert!(waits.contains("waits for the one before it"), "{waits}");
    let first = world.due(LONG).await.remove(0);
    let running = world.store.change(CancelAction(a)).await.unwrap_err().to_string();
    assert!(running.contains("is running"), "{running}");
    let later = ActionFailure { reason: "no".to_owned(), again: Some(LONG) };
    world.record(&first, Err(later)).await;

    // One that waits for another leaves the turn where it is.
    world.store.change(CancelAction(b)).await.unwrap();
    assert!(world.due(LONG).await.is_empty());
    world.store.change(CancelAction(a)).await.unwrap();
    let next = world.due(LONG).await.remove(0);
    assert_eq!((next.claim.id, next.kind.as_str()), (c, "C"));
    let rows = world.performed(key.job).await;
    let said = |index: usize| (rows[index].progress, rows[index].outcome.as_deref());
    assert_eq!(said(0), (Progress::Cancelled, Some("cancelled; its last try: no")));
    assert_eq!(said(1), (Progress::Cancelled, Some("cancelled")));
    world.store.change(RetryAction(a)).await.unwrap();
    assert_eq!(world.due(LONG).await.remove(0).claim.id, a, "it is done after all");
}
