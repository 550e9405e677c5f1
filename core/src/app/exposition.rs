//! Metrics as text: Prometheus' format 0.0.4, or `OpenMetrics` 1.0.

use std::fmt::Write as _;

/// A metric, as [`Events::families`](crate::Events::families) gives it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Family {
    /// Its name; the samples of counters have `_total` after it, and those of [`Info`](MetricKind::Info) `_info`.
    pub name: &'static str,
    /// What it is, in one line.
    pub help: &'static str,
    /// How to read it.
    pub kind: MetricKind,
    /// Its values, which differ by their suffixes and labels.
    pub samples: Vec<Sample>,
}

/// How a metric is to be read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum MetricKind {
    /// It only grows, and begins at 0 with the events.
    Counter,
    /// It goes up and down.
    Gauge,
    /// Counts of what is at most as great as each bound, their number and their sum.
    Histogram,
    /// Always 1: what matters are the labels.
    Info,
}

/// A value of a [`Family`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Sample {
    /// What follows the family's name.
    pub suffix: &'static str,
    /// Names and values. Clients choose none of either.
    pub labels: Vec<(&'static str, String)>,
    /// Seconds, bytes or a number.
    pub value: f64,
}

impl MetricKind {
    /// The word in `OpenMetrics`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::Info => "info",
        }
    }
}

impl Family {
    pub(super) fn new(name: &'static str, help: &'static str, kind: MetricKind) -> Self {
        Self { name, help, kind, samples: Vec::new() }
    }

    /// What samples have after the family's name where there is one of them for each set of labels.
    pub(super) const fn suffix(&self) -> &'static str {
        match self.kind {
            MetricKind::Counter => "_total",
            MetricKind::Info => "_info",
            MetricKind::Gauge | MetricKind::Histogram => "",
        }
    }
}

/// The families as text.
pub(super) fn write(families: &[Family], openmetrics: bool) -> String {
    let mut text = String::with_capacity(8 * 1_024);
    for family in families {
        family.write(openmetrics, &mut text).expect("writing to a string does not fail");
    }
    if openmetrics {
        text.push_str("# EOF\n");
    }
    text
}

impl Family {
    fn write(&self, openmetrics: bool, text: &mut String) -> std::fmt::Result {
        let Self { name, help, kind, .. } = self;
        // The older format knows no families, but the names of what stands in the lines.
        let (suffix, kind) = match kind {
            _ if openmetrics => ("", kind.name()),
            MetricKind::Info => (self.suffix(), MetricKind::Gauge.name()),
            MetricKind::Counter => (self.suffix(), kind.name()),
            _ => ("", kind.name()),
        };
        write!(text, "# HELP {name}{suffix} ")?;
        // OpenMetrics has a quotation mark escaped here, too; the older format does not know that escape.
        escape(help, openmetrics, text);
        writeln!(text, "\n# TYPE {name}{suffix} {kind}")?;
        for Sample { suffix, labels, value } in &self.samples {
            write!(text, "{name}{suffix}")?;
            for (index, (label, value)) in labels.iter().enumerate() {
                write!(text, "{}{label}=\"", if index == 0 { '{' } else { ',' })?;
                escape(value, true, text);
                text.push('"');
            }
            writeln!(text, "{} {value}", if labels.is_empty() { "" } else { "}" })?;
        }
        Ok(())
    }
}

fn escape(value: &str, quotes: bool, text: &mut String) {
    for c in value.chars() {
        match c {
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '"' if quotes => text.push_str("\\\""),
            c => text.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn families() -> Vec<Family> {
        let sample = |suffix, value: f64, label: &str| Sample {
            suffix,
            labels: if label.is_empty() {
                Vec::new()
            } else {
                vec![("of", label.to_owned()), ("b", "x".to_owned())]
            },
            value,
        };
        let family = |name, kind, samples| Family { name, help: "a \"b\" \\ c\nd", kind, samples };
        vec![
            family("a", MetricKind::Info, vec![sample("_info", 1.0, "1.2")]),
            family(
                "b",
                MetricKind::Counter,
                vec![sample("_total", 1e15, "\"\\\n{},=é# "), sample("_total", 0.0, "y")],
            ),
            family("c", MetricKind::Gauge, vec![sample("", 0.25, "")]),
            family("d", MetricKind::Gauge, vec![]),
        ]
    }

    #[test]
    fn openmetrics() {
        let expected = r#"# HELP a a \"b\" \\ c\nd
# TYPE a info
a_info{of="1.2",b="x"} 1
# HELP b a \"b\" \\ c\nd
# TYPE b counter
b_total{of="\"\\\n{},=é# ",b="x"} 1000000000000000
b_total{of="y",b="x"} 0
# HELP c a \"b\" \\ c\nd
# TYPE c gauge
c 0.25
# HELP d a \"b\" \\ c\nd
# TYPE d gauge
# EOF
"#;
        assert_eq!(write(&families(), true), expected);
    }

    #[test]
    fn the_older_format() {
        let expected = r#"# HELP a_info a "b" \\ c\nd
# TYPE a_info gauge
a_info{of="1.2",b="x"} 1
# HELP b_total a "b" \\ c\nd
# TYPE b_total counter
b_total{of="\"\\\n{},=é# ",b="x"} 1000000000000000
b_total{of="y",b="x"} 0
# HELP c a "b" \\ c\nd
# TYPE c gauge
c 0.25
# HELP d a "b" \\ c\nd
# TYPE d gauge
"#;
        assert_eq!(write(&families(), false), expected);
    }
}
