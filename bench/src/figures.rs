//! What was measured: figures by case, subject and metric, one value for each round.

use std::{collections::BTreeMap, fmt};

/// A figure's name; each carries its unit and how it is shown.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Metric {
    DeliveryCpu,
    DeliveriesPerCpuSecond,
    LatencyP50,
    LatencyP99,
    CpuShare,
    /// How much of its core the generator got: all, unless other programs run.
    GeneratorShare,
    OpenCpu,
    Memory,
    PublishCall,
    /// CPU time of a publisher for one event that the proxy has taken.
    ItemCpu,
    /// How fast a proxy takes what a publisher sends.
    ItemsPerSecond,
    /// What a subject adds of its own.
    Other(String),
}

impl Metric {
    /// The metrics that have a column in the table.
    pub(crate) const COLUMNS: [Self; 11] = [
        Self::DeliveryCpu,
        Self::DeliveriesPerCpuSecond,
        Self::LatencyP50,
        Self::LatencyP99,
        Self::CpuShare,
        Self::GeneratorShare,
        Self::OpenCpu,
        Self::Memory,
        Self::PublishCall,
        Self::ItemCpu,
        Self::ItemsPerSecond,
    ];

    pub(crate) fn name(&self) -> &str {
        self.describe().0
    }

    pub(crate) fn unit(&self) -> &'static str {
        self.describe().1
    }

    /// The heading of its column.
    pub(crate) fn heading(&self) -> &str {
        self.describe().2
    }

    pub(crate) fn decimals(&self) -> usize {
        self.describe().3
    }

    pub(crate) fn parse(name: &str) -> Self {
        Self::COLUMNS.into_iter().find(|m| m.name() == name).unwrap_or_else(|| Self::Other(name.to_owned()))
    }

    fn describe(&self) -> (&str, &'static str, &str, usize) {
        match self {
            Self::DeliveryCpu => ("cpu_per_delivery", "us", "us/delivery", 2),
            Self::DeliveriesPerCpuSecond => ("deliveries_per_cpu_second", "1/s", "deliveries/cpu-s", 0),
            Self::LatencyP50 => ("latency_p50", "ms", "p50 ms", 2),
            Self::LatencyP99 => ("latency_p99", "ms", "p99 ms", 2),
            Self::CpuShare => ("cpu_share", "%", "cpu %", 0),
            Self::GeneratorShare => ("generator_share", "%", "gen %", 0),
            Self::OpenCpu => ("cpu_per_open", "us", "us/open", 1),
            Self::Memory => ("memory_per_stream", "KiB", "KiB/stream", 2),
            Self::PublishCall => ("ns_per_call", "ns", "ns/publish", 0),
            Self::ItemCpu => ("cpu_per_item", "us", "us/item", 1),
            Self::ItemsPerSecond => ("items_per_second", "1/s", "items/s", 0),
            Self::Other(name) => (name, "", name, 3),
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The figures of one measurement.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sample(BTreeMap<Metric, f64>);

impl Sample {
    pub(crate) fn set(&mut self, metric: Metric, value: f64) {
        self.0.insert(metric, value);
    }
}

/// All figures of a run.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    rows: Vec<Row>,
}

/// The figures of one case and subject.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) case: String,
    pub(crate) subject: String,
    pub(crate) streams: usize,
    /// Values in the order of the rounds.
    pub(crate) values: BTreeMap<Metric, Vec<f64>>,
    /// Why there are no more rounds, when one failed.
    pub(crate) failure: Option<String>,
}

impl Figures {
    pub(crate) fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// The row of a case and subject, made when it is new.
    pub(crate) fn row(&mut self, case: &str, subject: &str, streams: usize) -> &mut Row {
        let found = self.rows.iter().position(|row| row.case == case && row.subject == subject);
        let index = found.unwrap_or_else(|| {
            let (case, subject) = (case.to_owned(), subject.to_owned());
            self.rows.push(Row { case, subject, streams, values: BTreeMap::new(), failure: None });
            self.rows.len() - 1
        });
        &mut self.rows[index]
    }

    /// The values of a figure; none when the case or subject was not run, or failed.
    pub(crate) fn values(&self, case: &str, subject: &str, metric: &Metric) -> Option<&[f64]> {
        let row = self
            .rows
            .iter()
            .find(|row| row.case == case && row.subject == subject && row.failure.is_none())?;
        row.values.get(metric).map(Vec::as_slice)
    }
}

impl Row {
    pub(crate) fn add(&mut self, sample: Sample) {
        for (metric, value) in sample.0 {
            self.values.entry(metric).or_default().push(value);
        }
    }
}

/// The middle of the values; `NaN` of none.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        n if n % 2 == 0 => f64::midpoint(values[n / 2 - 1], values[n / 2]),
        n => values[n / 2],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        let text = |values| median(values).to_string();
        assert_eq!(text(vec![3.0, 1.0, 2.0]), "2");
        assert_eq!(text(vec![4.0, 1.0, 2.0, 3.0]), "2.5");
        assert_eq!(text(vec![]), "NaN");
    }

    #[test]
    fn a_failed_subject_has_no_figures() {
        let mut figures = Figures::default();
        let mut sample = Sample::default();
        sample.set(Metric::Memory, 2.0);
        figures.row("idle", "a", 1).add(sample);
        assert_eq!(figures.values("idle", "a", &Metric::Memory), Some(&[2.0][..]));
        figures.row("idle", "a", 1).failure = Some("lost".into());
        assert_eq!(figures.values("idle", "a", &Metric::Memory), None);
    }

    #[test]
    fn names_are_parsed_back() {
        for metric in Metric::COLUMNS {
            assert_eq!(Metric::parse(metric.name()), metric);
        }
        assert_eq!(Metric::parse("loop_delay_ms"), Metric::Other("loop_delay_ms".into()));
    }
}
