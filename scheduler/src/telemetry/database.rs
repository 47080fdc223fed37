//! What the whole database holds: the same from every scheduler that uses it, so its names
//! begin with `multiflexi_database_`. While the database is away, that is all that is said.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
};

use multiflexi_telemetry::metrics::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _},
    metrics::{MetricType, gauge::ConstGauge},
};

use crate::store::{Catalogue, Vitals};

/// What was read last.
#[derive(Debug, Default)]
pub struct DatabaseGauges(Mutex<Read>);

#[derive(Clone, Debug, Default)]
struct Read {
    vitals: Option<Vitals>,
    catalogue: Option<Catalogue>,
}

impl DatabaseGauges {
    /// Remembers what was read; none if it cannot be read.
    pub fn set(&self, vitals: Option<Vitals>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).vitals = vitals;
    }

    /// Remembers how much there is of what changes seldom.
    pub fn set_catalogue(&self, catalogue: Option<Catalogue>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).catalogue = catalogue;
    }
}

impl Collector for DatabaseGauges {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let Read { vitals, catalogue } =
            self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut gauges = Gauges(encoder);
        let up = if vitals.is_some() { 1.0 } else { 0.0 };
        gauges.one("database_up", "Whether the database answers; 1 or 0", up)?;
        if let Some(vitals) = vitals {
            gauges.vitals(&vitals)?;
        }
        match catalogue {
            Some(catalogue) => gauges.catalogue(&catalogue),
            None => Ok(()),
        }
    }
}

struct Gauges<'a>(DescriptorEncoder<'a>);

impl Gauges<'_> {
    fn one(&mut self, name: &str, help: &str, value: f64) -> Result<(), fmt::Error> {
        let encoder = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        ConstGauge::new(value).encode(encoder)
    }

    fn many<'v>(
        &mut self,
        name: &str,
        help: &str,
        label: &'static str,
        values: impl IntoIterator<Item = (&'v str, i64)>,
    ) -> Result<(), fmt::Error> {
        let mut encoder = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (which, value) in values {
            let labels = [(label, which)];
            ConstGauge::new(value).encode(encoder.encode_family(&labels)?)?;
        }
        Ok(())
    }

    fn vitals(&mut self, vitals: &Vitals) -> Result<(), fmt::Error> {
        let states = vitals.states.iter().map(|(state, count)| (state.name(), *count));
        let about = "Jobs that have not ended, by state; those that wait are queued";
        self.many("database_jobs", about, "state", states)?;
        let [turn, time, limit] = vitals.waiting;
        let waiting = [("turn", turn), ("time", time), ("limit", limit)];
        let about = "Queued jobs by what they wait for: their turn, their time, or a place under \
                     the limit of their company or run template";
        self.many("database_waiting_jobs", about, "for", waiting)?;
        let about = "How long the oldest job waits that could run; of more than 1000 such jobs, \
                     of the 1000 whose turn is next";
        self.one("database_oldest_waiting_seconds", about, vitals.oldest.as_secs_f64())?;
        let paused = if vitals.paused { 1.0 } else { 0.0 };
        self.one("database_queue_paused", "Whether somebody paused the queue; 1 or 0", paused)?;
        let about = "Actions of ended jobs that are not done";
        self.one("database_outbox_actions", about, vitals.outbox as f64)?;
        let about = "How long the action is overdue that is due longest";
        self.one("database_outbox_oldest_seconds", about, vitals.outbox_oldest.as_secs_f64())?;
        let about = "Schedulers that have shown lately that they use the database";
        self.one("database_schedulers", about, vitals.schedulers as f64)
    }

    /// Called as the PHP MultiFlexi calls them.
    fn catalogue(&mut self, catalogue: &Catalogue) -> Result<(), fmt::Error> {
        let about = "Applications in the database, as of the last minute";
        self.one("applications_total", about, catalogue.applications as f64)?;
        let about = "The same: an application that is there can be run";
        self.one("applications_enabled", about, catalogue.applications as f64)?;
        let about = "Companies in the database, as of the last minute";
        self.one("companies_total", about, catalogue.companies as f64)?;
        let about = "Run templates in the database, as of the last minute";
        self.one("runtemplates_total", about, catalogue.run_templates as f64)
    }
}
