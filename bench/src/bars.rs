//! The bars: what the figures must reach. A bar compares a figure with a bound, or its ratio to another figure of the
//! same run; it is left out when one of them was not measured.

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

const BARS: [Bar; 7] = [
    cpu_at_most("paced", 1.15, ("paced", "limit")),
    cpu_at_most("paced-wide", 1.15, ("paced-wide", "limit")),
    Bar {
        case: "burst",
        subject: "evstream",
        metric: Metric::DeliveriesPerCpuSecond,
        over: Some(("burst", "limit")),
        bound: Bound::AtLeast(8.0),
    },
    cpu_at_most("many-channels", 2.0, ("paced", "evstream")),
    Bar { case: "idle", subject: "evstream", metric: Metric::Memory, over: None, bound: Bound::AtMost(2.0) },
    Bar {
        case: "idle",
        subject: "evstream",
        metric: Metric::OpenCpu,
        over: None,
        bound: Bound::AtMost(40.0),
    },
    // The call must not grow with the number of streams; the margin is for noise, ten times the streams is the test.
    Bar {
        case: "publish-4000",
        subject: "evstream",
        metric: Metric::PublishCall,
        over: Some(("publish-400", "evstream")),
        bound: Bound::AtMost(1.5),
    },
];

/// Judges every bar whose figures are there.
pub(crate) fn judge(figures: &Figures) -> Vec<Verdict> {
    BARS.iter().filter_map(|bar| bar.judge(figures)).collect()
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
            Bound::AtMost(bound) => (value <= bound, format!("<= {bound}")),
            Bound::AtLeast(bound) => (value >= bound, format!(">= {bound}")),
        };
        Some(Verdict { case: self.case, subject: self.subject, what, unit, value, bound, passed })
    }
}

const fn cpu_at_most(case: &'static str, bound: f64, over: (&'static str, &'static str)) -> Bar {
    Bar {
        case,
        subject: "evstream",
        metric: Metric::DeliveryCpu,
        over: Some(over),
        bound: Bound::AtMost(bound),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cases::CASES, figures::Sample};

    #[test]
    fn every_bar_is_about_a_case() {
        for bar in &BARS {
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
