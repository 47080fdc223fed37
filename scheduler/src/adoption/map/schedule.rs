//! What a schedule there is here: the intervals have the same codes.

use std::time::Duration;

use super::merge::Fields;
use crate::{
    adoption::source::Row,
    domain::schedule::{Interval, Overlap, Rhythm, Schedule},
    store::ScheduleChange,
};

/// When jobs of a run template start by themselves, as its row says.
#[derive(Clone, Debug)]
pub struct Mapped {
    /// Which moments.
    pub rhythm: Rhythm,
    /// How long after each its job starts.
    pub delay: Duration,
    /// What of it does not count, as a sentence.
    pub remark: Option<String>,
}

/// The schedule of a run template; none if it has none there, or why it cannot come.
pub fn schedule(row: &Row) -> Result<Option<Mapped>, String> {
    let code = row.text("interv").unwrap_or_default();
    let cron = row.text("cron").unwrap_or_default();
    let interval = match code.as_str() {
        "" => Interval::None,
        code => {
            code.parse().map_err(|error: crate::domain::schedule::RhythmError| error.to_string())?
        }
    };
    if interval == Interval::None {
        return Ok(None);
    }
    let is_cron = interval == Interval::Cron;
    if is_cron && cron.is_empty() {
        return Err("its interval is c, and it has no cron expression".to_owned());
    }
    // Here these are seconds, and there they never come.
    if is_cron && cron.split_whitespace().count() == 6 {
        return Err(format!("its cron expression {cron:?} has six fields, and never comes there"));
    }
    let rhythm = Rhythm::new(interval, &cron).map_err(|error| error.to_string())?;
    let seconds = row.int("delay").unwrap_or_default();
    let delay = u64::try_from(seconds).map_err(|_| format!("its delay is {seconds} s"))?;
    let executor = row.text("executor").unwrap_or_default();
    if !matches!(executor.as_str(), "" | "Native") {
        return Err(format!(
            "its jobs run with {executor} there, and would run on an agent's host here: see that \
             they can, then set it with runtemplate:schedule"
        ));
    }
    let remark = (!is_cron && !cron.is_empty()).then(|| {
        format!("its cron expression {cron:?} does not count: its interval is {code}, and not c")
    });
    Ok(Some(Mapped { rhythm, delay: Duration::from_secs(delay), remark }))
}

impl Mapped {
    /// What is compared when it is imported again.
    pub fn fields(&self) -> Fields {
        fields(&self.rhythm, self.delay)
    }

    /// What sets it where there was none. A run that takes longer than the interval is
    /// followed at once by one of the slots that it has missed, as there.
    pub fn set(&self) -> ScheduleChange {
        let overlap = Some(Overlap::Queue);
        ScheduleChange { overlap, ..self.change(|_| true) }
    }

    /// What changes these fields of it.
    pub fn change(&self, take: impl Fn(&str) -> bool) -> ScheduleChange {
        ScheduleChange {
            rhythm: take(SCHEDULE).then(|| self.rhythm.clone()),
            delay: take(DELAY).then_some(self.delay),
            ..ScheduleChange::default()
        }
    }
}

/// What is compared of a schedule here.
pub fn own_fields(schedule: &Schedule) -> Fields {
    fields(&schedule.rhythm, schedule.delay)
}

const SCHEDULE: &str = "schedule";
const DELAY: &str = "delay";

fn fields(rhythm: &Rhythm, delay: Duration) -> Fields {
    let delay = (DELAY.to_owned(), delay.as_millis().to_string());
    [(SCHEDULE.to_owned(), rhythm.to_string()), delay].into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(cells: &[(&'static str, &str)]) -> Result<Option<Mapped>, String> {
        schedule(&Row::of(1, cells))
    }

    #[test]
    fn each_interval_is_the_same_here() {
        for interval in Interval::ALL {
            let cells = [("interv", interval.code()), ("cron", "0 2 * * *"), ("delay", "90")];
            let mapped = of(&cells).unwrap();
            assert_eq!(mapped.is_none(), interval == Interval::None);
            let Some(mapped) = mapped else { continue };
            assert_eq!(mapped.rhythm.interval(), interval);
            assert_eq!(mapped.delay, Duration::from_secs(90));
            let is_cron = interval == Interval::Cron;
            assert_eq!(mapped.rhythm.cron(), if is_cron { "0 2 * * *" } else { "" });
            assert_eq!(mapped.remark.is_none(), is_cron, "{:?}", mapped.remark);
        }
        assert!(of(&[("delay", "60")]).unwrap().is_none());
    }

    #[test]
    fn what_cannot_come_says_why() {
        let why = |cells: &[(&'static str, &str)]| of(cells).unwrap_err();
        assert!(why(&[("interv", "q")]).contains("\"q\" is no interval"));
        assert!(why(&[("interv", "c")]).contains("no cron expression"));
        assert!(why(&[("interv", "c"), ("cron", "61 * * * *")]).contains("61 * * * *"));
        assert!(why(&[("interv", "c"), ("cron", "0 0 2 * * *")]).contains("six fields"));
        assert!(why(&[("interv", "d"), ("delay", "-5")]).contains("-5 s"));
        assert!(why(&[("interv", "d"), ("executor", "Docker")]).contains("with Docker there"));
    }
}
