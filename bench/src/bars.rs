//! The bars: what the figures must reach. A bar compares a figure with a bound, or its ratio to another figure of the
//! same run; it is left out when one of them was not measured.

use self::Bound::{AtLeast, AtMost};
use crate::figures::{Figures, Metric, median};

/// One bar.
#[derive(Debug)]
pub(crate) struct Bar {
    case: &'static str,
    subject: &'static str,
    metric: Metric,
    /// The case and subject by whose figure it is divided.
    over: Option<(&'static str, &'static str)>,
    bound: Bound,
}

#[derive(Clone, Copy, Debug)]
enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

/// A bar beside what was measured.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub(crate) case: &'static str,
    pub(crate) subject: &'static str,
    /// The metric, and over what.
    pub(crate) what: String,
    pub(crate) unit: &'static str,
    pub(crate) value: f64,
    pub(crate) bound: String,
    pub(crate) passed: bool,
}

fn bars() -> Vec<Bar> {
    vec![
        cpu("paced", "evstream", "limit", AtMost(1.15)),
        cpu("paced-wide", "evstream", "limit", AtMost(1.15)),
        Bar { metric: Metric::DeliveriesPerCpuSecond, ..cpu("burst", "evstream", "limit", AtLeast(8.0)) },
        Bar {
            over: Some(("paced", "evstream")),
            ..cpu("many-channels", "evstream", "evstream", AtMost(2.0))
        },
        figure("idle", "evstream", Metric::Memory, AtMost(2.0)),
        figure("idle", "evstream", Metric::OpenCpu, AtMost(40.0)),
        // The call must not grow with the number of streams; the margin is for noise, ten times the streams is the test.
        Bar {
            over: Some(("publish-400", "evstream")),
            ..figure("publish-4000", "evstream", Metric::PublishCall, AtMost(1.5))
        },
        cpu("paced", "evstream", "nchan", AtMost(1.0)),
        cpu("burst", "evstream", "nchan", AtMost(1.0)),
        cpu("paced", "c", "evstream", AtMost(1.03)),
        cpu("paced", "node", "evstream", AtMost(1.1)),
        cpu("paced", "better-sse", "node", AtLeast(3.0)),
        cpu("burst", "better-sse", "node", AtLeast(30.0)),
        cpu("paced", "node-pull", "better-sse", AtMost(1.0)),
        cpu("burst", "node-pull", "better-sse", AtMost(1.0)),
        figure("idle", "node", Metric::Memory, AtMost(3.0)),
        cpu("paced", "python", "evstream", AtMost(1.1)),
        cpu("paced", "python-gunicorn", "evstream", AtMost(1.1)),
        cpu("paced", "sse-starlette", "python", AtLeast(3.0)),
        cpu("burst", "sse-starlette", "python", AtLeast(80.0)),
        cpu("paced", "sse-starlette", "python-pull", AtLeast(1.5)),
        cpu("burst", "sse-starlette", "python-pull", AtLeast(1.5)),
        figure("idle", "python", Metric::Memory, AtMost(3.0)),
        figure("idle", "python-gunicorn", Metric::Memory, AtMost(3.0)),
        figure("publish-4000", "python", Metric::PublishCall, AtMost(3_000.0)),
        figure("publish-4000", "python-gunicorn", Metric::PublishCall, AtMost(3_000.0)),
    ]
}

/// Judges every bar whose figures are there.
pub(crate) fn judge(figures: &Figures) -> Vec<Verdict> {
    bars().iter().filter_map(|bar| bar.judge(figures)).collect()
}

impl Bar {
    /// Ratios are taken round by round, so that what slowed a whole round down does not count.
    fn judge(&self, figures: &Figures) -> Option<Verdict> {
        let values = figures.values(self.case, self.subject, &self.metric)?;
        let (value, what, unit) = match self.over {
            None => (median(values.to_vec()), self.metric.to_string(), self.metric.unit()),
            Some((case, subject)) => {
                let base = figures.values(case, subject, &self.metric)?;
                let ratios = values.iter().zip(base).map(|(value, base)| value / base).collect();
                let base = if case == self.case { subject.to_owned() } else { format!("{subject} {case}") };
                (median(ratios), format!("{} / {base}", self.metric), "ratio")
            }
        };
        let (passed, bound) = match self.bound {
            AtMost(bound) => (value <= bound, format!("<= {bound}")),
            AtLeast(bound) => (value >= bound, format!(">= {bound}")),
        };
        Some(Verdict { case: self.case, subject: self.subject, what, unit, value, bound, passed })
    }
}

/// CPU per delivery of one subject over that of another.
fn cpu(case: &'static str, subject: &'static str, over: &'static str, bound: Bound) -> Bar {
    Bar { over: Some((case, over)), ..figure(case, subject, Metric::DeliveryCpu, bound) }
}

fn figure(case: &'static str, subject: &'static str, metric: Metric, bound: Bound) -> Bar {
    Bar { case, subject, metric, over: None, bound }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cases::CASES, figures::Sample};

    #[test]
    fn every_bar_is_about_a_case() {
        for bar in bars() {
            let cases = [Some(bar.case), bar.over.map(|(case, _)| case)];
            for name in cases.into_iter().flatten() {
                assert!(CASES.iter().any(|case| case.name == name), "{name}");
            }
        }
    }

    #[test]
    fn ratios_are_taken_round_by_round() {
        let mut figures = Figures::default();
        for (limit, evstream) in [(1.0, 1.1), (10.0, 11.0), (4.0, 8.0)] {
            for (subject, value) in [("limit", limit), ("evstream", evstream)] {
                let mut sample = Sample::default();
                sample.set(Metric::DeliveryCpu, value);
                figures.row("paced", subject, 2000).add(sample);
            }
        }
        let verdicts = judge(&figures);
        assert_eq!(verdicts.len(), 1, "other cases were not run");
        assert!((verdicts[0].value - 1.1).abs() < 1e-9);
        assert!(verdicts[0].passed);
        assert_eq!(verdicts[0].what, "cpu_per_delivery / limit");
    }
}
