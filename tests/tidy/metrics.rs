//! The metrics: every metric in the code is in the catalogue with a help text, and every metric in the catalogue is
//! used.

use super::source::Source;

const CATALOGUE: &str = "src/telemetry/catalogue.rs";

/// The quoted texts that are names of metrics.
fn names(text: &str) -> impl Iterator<Item = &str> {
    let texts = text.split('"').skip(1).step_by(2);
    texts.filter(|text| {
        let prefixes = ["countersign_", "rpc_", "process_"];
        let ours = prefixes.iter().any(|prefix| text.starts_with(prefix));
        ours && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
    })
}

/// The first text of each macro of the crate `metrics`, and of each constant that holds the name of a metric.
fn moved(text: &str) -> Vec<&str> {
    let openings = [
        "counter!(",
        "gauge!(",
        "histogram!(",
        "EVENTS_LOST: &str = ",
        "TIME_TO_APPROVE: &str = ",
        "ENDED: &str = ",
    ];
    let after = openings
        .iter()
        .flat_map(|opening| text.split(opening).skip(1));
    let first = after.filter_map(|rest| rest.trim_start().strip_prefix('"')?.split('"').next());
    first.collect()
}

/// The differences between code and catalogue.
pub fn differences(shipped: &[Source]) -> Vec<String> {
    let catalogue = shipped.iter().find(|source| source.path == CATALOGUE);
    let listed: Vec<&str> = catalogue.map_or_else(Vec::new, |source| {
        let rows = source
            .text
            .split("const METRICS")
            .nth(1)
            .unwrap_or_default();
        names(rows.split("];").next().unwrap_or_default()).collect()
    });
    let code = || shipped.iter().filter(|source| source.path != CATALOGUE);
    let mut wrong = Vec::new();
    for source in code() {
        for name in moved(&source.text) {
            if !listed.contains(&name) {
                wrong.push(format!("{}: `{name}` is not in {CATALOGUE}", source.path));
            }
        }
    }
    for name in &listed {
        let quoted = format!("\"{name}\"");
        if !code().any(|source| source.text.contains(&quoted)) {
            wrong.push(format!("{CATALOGUE}: nothing moves `{name}`"));
        }
    }
    wrong
}

#[test]
fn a_metric_without_help_and_one_that_nothing_moves_are_refused() {
    let catalogue = "const METRICS: &[(Kind, &str, &str)] = &[\n(Counter, \"countersign_a_total\", \"A.\"),\n(Gauge, \"countersign_b\", \"B.\"),\n];\n";
    let code = "metrics::counter!(\"countersign_a_total\", \"x\" => y);\nmetrics::gauge!(\n    \"countersign_c\"\n);\nlet cookie = \"countersign_browser\";";
    let wrong = differences(&[
        Source::new(CATALOGUE, catalogue),
        Source::new("src/x.rs", code),
    ]);
    assert_eq!(wrong.len(), 2, "{wrong:?}");
    assert!(wrong[0].contains("`countersign_c` is not in"));
    assert!(wrong[1].contains("nothing moves `countersign_b`"));
}
