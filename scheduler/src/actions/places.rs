//! Where actions are done. What only changes things here has places of its own; what goes out
//! has others, and whoever is asked holds a few of them at most: one that hangs delays what is
//! for it, and nothing else.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{domain::ids::PerformedActionId, store::ActionClaim};

/// Most actions at once that go out, and as many that do not. Those that do mostly wait.
const AT_ONCE: usize = 256;

/// Most actions at once that ask the same.
const AT_ONCE_EACH: usize = 16;

/// Most actions that are known to wait for the same. Others come back when their time has come.
const MOST_KNOWN: usize = 10_000;

/// The places that there are.
#[derive(Debug)]
pub(super) struct Places {
    here: Arc<Semaphore>,
    out: Arc<Semaphore>,
    asked: Mutex<HashMap<String, Asked>>,
}

/// Somebody who is asked.
#[derive(Debug, Default)]
struct Asked {
    /// How many ask at the moment.
    on_their_way: usize,
    /// What waits until one of these has come back, by the order of ids.
    waiting: BTreeMap<PerformedActionId, ActionClaim>,
}

impl Asked {
    /// Whether something waits that could be on its way.
    fn is_waited_for(&self) -> bool {
        self.on_their_way < AT_ONCE_EACH && !self.waiting.is_empty()
    }
}

/// A place for one action after the other.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    /// Who is asked from it; none once it was left, and if nobody is.
    asks: Option<String>,
    _permit: OwnedSemaphorePermit,
}

impl Places {
    pub(super) fn new() -> Self {
        let semaphore = || Arc::new(Semaphore::new(AT_ONCE));
        Self { here: semaphore(), out: semaphore(), asked: Mutex::default() }
    }

    /// How many are free for what does not go out.
    pub(super) fn free_here(&self) -> usize {
        self.here.available_permits()
    }

    /// A place for an action that asks this one, or nobody; or what it waits for, in words.
    pub(super) fn take(self: &Arc<Self>, asks: Option<&str>) -> Result<Place, String> {
        self.take_of(&mut self.asked(), asks)
    }

    /// Lets an action wait for its place; or gives it one that was left meanwhile.
    pub(super) fn wait(self: &Arc<Self>, asks: &str, claim: ActionClaim) -> Option<Place> {
        let mut all = self.asked();
        let place = self.take_of(&mut all, Some(asks));
        if place.is_err() {
            let Asked { waiting, .. } = all.entry(asks.to_owned()).or_default();
            if waiting.len() < MOST_KNOWN {
                waiting.insert(claim.id, claim);
            }
        }
        place.ok()
    }

    fn take_of(
        self: &Arc<Self>,
        all: &mut HashMap<String, Asked>,
        asks: Option<&str>,
    ) -> Result<Place, String> {
        if let Some(name) = asks
            && all.get(name).is_some_and(|asked| asked.on_their_way >= AT_ONCE_EACH)
        {
            return Err(format!("{AT_ONCE_EACH} requests to {name} are on their way"));
        }
        let permits = if asks.is_some() { &self.out } else { &self.here };
        let permit = Arc::clone(permits).try_acquire_owned();
        let permit = permit.map_err(|_| format!("{AT_ONCE} others are on their way"))?;
        if let Some(name) = asks {
            all.entry(name.to_owned()).or_default().on_their_way += 1;
        }
        let (places, asks) = (Arc::clone(self), asks.map(str::to_owned));
        Ok(Place { places, asks, _permit: permit })
    }

    fn asked(&self) -> MutexGuard<'_, HashMap<String, Asked>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// What waits for it, or for any place. If nothing does, it is left. While there are others,
    /// it is for the same that it was for; the last ones are for what waits longest.
    pub(super) fn next(&mut self) -> Option<ActionClaim> {
        let asks = self.asks.take()?;
        let mut all = self.places.asked();
        leave(&mut all, &asks);
        let spare = self.places.out.available_permits() > 0;
        let name = match all.get(&asks) {
            Some(asked) if spare && asked.is_waited_for() => asks,
            _ => {
                let waited_for = all.iter().filter(|(_, asked)| asked.is_waited_for());
                let oldest = waited_for.min_by_key(|(_, asked)| asked.waiting.keys().next());
                oldest?.0.clone()
            }
        };
        let asked = all.get_mut(&name)?;
        let (_, claim) = asked.waiting.pop_first()?;
        asked.on_their_way += 1;
        self.asks = Some(name);
        Some(claim)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(asks) = &self.asks {
            leave(&mut self.places.asked(), asks);
        }
    }
}

fn leave(all: &mut HashMap<String, Asked>, asks: &str) {
    let Some(asked) = all.get_mut(asks) else { return };
    asked.on_their_way = asked.on_their_way.saturating_sub(1);
    if asked.on_their_way == 0 && asked.waiting.is_empty() {
        all.remove(asks);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::{ActionId, Fence, JobId, RunTemplateId};

    fn claim(id: i64) -> ActionClaim {
        ActionClaim {
            id: PerformedActionId(id),
            action: ActionId(1),
            fence: Fence(1),
            job: JobId(id),
            attempt: 1,
            run_template: RunTemplateId(1),
            state: None,
            created: 0,
        }
    }

    #[test]
    fn one_that_is_asked_holds_a_few_places_and_works_off_what_waits_for_it() {
        let places = Arc::new(Places::new());
        let mut of_slow: Vec<Place> =
            (0..AT_ONCE_EACH).map(|_| places.take(Some("slow")).unwrap()).collect();
        let waits = places.take(Some("slow")).unwrap_err();
        assert_eq!(waits, "16 requests to slow are on their way");
        for id in [8, 7, 8] {
            assert!(places.wait("slow", claim(id)).is_none());
        }
        let quick = places.take(Some("quick")).unwrap();
        let here = places.take(None).unwrap();
        assert_eq!(places.free_here(), AT_ONCE - 1);
        drop((quick, here));

        let mut place = of_slow.remove(0);
        let ids: Vec<i64> = std::iter::from_fn(|| place.next()).map(|claim| claim.id.0).collect();
        assert_eq!(ids, [7, 8], "the older first, and each once");
        assert!(places.wait("slow", claim(9)).is_some(), "it was left");
        drop((place, of_slow));
        assert!(places.asked().is_empty());
        assert_eq!((places.free_here(), places.out.available_permits()), (AT_ONCE, AT_ONCE));
    }

    #[test]
    fn what_goes_out_leaves_places_to_what_does_not() {
        let places = Arc::new(Places::new());
        let mut all: Vec<Place> = (0..AT_ONCE)
            .map(|number| places.take(Some(&(number / AT_ONCE_EACH).to_string())).unwrap())
            .collect();
        let waits = places.take(Some("another")).unwrap_err();
        assert_eq!(waits, "256 others are on their way");
        assert!(places.take(None).is_ok());
        // Whoever leaves a place takes what waits for any.
        assert!(places.wait("another", claim(7)).is_none());
        assert!(places.wait("0", claim(8)).is_none(), "one of those that hold them");
        let place = &mut all[0];
        assert_eq!(place.next().map(|claim| claim.id.0), Some(7), "the oldest first");
        assert_eq!(place.next().map(|claim| claim.id.0), Some(8));
        assert_eq!(place.next(), None);
        drop(all);
        assert!(places.asked().is_empty() && places.take(Some("another")).is_ok());
    }
}
