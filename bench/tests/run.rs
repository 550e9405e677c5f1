//! Runs the program as a person would, with few streams.

use std::{
    path::PathBuf,
    process::{Command, Output},
};

/// One case of each load.
const CASES: [&str; 4] = ["paced", "burst", "many-channels", "publish-400"];
const PROGRAM: &str = env!("CARGO_BIN_EXE_evstream-bench");

fn run(name: &str, arguments: &[&str]) -> (Output, Vec<serde_json::Value>) {
    let out = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.json"));
    let output = Command::new(PROGRAM)
        .args(["--quick", "--streams", "20", "--out", out.to_str().unwrap()])
        .args(arguments)
        .output()
        .unwrap();
    let json = std::fs::read(out).unwrap();
    (output, serde_json::from_slice(&json).unwrap())
}

#[test]
fn every_case_gives_figures_of_built_in_and_external_subjects() {
    let again = format!("again=exec {PROGRAM} serve limit-nodelay");
    let (output, results) = run(
        "all",
        &[&CASES[..], &["idle", "publish-0", "--only", "limit,evstream,again", "--subject", &again]].concat(),
    );
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    for subject in ["limit", "evstream", "again"] {
        let value = |case: &str, metric: &str| {
            let wanted = |r: &&serde_json::Value| {
                r["case"] == case && r["subject"] == subject && r["metric"] == metric
            };
            let result =
                results.iter().find(wanted).unwrap_or_else(|| panic!("no {case} {subject} {metric}"));
            assert!(result["unit"].is_string());
            result["value"].as_f64().unwrap()
        };
        for case in CASES {
            assert!(value(case, "cpu_per_delivery") > 0.0);
            assert!(value(case, "latency_p50") <= value(case, "latency_p99"));
        }
        assert!(value("publish-0", "ns_per_call") > 0.0);
        assert!(value("idle", "cpu_per_open") > 0.0);
        assert!(value("idle", "memory_per_stream").is_finite());
        assert!(text.lines().any(|line| line.starts_with("burst") && line.contains(subject)));
    }
}

#[test]
fn a_subject_whose_deliveries_are_not_what_it_published_fails_and_the_others_go_on() {
    let liar = format!("liar={PROGRAM} serve limit | sed -u s/events=100/events=99/");
    let (output, results) = run("liar", &["burst", "--only", "limit,liar", "--subject", &liar]);
    assert!(!output.status.success());
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("deliveries instead of 1980 for \"publish bench 100 100\""), "{text}");
    assert!(results.iter().any(|r| r["subject"] == "limit" && r["metric"] == "cpu_per_delivery"));
    assert!(!results.iter().any(|r| r["subject"] == "liar" && r["metric"] == "cpu_per_delivery"));
}
