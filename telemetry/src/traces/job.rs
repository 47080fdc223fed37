//! The trace of a job. Its id comes from the job, or from the client that asked for the job
//! within a trace of its own; the ids of its spans come from what they are about.

use std::time::SystemTime;

use sha2::{Digest as _, Sha256};

use super::{Sampler, Span, SpanId, TraceId, TraceParent};

/// What a span of a job is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// The request that made the job. All others are below it.
    Submit,
    /// An attempt waits for its turn.
    Queued(i32),
    /// It is offered to an agent, until the agent may launch it.
    Dispatch(i32),
    /// The agent has it, until its process has ended and its files are uploaded.
    Attempt(i32),
    /// Its process.
    Process(i32),
    /// A result file is uploaded.
    Upload(i32, &'a str),
    /// Output from this offset on is made durable.
    Output(i32, i64),
    /// The end is recorded.
    RunEnd(i32),
    /// An action that follows, of this id, begun the so-manieth time.
    Action(i64, u32),
}

impl Step<'_> {
    /// What the span is called.
    fn name(self) -> &'static str {
        match self {
            Self::Submit => "submit",
            Self::Queued(_) => "queued",
            Self::Dispatch(_) => "dispatch",
            Self::Attempt(_) => "attempt",
            Self::Process(_) => "process",
            Self::Upload(..) => "upload",
            Self::Output(..) => "output stored",
            Self::RunEnd(_) => "run_end",
            Self::Action(..) => "action",
        }
    }

    /// The number of the attempt; 0 if it is about none.
    fn attempt(self) -> i32 {
        match self {
            Self::Submit | Self::Action(..) => 0,
            Self::Queued(attempt)
            | Self::Dispatch(attempt)
            | Self::Attempt(attempt)
            | Self::Process(attempt)
            | Self::Upload(attempt, _)
            | Self::Output(attempt, _)
            | Self::RunEnd(attempt) => attempt,
        }
    }

    /// What it is below; nothing of ours if none.
    fn above(self) -> Option<Self> {
        match self {
            Self::Submit => None,
            Self::Process(attempt) | Self::Upload(attempt, _) => Some(Self::Attempt(attempt)),
            _ => Some(Self::Submit),
        }
    }
}

/// The trace of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobTrace {
    trace: TraceId,
    job: i64,
    /// The client's span.
    above: Option<SpanId>,
    sampled: bool,
}

impl JobTrace {
    /// The trace of a job of the system that `system` names, if spans are sent. `given` is
    /// what the client belongs to that asked for it.
    pub fn of(system: &str, job: i64, given: Option<TraceParent>) -> Option<Self> {
        super::sampler().map(|sampler| Self::sampled_by(sampler, system, job, given))
    }

    fn sampled_by(sampler: Sampler, system: &str, job: i64, given: Option<TraceParent>) -> Self {
        let trace = given.map_or_else(
            || TraceId(first(Sha256::new().chain_update(system).chain_update(job.to_be_bytes()))),
            |given| given.trace,
        );
        let sampled = sampler.samples(trace, given.map(|given| given.sampled));
        Self { trace, job, above: given.map(|given| given.span), sampled }
    }

    /// The trace that a process was told of in its `TRACEPARENT`, if spans are sent.
    pub fn told(traceparent: &str, job: i64) -> Option<Self> {
        let TraceParent { trace, sampled, .. } = traceparent.parse().ok()?;
        super::is_on().then_some(Self { trace, job, above: None, sampled })
    }

    /// Its id.
    pub fn id(&self) -> TraceId {
        self.trace
    }

    /// Names the span of a step, for what is below it.
    pub fn parent(&self, step: Step<'_>) -> TraceParent {
        TraceParent { trace: self.trace, span: self.span_id(step), sampled: self.sampled }
    }

    fn span_id(&self, step: Step<'_>) -> SpanId {
        let hash = Sha256::new()
            .chain_update(self.trace.0)
            .chain_update(self.job.to_be_bytes())
            .chain_update(step.attempt().to_be_bytes())
            .chain_update(step.name());
        SpanId(first(match step {
            Step::Upload(_, filename) => hash.chain_update(filename),
            Step::Output(_, offset) => hash.chain_update(offset.to_be_bytes()),
            Step::Action(id, tries) => {
                hash.chain_update(id.to_be_bytes()).chain_update(tries.to_be_bytes())
            }
            _ => hash,
        }))
    }

    /// The span of a step that took from `start` to `end`.
    pub fn span(&self, step: Step<'_>, start: SystemTime, end: SystemTime) -> Span {
        if !self.sampled {
            return Span::none();
        }
        let above = step.above().map(|above| self.span_id(above)).or(self.above);
        let span = Span::new(step.name(), (self.trace, self.span_id(step), above), [start, end]);
        let span = span.with("multiflexi.job.id", self.job);
        match step.attempt() {
            0 => span,
            attempt => span.with("multiflexi.attempt", i64::from(attempt)),
        }
    }
}

/// The first bytes of a hash; they are not all zero.
fn first<const N: usize>(hash: Sha256) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.copy_from_slice(&hash.finalize()[..N]);
    if bytes == [0; N] {
        bytes[N - 1] = 1;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace(job: i64, given: Option<&str>) -> JobTrace {
        let given = given.map(|given| given.parse().unwrap());
        JobTrace::sampled_by(Sampler::default(), "here", job, given)
    }

    #[test]
    fn scheduler_and_agent_name_the_same_spans() {
        let here = trace(7, None);
        let told = here.parent(Step::Process(1)).to_string();
        let TraceParent { trace: id, sampled, .. } = told.parse().unwrap();
        let there = JobTrace { trace: id, job: 7, above: None, sampled };
        for step in [Step::Submit, Step::Attempt(1), Step::Upload(1, "a")] {
            assert_eq!(here.parent(step), there.parent(step));
        }
    }

    #[test]
    fn what_differs_has_another_id() {
        let of = |step| trace(7, None).span_id(step);
        let steps = [
            Step::Submit,
            Step::Queued(1),
            Step::Queued(2),
            Step::Process(1),
            Step::Upload(1, "a"),
            Step::Upload(1, "b"),
            Step::Output(1, 0),
            Step::Output(1, 1),
            Step::Action(1, 1),
            Step::Action(1, 2),
        ];
        for (at, one) in steps.iter().enumerate() {
            assert!(steps[..at].iter().all(|other| of(*other) != of(*one)), "{one:?}");
        }
        assert_ne!(trace(7, None).id(), trace(8, None).id());
        let other = JobTrace::sampled_by(Sampler::default(), "there", 7, None);
        assert_ne!(trace(7, None).id(), other.id());
    }

    #[test]
    fn jobs_of_one_client_share_its_trace_and_no_span() {
        let client = Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
        let (one, other) = (trace(1, client), trace(2, client));
        assert_eq!(one.id(), other.id());
        assert_ne!(one.parent(Step::Submit), other.parent(Step::Submit));
        assert_eq!(one.above, Some(SpanId([0, 0xf0, 0x67, 0xaa, 0x0b, 0xa9, 0x02, 0xb7])));
    }
}
