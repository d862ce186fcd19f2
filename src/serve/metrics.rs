//! What a server counts, in the text format of Prometheus.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::wire::{RefusalKind, Verb};

/// The counters of a server since it was started.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    connections: AtomicI64,
    accepted: AtomicU64,
    verbs: Mutex<BTreeMap<Verb, Served>>,
    refusals: Mutex<BTreeMap<&'static str, u64>>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Served {
    requests: u64,
    received: u64,
    sent: u64,
    time: Duration,
}

/// One number of what was served.
type Figure = fn(&Served) -> f64;

impl Metrics {
    pub(super) fn opened(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
        self.accepted.fetch_add(1, Ordering::Relaxed);
    }

    /// Connections so far.
    pub(super) fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    pub(super) fn closed(&self) {
        self.connections.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn served(&self, verb: Verb, received: u64, sent: u64, time: Duration) {
        let mut verbs = self.verbs.lock().unwrap_or_else(PoisonError::into_inner);
        let of_verb = verbs.entry(verb).or_default();
        of_verb.requests += 1;
        of_verb.received += received;
        of_verb.sent += sent;
        of_verb.time += time;
    }

    pub(super) fn refused(&self, kind: RefusalKind) {
        let refusals = self.refusals.lock();
        let mut refusals = refusals.unwrap_or_else(PoisonError::into_inner);
        *refusals.entry(kind.code()).or_default() += 1;
    }

    /// All of them, one a line.
    pub(super) fn page(&self, staged: u64) -> String {
        let mut page = String::new();
        let connections = self.connections.load(Ordering::Relaxed);
        let accepted = self.accepted();
        head(
            &mut page,
            "lob_connections",
            "gauge",
            "Connections that are open",
        );
        line(&mut page, "lob_connections", connections);
        let help = "Bytes that came and wait to be verified";
        head(&mut page, "lob_stage_bytes", "gauge", help);
        line(&mut page, "lob_stage_bytes", staged);
        head(
            &mut page,
            "lob_connections_total",
            "counter",
            "Connections so far",
        );
        line(&mut page, "lob_connections_total", accepted);
        let verbs = self.verbs.lock().unwrap_or_else(PoisonError::into_inner);
        let tables: [(&str, &str, Figure); 4] = [
            ("lob_requests_total", "Requests", |s| s.requests as f64),
            ("lob_received_bytes_total", "Bytes of requests", |s| {
                s.received as f64
            }),
            ("lob_sent_bytes_total", "Bytes of answers", |s| {
                s.sent as f64
            }),
            (
                "lob_request_seconds_total",
                "Time from the head of a request to the end of its answer",
                |s| s.time.as_secs_f64(),
            ),
        ];
        for (name, help, value) in tables {
            head(&mut page, name, "counter", help);
            for (verb, served) in verbs.iter() {
                let name = format!("{name}{{verb=\"{}\"}}", verb.name());
                line(&mut page, &name, value(served));
            }
        }
        head(
            &mut page,
            "lob_refusals_total",
            "counter",
            "Requests that were refused",
        );
        let refusals = self.refusals.lock();
        for (code, count) in refusals.unwrap_or_else(PoisonError::into_inner).iter() {
            line(
                &mut page,
                &format!("lob_refusals_total{{code=\"{code}\"}}"),
                count,
            );
        }
        page
    }
}

fn head(page: &mut String, name: &str, kind: &str, help: &str) {
    let text = format!("# HELP {name} {help}\n# TYPE {name} {kind}\n");
    page.push_str(&text);
}

fn line(page: &mut String, name: &str, value: impl std::fmt::Display) {
    writeln!(page, "{name} {value}").expect("a String takes all");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_what_was_counted() {
        let metrics = Metrics::default();
        metrics.opened();
        metrics.opened();
        metrics.closed();
        metrics.served(Verb::Put, 10, 2, Duration::from_millis(1500));
        metrics.served(Verb::Put, 5, 2, Duration::from_millis(500));
        metrics.refused(RefusalKind::Busy);
        let page = metrics.page(7);
        for line in [
            "# TYPE lob_connections gauge",
            "lob_connections 1",
            "lob_stage_bytes 7",
            "lob_connections_total 2",
            "lob_requests_total{verb=\"put\"} 2",
            "lob_received_bytes_total{verb=\"put\"} 15",
            "lob_sent_bytes_total{verb=\"put\"} 4",
            "lob_request_seconds_total{verb=\"put\"} 2",
            "lob_refusals_total{code=\"busy\"} 1",
        ] {
            assert!(page.lines().any(|there| there == line), "{line}\n{page}");
        }
        let docs = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/serve.md");
        let docs = std::fs::read_to_string(docs).unwrap();
        let names = page.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        for name in names.filter_map(|line| line.split(' ').next()) {
            let shown = [format!("| `{name}` |"), format!("| `{name}{{")];
            assert!(shown.iter().any(|row| docs.contains(row)), "{name}");
        }
    }
}
