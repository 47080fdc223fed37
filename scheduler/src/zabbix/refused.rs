//! Values that the server has refused, because it knows no such item yet: what discovery has
//! made is an item only when the server reads its configuration anew. They are sent again
//! for a while, and those behind them wait, so that they stay in order. Then the item is
//! given up: its values are still sent, each once.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    time::Duration,
};

use tokio::time::Instant;

use super::protocol::Value;
use crate::store::ZabbixCursor;

/// How long the values of an item that the server does not know are kept and sent again.
const PATIENCE: Duration = Duration::from_secs(30 * 60);

/// The first pause before they are sent again; each one is twice the one before.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Most values that wait; an item that would make them more is given up.
const MOST_WAITING: usize = 20_000;

/// A value on its way, and from where on the events have to be read to make it again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// The value.
    pub value: Value,
    /// The event before its own.
    pub after: ZabbixCursor,
}

/// Host and key.
pub type Item = (String, String);

/// The values of one item, in order; never empty.
pub type Group = Vec<Outgoing>;

/// An item whose values were refused.
#[derive(Clone, Debug)]
struct Doubt {
    since: Instant,
    next: Instant,
    pause: Duration,
    waiting: VecDeque<Outgoing>,
    given_up: bool,
}

/// The items whose values were refused.
#[derive(Clone, Debug, Default)]
pub struct Refused {
    items: HashMap<Item, Doubt>,
    waiting: usize,
}

/// The item of a value.
pub fn item(value: &Value) -> Item {
    (value.host.clone(), value.key.clone())
}

/// Values by their items, in the order of each one's first.
pub fn by_item(values: Vec<Outgoing>) -> Vec<Group> {
    let (mut places, mut groups) = (HashMap::new(), Vec::<Group>::new());
    for outgoing in values {
        let place = *places.entry(item(&outgoing.value)).or_insert(groups.len());
        match groups.get_mut(place) {
            Some(group) => group.push(outgoing),
            None => groups.push(vec![outgoing]),
        }
    }
    groups
}

impl Refused {
    /// Of new values those that are to be sent: all but those that wait behind others of
    /// their item; and apart from them those whose item was given up.
    pub fn sort(&mut self, values: Vec<Outgoing>) -> (Vec<Group>, Vec<Group>) {
        let (mut ready, mut hopeless) = (Vec::new(), Vec::new());
        for group in by_item(values) {
            match self.items.get_mut(&item(&group[0].value)) {
                None => ready.push(group),
                Some(doubt) if doubt.given_up => hopeless.push(group),
                Some(doubt) => {
                    self.waiting += group.len();
                    doubt.waiting.extend(group);
                }
            }
        }
        (ready, hopeless)
    }

    /// Values to be sent again now, `most` of an item at once.
    pub fn due(&self, now: Instant, most: usize) -> Vec<Group> {
        let due = self.items.values().filter(|doubt| !doubt.given_up && doubt.next <= now);
        due.map(|doubt| doubt.waiting.iter().take(most).cloned().collect())
            .filter(|group: &Group| !group.is_empty())
            .collect()
    }

    /// Whether an item is among them.
    pub fn knows(&self, item: &Item) -> bool {
        self.items.contains_key(item)
    }

    /// When values are to be sent again next.
    pub fn next(&self) -> Option<Instant> {
        let waiting = self.items.values().filter(|doubt| !doubt.waiting.is_empty());
        waiting.map(|doubt| doubt.next).min()
    }

    /// From where on events have to be read to have all values again that wait.
    pub fn oldest(&self) -> Option<ZabbixCursor> {
        self.items.values().filter_map(|doubt| Some(doubt.waiting.front()?.after)).min()
    }

    /// The server has taken these values; what waits behind them is due at once.
    pub fn taken(&mut self, group: &Group, now: Instant) {
        let item = item(&group[0].value);
        let Some(doubt) = self.items.get_mut(&item) else { return };
        let sent: HashSet<(i64, i64)> =
            group.iter().map(|outgoing| (outgoing.value.clock, outgoing.value.ns)).collect();
        let before = doubt.waiting.len();
        doubt.waiting.retain(|outgoing| !sent.contains(&(outgoing.value.clock, outgoing.value.ns)));
        self.waiting -= before - doubt.waiting.len();
        if doubt.waiting.is_empty() {
            self.items.remove(&item);
        } else {
            (doubt.next, doubt.pause) = (now, FIRST_PAUSE);
        }
    }

    /// The server has refused these values: they wait, or are given up. How many are lost.
    pub fn refused(&mut self, group: Group, now: Instant) -> usize {
        let item = item(&group[0].value);
        let doubt = self.items.entry(item).or_insert_with(|| Doubt {
            since: now,
            next: now,
            pause: FIRST_PAUSE,
            waiting: VecDeque::new(),
            given_up: false,
        });
        if doubt.given_up {
            return group.len();
        }
        doubt.next = now + doubt.pause;
        doubt.pause = (doubt.pause * 2).min(LONGEST_PAUSE);
        if doubt.waiting.is_empty() {
            self.waiting += group.len();
            doubt.waiting.extend(group);
        }
        if now - doubt.since < PATIENCE && self.waiting <= MOST_WAITING {
            return 0;
        }
        doubt.given_up = true;
        let lost = std::mem::take(&mut doubt.waiting).len();
        self.waiting -= lost;
        lost
    }

    /// The server has heard of what there is: soon it will know more items.
    pub fn discovered(&mut self, now: Instant) {
        for doubt in self.items.values_mut() {
            (doubt.next, doubt.pause) = (now + FIRST_PAUSE, FIRST_PAUSE);
        }
    }

    /// Forgets the values that wait: their events are read again.
    pub fn forget_values(&mut self) {
        self.items.values_mut().for_each(|doubt| doubt.waiting.clear());
        self.items.retain(|_, doubt| doubt.given_up);
        self.waiting = 0;
    }

    /// The items, each with how many of its values wait; none if it was given up.
    pub fn items(&self) -> Vec<(Item, Option<usize>)> {
        let shown = |(item, doubt): (&Item, &Doubt)| {
            (item.clone(), (!doubt.given_up).then_some(doubt.waiting.len()))
        };
        let mut items: Vec<_> = self.items.iter().map(shown).collect();
        items.sort();
        items
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(key: &str, event: i64) -> Outgoing {
        let value = Value::new("host", key.to_owned(), event.to_string(), event);
        Outgoing { value, after: ZabbixCursor { event: event - 1, stamp: event - 1 } }
    }

    fn keys(groups: &[Group]) -> Vec<(String, Vec<i64>)> {
        let key = |group: &Group| {
            let events = group.iter().map(|outgoing| outgoing.value.ns).collect();
            (group[0].value.key.clone(), events)
        };
        groups.iter().map(key).collect()
    }

    #[test]
    fn what_is_refused_waits_in_order_and_holds_the_cursor() {
        let (now, mut refused) = (Instant::now(), Refused::default());
        let (ready, _) = refused.sort(vec![value("a", 1), value("b", 2), value("a", 3)]);
        assert_eq!(keys(&ready), [("a".to_owned(), vec![1, 3]), ("b".to_owned(), vec![2])]);
        assert_eq!(refused.refused(ready[0].clone(), now), 0);
        refused.taken(&ready[1], now);
        let (ready, hopeless) = refused.sort(vec![value("a", 4), value("b", 5)]);
        assert_eq!((keys(&ready), hopeless), (vec![("b".to_owned(), vec![5])], vec![]));
        assert_eq!(refused.oldest().unwrap().event, 0);
        assert_eq!(refused.due(now, 2), Vec::<Group>::new());
        let later = now + FIRST_PAUSE;
        assert_eq!(refused.next(), Some(later));
        let again = refused.due(later, 2);
        refused.refused(again[0].clone(), later);
        assert_eq!(refused.next(), Some(later + 2 * FIRST_PAUSE));
        refused.discovered(now);
        assert_eq!(refused.next(), Some(later));
        let due = refused.due(later, 2);
        assert_eq!(keys(&due), [("a".to_owned(), vec![1, 3])]);
        refused.taken(&due[0], later);
        assert_eq!(refused.oldest().unwrap().event, 3);
        assert_eq!(keys(&refused.due(later, 2)), [("a".to_owned(), vec![4])]);
        refused.taken(&refused.due(later, 2)[0], later);
        assert_eq!((refused.oldest(), refused.next(), refused.waiting), (None, None, 0));
    }

    #[test]
    fn an_item_that_never_comes_is_given_up_and_still_tried() {
        let (now, mut refused) = (Instant::now(), Refused::default());
        refused.refused(vec![value("a", 1)], now);
        let late = now + PATIENCE;
        assert_eq!(refused.refused(refused.due(late, 9)[0].clone(), late), 1);
        assert_eq!((refused.oldest(), refused.waiting), (None, 0));
        let (ready, hopeless) = refused.sort(vec![value("a", 2)]);
        assert_eq!((ready.len(), hopeless.len()), (0, 1));
        assert_eq!(refused.refused(hopeless[0].clone(), late), 1);
        // It is there now.
        refused.taken(&hopeless[0], late);
        assert_eq!(refused.sort(vec![value("a", 3)]).0.len(), 1);
    }

    #[test]
    fn no_more_wait_than_memory_is_meant_for() {
        let (now, mut refused) = (Instant::now(), Refused::default());
        refused.refused(vec![value("a", 1)], now);
        let many = (2..).map(|event| value("a", event)).take(MOST_WAITING).collect();
        refused.sort(many);
        let lost = refused.refused(refused.due(now + FIRST_PAUSE, 9)[0].clone(), now);
        assert_eq!((lost, refused.waiting), (MOST_WAITING + 1, 0));
    }
}
