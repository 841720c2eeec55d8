//! Bounds the labels whose values come from settings, so that metrics stay few however much is configured.

use std::{
    borrow::Cow,
    collections::HashSet,
    sync::{PoisonError, RwLock},
};

use metrics::{
    Counter, Gauge, Histogram, Key, KeyName, Label, Metadata, Recorder, SharedString, Unit,
};

/// The labels with a bound.
const BOUNDED: [&str; 5] = ["action", "caller", "channel", "sender", "tenant"];
/// How many values of such a label have series of their own: those that are registered first.
const VALUES_MAX: usize = 64;
/// What takes the place of every further value.
const OTHER: &str = "other";

/// A recorder in front of another one, which merges the series of too many values.
pub(super) struct BoundedLabels<R> {
    inner: R,
    /// The values with series of their own, in the order of `BOUNDED`.
    admitted: [RwLock<HashSet<String>>; BOUNDED.len()],
}

impl<R> BoundedLabels<R> {
    pub(super) fn new(inner: R) -> Self {
        Self {
            inner,
            admitted: Default::default(),
        }
    }

    /// Whether this label keeps its value. A new value is admitted while there is room.
    fn keeps(&self, label: &Label) -> bool {
        let value = label.value();
        let Some(position) = BOUNDED.iter().position(|name| *name == label.key()) else {
            return true;
        };
        let admitted = &self.admitted[position];
        let known = admitted.read().unwrap_or_else(PoisonError::into_inner);
        if value == OTHER || known.contains(value) {
            return true;
        }
        drop(known);
        let mut known = admitted.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() < VALUES_MAX {
            known.insert(value.to_owned());
        }
        known.contains(value)
    }

    /// The key under which a series is kept.
    fn bounded<'a>(&self, key: &'a Key) -> Cow<'a, Key> {
        if key.labels().all(|label| self.keeps(label)) {
            return Cow::Borrowed(key);
        }
        let labels = key.labels().map(|label| {
            if self.keeps(label) {
                label.clone()
            } else {
                Label::new(label.key().to_owned(), OTHER)
            }
        });
        Cow::Owned(Key::from_parts(
            key.name().to_owned(),
            labels.collect::<Vec<_>>(),
        ))
    }
}

impl<R: Recorder> Recorder for BoundedLabels<R> {
    fn describe_counter(&self, name: KeyName, unit: Option<Unit>, help: SharedString) {
        self.inner.describe_counter(name, unit, help);
    }

    fn describe_gauge(&self, name: KeyName, unit: Option<Unit>, help: SharedString) {
        self.inner.describe_gauge(name, unit, help);
    }

    fn describe_histogram(&self, name: KeyName, unit: Option<Unit>, help: SharedString) {
        self.inner.describe_histogram(name, unit, help);
    }

    fn register_counter(&self, key: &Key, metadata: &Metadata<'_>) -> Counter {
        self.inner.register_counter(&self.bounded(key), metadata)
    }

    fn register_gauge(&self, key: &Key, metadata: &Metadata<'_>) -> Gauge {
        self.inner.register_gauge(&self.bounded(key), metadata)
    }

    fn register_histogram(&self, key: &Key, metadata: &Metadata<'_>) -> Histogram {
        self.inner.register_histogram(&self.bounded(key), metadata)
    }
}

#[cfg(test)]
mod tests {
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;

    /// The series of a metric on the page.
    fn series(page: &str, name: &str) -> Vec<String> {
        let lines = page.lines().filter(|line| line.starts_with(name));
        lines.map(str::to_owned).collect()
    }

    #[test]
    fn log_04_values_beyond_the_bound_share_one_series() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let page = recorder.handle();
        metrics::with_local_recorder(&BoundedLabels::new(recorder), || {
            for n in 0..10_000 {
                let (action, caller) = (format!("action_{n}"), format!("caller_{}", n % 3));
                metrics::counter!("countersign_starts_total", "action" => action, "caller" => caller).increment(1);
            }
            for n in 0..1000 {
                metrics::gauge!("countersign_records_by_key", "kid" => n.to_string()).set(1.0);
            }
        });
        let page = page.render();
        let starts = series(&page, "countersign_starts_total{");
        // Each of the first 64 actions came with one caller, all others with each of three.
        assert_eq!(starts.len(), VALUES_MAX + 3, "{starts:?}");
        let last_own = r#"countersign_starts_total{action="action_63",caller="caller_0"} 1"#;
        assert!(starts.iter().any(|line| line == last_own), "{starts:?}");
        let merged = r#"countersign_starts_total{action="other",caller="caller_1"} 3312"#;
        assert!(starts.iter().any(|line| line == merged), "{starts:?}");
        assert_eq!(
            series(&page, "countersign_records_by_key{").len(),
            1000,
            "no bound of ours"
        );
    }
}
