//! Figures.

use std::collections::HashMap;

use evstream::Stats;
use napi_derive::napi;

#[napi(object)]
pub struct NativeStats {
    pub open: f64,
    pub opened: f64,
    pub closed: HashMap<String, f64>,
    pub deliveries: f64,
    pub bytes: f64,
    pub resets: HashMap<String, f64>,
    pub refused: f64,
    pub held: f64,
    pub repairs: f64,
    pub grip_refused: f64,
    pub publish_failures: f64,
    pub channels: f64,
    pub events: f64,
    pub history_bytes: f64,
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
        held: stats.held as f64,
        repairs: stats.repairs as f64,
        grip_refused: stats.grip_refused as f64,
        publish_failures: stats.publish_failures as f64,
        channels: stats.log.channels as f64,
        events: stats.log.events as f64,
        history_bytes: stats.log.history_bytes as f64,
    }
}
