//! What an operator watches of the demands and of what drives them.

use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::Part;
use super::history::{Entry, EntryKind};
use super::reason::ReasonCode;
use super::state::{Phase, State, Status};
use crate::engine::job::JobStatus;
use crate::plan::submission::Step;
use crate::telemetry::metrics::{Histograms, Labels, long, short};

/// The label of what the demands that are under way are counted by, and its values.
const PHASE: &str = "phase";
const UNDER_WAY: [Phase; 5] =
    [Phase::Accepted, Phase::StagingIn, Phase::Executing, Phase::WrappingUp, Phase::Canceling];

/// The statuses of jobs that have not ended.
const NOT_ENDED: [JobStatus; 5] = [
    JobStatus::Submitted,
    JobStatus::Pending,
    JobStatus::Runnable,
    JobStatus::Starting,
    JobStatus::Running,
];

/// How a submission may end, by what the history tells of it.
const OUTCOMES: [(EntryKind, &str); 5] = [
    (EntryKind::JobSubmitted, "submitted"),
    (EntryKind::JobAdopted, "adopted"),
    (EntryKind::SubmissionDeferred, "deferred"),
    (EntryKind::SubmissionUnknown, "unknown"),
    (EntryKind::SubmissionRejected, "rejected"),
];

/// The metrics of demands and reconciler; cheap to clone, shared by all clones.
#[derive(Debug, Clone)]
pub(super) struct Metrics {
    ready: Family<Labels<1>, Gauge>,
    under_way: Family<Labels<1>, Gauge>,
    jobs: Family<Labels<1>, Gauge>,
    accepted: Counter,
    ended: Family<Labels<2>, Counter>,
    phases: Histograms<Labels<1>>,
    submissions: Family<Labels<2>, Counter>,
    lag: Histogram,
    due: Gauge,
    oldest: Gauge<f64, AtomicU64>,
    pass: Histogram,
    failures: Family<Labels<1>, Counter>,
}

/// The reconciler's loops, as their failures are counted.
#[derive(Debug, Clone, Copy)]
pub(super) enum Loop {
    Acting,
    Observing,
}

impl Loop {
    fn as_str(self) -> &'static str {
        match self {
            Self::Acting => "acting",
            Self::Observing => "observing",
        }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let metrics = Self {
            ready: Family::default(),
            under_way: Family::default(),
            jobs: Family::default(),
            accepted: Counter::default(),
            ended: Family::default(),
            phases: Family::new_with_constructor(long),
            submissions: Family::default(),
            lag: short(),
            due: Gauge::default(),
            oldest: Gauge::default(),
            pass: short(),
            failures: Family::default(),
        };
        metrics.begin();
        metrics
    }
}

impl Metrics {
    /// Lets every series begin at 0: of one that begins at 1 Prometheus sees no increase.
    fn begin(&self) {
        let mut ends = vec![(Status::Completed, "none")];
        ends.extend(ReasonCode::ALL.map(|code| match code {
            ReasonCode::Canceled => (Status::Aborted, code.as_str()),
            _ => (Status::Failed, code.as_str()),
        }));
        for (status, reason) in ends {
            let labels = [("status", status.as_str()), ("reason", reason)];
            self.ended.get_or_create(&labels).inc_by(0);
        }
        for step in [Step::StageIn, Step::Execute, Step::WrapUp, Step::CleanUp] {
            for (_, outcome) in OUTCOMES {
                let labels = [("step", step.as_str()), ("outcome", outcome)];
                self.submissions.get_or_create(&labels).inc_by(0);
            }
        }
        for phase in UNDER_WAY {
            drop(self.phases.get_or_create(&[(PHASE, phase.as_str())]));
        }
        for either in [Loop::Acting, Loop::Observing] {
            self.failures.get_or_create(&[("loop", either.as_str())]).inc_by(0);
        }
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "ready",
            "Whether a part can do its work, as /health/ready tells: 1 or 0",
            self.ready.clone(),
        );
        registry.register("executions", "Demands under way, by phase", self.under_way.clone());
        registry.register(
            "jobs",
            "Jobs of demands under way that have not ended, by the status they were last seen in",
            self.jobs.clone(),
        );
        registry.register("executions_accepted", "Demands accepted", self.accepted.clone());
        registry.register(
            "executions_ended",
            "Attempts ended, by the status and the reason they ended with",
            self.ended.clone(),
        );
        registry.register_with_unit(
            "phase_duration",
            "Time that demands were seen in a phase they have left",
            Unit::Seconds,
            self.phases.clone(),
        );
        registry.register(
            "submissions",
            "Submissions of jobs, by step and outcome",
            self.submissions.clone(),
        );
        let registry = registry.sub_registry_with_prefix("reconcile");
        registry.register_with_unit(
            "lag",
            "Time from a demand's being due to its being acted on",
            Unit::Seconds,
            self.lag.clone(),
        );
        registry.register("queue_depth", "Demands that are due and wait", self.due.clone());
        registry.register_with_unit(
            "oldest_due",
            "Time that the demand which waits longest has been due",
            Unit::Seconds,
            self.oldest.clone(),
        );
        registry.register_with_unit(
            "observation_duration",
            "Time of a look at all jobs that are due, with storing what is new",
            Unit::Seconds,
            self.pass.clone(),
        );
        registry.register(
            "failures",
            "Failures that are tried again, by the loop they happened in",
            self.failures.clone(),
        );
    }

    /// Which parts can do their work.
    pub(super) fn ready(&self, parts: &[(Part, bool)]) {
        for (part, ready) in parts {
            self.ready.get_or_create(&[("part", part.as_str())]).set((*ready).into());
        }
    }

    /// How many demands each phase has now, and how many jobs each status; both leave out those
    /// without any.
    pub(super) fn count(&self, phases: &[(String, i64)], jobs: &[(String, i64)]) {
        let of = |counts: &[(String, i64)], name: &str| {
            counts.iter().find(|(found, _)| found == name).map_or(0, |(_, count)| *count)
        };
        for phase in UNDER_WAY.map(Phase::as_str) {
            self.under_way.get_or_create(&[(PHASE, phase)]).set(of(phases, phase));
        }
        for status in NOT_ENDED.map(JobStatus::as_str) {
            self.jobs.get_or_create(&[("status", status)]).set(of(jobs, status));
        }
    }

    pub(super) fn accepted(&self) {
        self.accepted.inc();
    }

    /// A demand went from one state to another, which `history` tells of.
    pub(super) fn moved(&self, from: &State, to: &State, history: &[Entry]) {
        if from.phase != Phase::Done && to.phase == Phase::Done {
            let reason = to.reason.as_ref().map_or("none", |reason| reason.code.as_str());
            let labels = [("status", to.status().as_str()), ("reason", reason)];
            self.ended.get_or_create(&labels).inc();
        }
        // Several phases may have been left at once: what ran quickly is seen late.
        let mut since = from.phase_since;
        for entry in history.iter().filter(|entry| entry.kind == EntryKind::Phase) {
            let mut phases = UNDER_WAY.map(Phase::as_str).into_iter();
            let left = phases.find(|phase| entry.from.as_deref() == Some(*phase));
            if let (Some(phase), Some(since)) = (left, since) {
                let spent = entry.at.duration_since(since).as_secs_f64();
                self.phases.get_or_create(&[(PHASE, phase)]).observe(spent.max(0.0));
            }
            since = Some(entry.at);
        }
        for entry in history {
            let outcome = OUTCOMES.iter().find(|(kind, _)| *kind == entry.kind);
            let Some((_, outcome)) = outcome else { continue };
            let step = entry.step.map_or("none", Step::as_str);
            self.submissions.get_or_create(&[("step", step), ("outcome", outcome)]).inc();
        }
    }

    /// A demand that was due then is acted on now.
    pub(super) fn begun(&self, due: Instant) {
        self.lag.observe(due.elapsed().as_secs_f64());
    }

    /// The demands that are due and wait, and since when the first of them does.
    pub(super) fn waiting(&self, demands: usize, oldest: Option<Instant>) {
        self.due.set(i64::try_from(demands).unwrap_or(i64::MAX));
        self.oldest.set(oldest.map_or(0.0, |due| due.elapsed().as_secs_f64()));
    }

    pub(super) fn observed(&self, took: Duration) {
        self.pass.observe(took.as_secs_f64());
    }

    pub(super) fn failed(&self, during: Loop) {
        self.failures.get_or_create(&[("loop", during.as_str())]).inc();
    }
}
