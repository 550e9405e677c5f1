//! Figures, metrics and health.

use std::collections::BTreeMap;

use evstream::{Family, Stats};
use napi_derive::napi;

#[napi(object)]
pub struct NativeStats {
    pub open: f64,
    pub opened: f64,
    #[napi(ts_type = "Record<CloseReason, number>")]
    pub closed: BTreeMap<String, f64>,
    pub deliveries: f64,
    pub bytes: f64,
    #[napi(ts_type = "Record<'expired' | 'overflow' | 'epoch', number>")]
    pub resets: BTreeMap<String, f64>,
    pub refused: f64,
    pub connections: f64,
    pub connections_refused: f64,
    pub held: f64,
    pub repairs: f64,
    pub grip_refused: f64,
    pub tokens_refused: f64,
    pub key_failures: f64,
    pub publish_failures: f64,
    pub channels: f64,
    pub published: f64,
    pub history_bytes: f64,
    pub journal: Option<NativeJournalStats>,
}

#[napi(object)]
pub struct NativeJournalStats {
    pub connected: bool,
    pub lag_ms: f64,
    pub epochs: f64,
    pub waiting: f64,
    pub failed: f64,
}

pub(crate) fn stats(stats: &Stats) -> NativeStats {
    NativeStats {
        open: stats.open as f64,
        opened: stats.opened as f64,
        closed: stats
            .closed
            .iter()
            .map(|(reason, count)| (reason.name().to_owned(), *count as f64))
            .collect(),
        deliveries: stats.deliveries as f64,
        bytes: stats.bytes as f64,
        resets: stats
            .resets
            .iter()
            .map(|(reason, count)| (reason.name().to_owned(), *count as f64))
            .collect(),
        refused: stats.refused as f64,
        connections: stats.connections as f64,
        connections_refused: stats.connections_refused as f64,
        held: stats.held as f64,
        repairs: stats.repairs as f64,
        grip_refused: stats.grip_refused as f64,
        tokens_refused: stats.tokens_refused as f64,
        key_failures: stats.key_failures as f64,
        publish_failures: stats.publish_failures as f64,
        channels: stats.channels as f64,
        published: stats.published as f64,
        history_bytes: stats.history_bytes as f64,
        journal: stats.journal.map(|journal| NativeJournalStats {
            connected: journal.connected,
            lag_ms: journal.lag_ms as f64,
            epochs: journal.epochs as f64,
            waiting: journal.waiting as f64,
            failed: journal.failed as f64,
        }),
    }
}

/// A metric.
#[napi(object)]
pub struct NativeFamily {
    pub name: String,
    pub help: String,
    #[napi(ts_type = "'counter' | 'gauge' | 'histogram' | 'info'")]
    pub kind: String,
    pub samples: Vec<NativeSample>,
}

/// A value of a metric.
#[napi(object)]
pub struct NativeSample {
    /// The name in full.
    pub name: String,
    pub labels: BTreeMap<String, String>,
    pub value: f64,
}

#[napi(object)]
pub struct NativeHealth {
    pub ready: bool,
    pub live: bool,
    pub problems: Vec<String>,
}

pub(crate) fn family(family: Family) -> NativeFamily {
    let Family { name, help, kind, samples, .. } = family;
    let samples = samples.into_iter().map(|sample| NativeSample {
        name: format!("{name}{}", sample.suffix),
        labels: sample.labels.into_iter().map(|(label, value)| (label.to_owned(), value)).collect(),
        value: sample.value,
    });
    NativeFamily {
        name: name.to_owned(),
        help: help.to_owned(),
        kind: kind.name().to_owned(),
        samples: samples.collect(),
    }
}
