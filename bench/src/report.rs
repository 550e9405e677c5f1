//! What people and programs get to see: two tables and a JSON file.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use serde::Serialize;

use crate::{
    bars::Verdict,
    figures::{Figures, Metric, Row, median},
};

/// Prints the figures (medians over the rounds), then the bars.
pub(crate) fn print(figures: &Figures, verdicts: &[Verdict]) {
    let columns: Vec<Metric> = Metric::COLUMNS
        .into_iter()
        .filter(|m| figures.rows().iter().any(|row| row.values.contains_key(m)))
        .collect();
    let mut table = vec![["case", "streams", "subject"].map(str::to_owned).to_vec()];
    table[0].extend(columns.iter().map(|metric| metric.heading().to_owned()));
    for row in figures.rows() {
        let mut cells = vec![row.case.clone(), row.streams.to_string(), row.subject.clone()];
        cells.extend(
            columns
                .iter()
                .map(|metric| row.values.get(metric).map_or_else(|| "-".into(), |v| shown(metric, v))),
        );
        table.push(cells);
    }
    print_table(&table);
    for row in figures.rows() {
        print_notes(row);
    }
    let shares = figures.rows().iter().filter_map(|row| row.values.get(&Metric::GeneratorShare)).flatten();
    let lowest = shares.copied().fold(100.0, f64::min);
    if lowest < DISTURBED {
        println!(
            "disturbed: other programs left the generator only {lowest:.0} % of its core; compare no latencies"
        );
    }

    if verdicts.is_empty() {
        return;
    }
    let mut table = vec![["bar", "subject", "figure", "measured", "bound", ""].map(str::to_owned).to_vec()];
    table.extend(verdicts.iter().map(|verdict| {
        let mark = if verdict.passed { "pass" } else { "FAIL" };
        let value = format!("{:.2}", verdict.value);
        [verdict.case, verdict.subject, &verdict.what, &value, &verdict.bound, mark]
            .map(str::to_owned)
            .to_vec()
    }));
    println!();
    print_table(&table);
}

/// Writes a list of `{case, subject, metric, unit, value}`: the medians, then the bars' ratios.
pub(crate) fn write_json(path: &Path, figures: &Figures, verdicts: &[Verdict]) -> Result<()> {
    let mut results = Vec::new();
    for row in figures.rows() {
        let result =
            |metric, unit, value| Figure { case: &row.case, subject: &row.subject, metric, unit, value };
        results.push(result("streams", "", row.streams as f64));
        results
            .extend(row.values.iter().map(|(m, values)| result(m.name(), m.unit(), median(values.clone()))));
    }
    let ratios = verdicts.iter().filter(|verdict| verdict.unit == "ratio");
    results.extend(ratios.map(|v| Figure {
        case: v.case,
        subject: v.subject,
        metric: &v.what,
        unit: v.unit,
        value: v.value,
    }));

    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    let text = serde_json::to_string_pretty(&results)?;
    fs::write(path, text + "\n").with_context(|| format!("cannot write {}", path.display()))
}

#[derive(Serialize)]
struct Figure<'a> {
    case: &'a str,
    subject: &'a str,
    metric: &'a str,
    unit: &'a str,
    value: f64,
}

fn shown(metric: &Metric, values: &[f64]) -> String {
    format!("{:.*}", metric.decimals(), median(values.to_vec()))
}

/// What has no column: figures of the subject's own, how far rounds lay apart, and failures.
fn print_notes(row: &Row) {
    let label = format!("{} {}", row.case, row.subject);
    for (metric, values) in &row.values {
        if let Metric::Other(name) = metric {
            println!("{label}: {name} {}", shown(metric, values));
        }
    }
    if let Some(values) = row.values.get(&Metric::DeliveryCpu) {
        let (low, high) =
            values.iter().fold((f64::MAX, f64::MIN), |(low, high), v| (low.min(*v), high.max(*v)));
        if high > low * FAR_APART {
            println!("{label}: noisy, {low:.2} to {high:.2} us/delivery over {} rounds", values.len());
        }
    }
    if let Some(failure) = &row.failure {
        println!("{label}: FAILED: {failure}");
    }
}

/// Rounds further apart than this factor, and shares of the core below this percentage, are worth a note.
const FAR_APART: f64 = 1.15;
const DISTURBED: f64 = 95.0;

/// The first row is the heading; columns are as wide as their widest cell, those of numbers to the right.
fn print_table(table: &[Vec<String>]) {
    let is_number = |cell: &String| cell == "-" || cell.parse::<f64>().is_ok();
    let columns = 0..table[0].len();
    let numeric: Vec<bool> =
        columns.clone().map(|i| table[1..].iter().all(|row| is_number(&row[i]))).collect();
    let widths: Vec<usize> =
        columns.clone().map(|i| table.iter().map(|row| row[i].len()).max().unwrap_or(0)).collect();
    for row in table {
        let cells = columns.clone().map(|i| match (numeric[i], widths[i]) {
            (true, width) => format!("{:>width$}", row[i]),
            (false, width) => format!("{:<width$}", row[i]),
        });
        println!("{}", cells.collect::<Vec<_>>().join("  ").trim_end());
    }
}
