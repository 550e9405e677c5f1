//! What is measured, by the names that dashboards know. They are part of the interface: none changes its meaning.

use super::{
    App,
    exposition::{Family, MetricKind, Sample, write},
};
use crate::{
    publish::ProxyFigures,
    stream::{Details, JournalStats, Stats, Tally},
};

impl App {
    /// All metrics; none in a forked child, which has no streams.
    pub(crate) fn families(&self) -> Vec<Family> {
        if self.is_forked() {
            return Vec::new();
        }
        let mut families = Families(Vec::with_capacity(32));
        let epoch = format!("{:08x}", self.hub().log().epoch().0);
        let info = families.add(
            MetricKind::Info,
            "evstream",
            "The version of evstream, and the epoch of its positions.",
        );
        push(info, vec![("epoch", epoch), ("version", env!("CARGO_PKG_VERSION").to_owned())], 1);
        let stats = self.stats();
        families.add_streams(&stats, &self.hub().counters.details());
        families.add_log(&stats, self.hub().log().stats().history_events as u64);
        if self.hub().grip().is_some() {
            families.add_grip(&stats, self.proxy_figures());
        }
        if let Some(journal) = &stats.journal {
            families.add_journal(journal);
        }
        families.0
    }

    /// All metrics as text.
    pub(crate) fn metrics(&self, openmetrics: bool) -> String {
        write(&self.families(), openmetrics)
    }
}

struct Families(Vec<Family>);

impl Families {
    fn add_streams(&mut self, stats: &Stats, details: &Details) {
        self.gauge("evstream_streams", "Streams that are open.", stats.open);
        self.counter("evstream_streams_opened", "Streams opened.", stats.opened);
        let closed = stats.closed.iter().map(|(reason, count)| (reason.name(), *count));
        self.counters("evstream_streams_closed", "Streams closed, by what has ended them.", "reason", closed);
        self.gauge(
            "evstream_streams_full",
            "Open streams whose sockets take nothing now: their clients or networks are slow.",
            details.full,
        );
        self.histogram("evstream_stream_seconds", "Ages of streams when they were closed.", &details.ages);
        self.counter("evstream_events_published", "Events published.", stats.published);
        self.counter(
            "evstream_events_delivered",
            "Events handed to streams, each counted once per stream.",
            stats.deliveries,
        );
        self.counter("evstream_delivered_bytes", "Bytes handed to streams, framing included.", stats.bytes);
        self.histogram(
            "evstream_delivery_seconds",
            "From the publishing of an event to its being written to all sockets that took it at once: the oldest of each batch, \
             on the library's own threads.",
            &details.delivery,
        );
        let resets = stats.resets.iter().map(|(reason, count)| (reason.name(), *count));
        self.counters("evstream_resets", "Gaps that streams were told of.", "reason", resets);
        let refused = details.refused.iter().map(|(full, count)| (full.name(), *count));
        self.counters(
            "evstream_requests_refused",
            "Requests for streams refused, by the limit that was reached; grip: a signature or link was wrong; token: theirs was.",
            "reason",
            refused.chain([("grip", stats.grip_refused), ("token", stats.tokens_refused)]),
        );
        self.gauge(
            "evstream_connections",
            "Connections of the library's servers that have no stream now.",
            stats.connections,
        );
        self.counter(
            "evstream_connections_refused",
            "Connections closed unread: for want of places, or of a header of the PROXY protocol.",
            stats.connections_refused,
        );
        self.counter(
            "evstream_key_failures",
            "Times that keys of tokens could not be fetched.",
            stats.key_failures,
        );
    }

    fn add_log(&mut self, stats: &Stats, history_events: u64) {
        self.gauge("evstream_channels", "Channels in memory.", stats.channels);
        self.gauge("evstream_history_bytes", "Bytes of history in memory.", stats.history_bytes);
        self.gauge("evstream_history_events", "Events of history in memory.", history_events);
    }

    fn add_grip(&mut self, stats: &Stats, proxies: Vec<ProxyFigures>) {
        self.counter("evstream_grip_holds", "Streams handed over to a GRIP proxy.", stats.held);
        self.counter(
            "evstream_grip_repairs",
            "Answers to proxies that asked for what they may have missed.",
            stats.repairs,
        );
        // One series for each name, also where two proxies differ by their keys only.
        let mut by_name: Vec<ProxyFigures> = Vec::new();
        for proxy in proxies {
            match by_name.iter_mut().find(|other| other.proxy == proxy.proxy) {
                Some(other) => {
                    other.waiting += proxy.waiting;
                    other.failed += proxy.failed;
                }
                None => by_name.push(proxy),
            }
        }
        let help = "Events that a GRIP proxy did not get.";
        let failed = by_name.iter().map(|proxy| (&*proxy.proxy, proxy.failed));
        self.counters("evstream_grip_publish_failures", help, "proxy", failed);
        let family = self.add(
            MetricKind::Gauge,
            "evstream_grip_queue_events",
            "Events on their way from this process to a GRIP proxy.",
        );
        for proxy in by_name {
            push(family, vec![("proxy", proxy.proxy)], proxy.waiting);
        }
    }

    fn add_journal(&mut self, journal: &JournalStats) {
        self.gauge(
            "evstream_journal_connected",
            "1 while the journal can be reached, as far as is known.",
            journal.connected.into(),
        );
        let help = "What the last event took from its place in the journal to here.";
        let family = self.add(MetricKind::Gauge, "evstream_journal_lag_seconds", help);
        family.samples.push(Sample { suffix: "", labels: Vec::new(), value: seconds(journal.lag_ms) });
        self.counter(
            "evstream_journal_epochs",
            "Times that the journal was followed from another beginning.",
            journal.epochs,
        );
        self.gauge(
            "evstream_journal_waiting_events",
            "Events of this process that wait to be appended.",
            journal.waiting,
        );
        self.counter(
            "evstream_journal_failures",
            "Events of this process that were not appended.",
            journal.failed,
        );
    }

    fn gauge(&mut self, name: &'static str, help: &'static str, value: u64) {
        push(self.add(MetricKind::Gauge, name, help), Vec::new(), value);
    }

    fn counter(&mut self, name: &'static str, help: &'static str, value: u64) {
        push(self.add(MetricKind::Counter, name, help), Vec::new(), value);
    }

    fn counters<'a>(
        &mut self,
        name: &'static str,
        help: &'static str,
        label: &'static str,
        values: impl Iterator<Item = (&'a str, u64)>,
    ) {
        let family = self.add(MetricKind::Counter, name, help);
        for (of, value) in values {
            push(family, vec![(label, of.to_owned())], value);
        }
    }

    fn histogram(&mut self, name: &'static str, help: &'static str, tally: &Tally) {
        let family = self.add(MetricKind::Histogram, name, help);
        let mut count = 0;
        // Written as OpenMetrics has it in both formats, for a label is compared as text.
        let bounds = tally.bounds_ms.iter().map(|&bound_ms| format!("{:?}", seconds(bound_ms)));
        for (bound, more) in bounds.chain(["+Inf".to_owned()]).zip(tally.counts) {
            count += more;
            let labels = vec![("le", bound)];
            family.samples.push(Sample { suffix: "_bucket", labels, value: count as f64 });
        }
        let sample = |suffix, value| Sample { suffix, labels: Vec::new(), value };
        family.samples.extend([sample("_count", count as f64), sample("_sum", seconds(tally.sum_ms))]);
    }

    fn add(&mut self, kind: MetricKind, name: &'static str, help: &'static str) -> &mut Family {
        self.0.push(Family::new(name, help, kind));
        let last = self.0.len() - 1;
        &mut self.0[last]
    }
}

fn push(family: &mut Family, labels: Vec<(&'static str, String)>, value: u64) {
    let suffix = family.suffix();
    family.samples.push(Sample { suffix, labels, value: value as f64 });
}

fn seconds(ms: u64) -> f64 {
    ms as f64 / 1_000.0
}
