//! Figures, as a dictionary.

use evstream::Stats;
use pyo3::{prelude::*, types::PyDict};

pub(crate) fn show<'py>(py: Python<'py>, stats: &Stats) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("open", stats.open)?;
    dict.set_item("opened", stats.opened)?;
    let closed = PyDict::new(py);
    for (reason, count) in &stats.closed {
        closed.set_item(reason.name(), count)?;
    }
    dict.set_item("closed", closed)?;
    dict.set_item("deliveries", stats.deliveries)?;
    dict.set_item("bytes", stats.bytes)?;
    let resets = PyDict::new(py);
    for (reason, count) in &stats.resets {
        resets.set_item(reason.name(), count)?;
    }
    dict.set_item("resets", resets)?;
    dict.set_item("refused", stats.refused)?;
    dict.set_item("connections", stats.connections)?;
    dict.set_item("connections_refused", stats.connections_refused)?;
    dict.set_item("held", stats.held)?;
    dict.set_item("repairs", stats.repairs)?;
    dict.set_item("grip_refused", stats.grip_refused)?;
    dict.set_item("tokens_refused", stats.tokens_refused)?;
    dict.set_item("key_failures", stats.key_failures)?;
    dict.set_item("publish_failures", stats.publish_failures)?;
    dict.set_item("channels", stats.channels)?;
    dict.set_item("published", stats.published)?;
    dict.set_item("history_bytes", stats.history_bytes)?;
    let journal = stats.journal.map(|journal| {
        let dict = PyDict::new(py);
        dict.set_item("connected", journal.connected)?;
        dict.set_item("lag_ms", journal.lag_ms)?;
        dict.set_item("epochs", journal.epochs)?;
        dict.set_item("waiting", journal.waiting)?;
        dict.set_item("failed", journal.failed)?;
        PyResult::Ok(dict)
    });
    dict.set_item("journal", journal.transpose()?)?;
    Ok(dict)
}
