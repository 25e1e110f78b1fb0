//! `packaging/prometheus`: the rules do what they say, and nothing speaks of a metric that there is not.

use crate::common::janitor::{Run, janitor};
use crate::common::metrics::names;
use crate::common::skip::skip;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn shipped(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/prometheus").join(name)
}

/// Runs promtool; `false`, after a loud skip, where it is not installed.
#[track_caller]
fn promtool(arguments: &[&str], file: &Path) -> bool {
    let Ok(output) = Command::new("promtool").args(arguments).arg(file).output() else {
        skip("promtool is not installed");
        return false;
    };
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
    true
}

#[test]
fn the_alerts_fire_when_they_should_and_not_before() {
    let _ = promtool(&["check", "rules"], &shipped("tmux-janitor.rules.yml"))
        && promtool(&["test", "rules"], &shipped("tmux-janitor.test.yml"));
}

#[test]
fn every_alert_is_tested() {
    let rules = fs::read_to_string(shipped("tmux-janitor.rules.yml")).unwrap();
    let tests = fs::read_to_string(shipped("tmux-janitor.test.yml")).unwrap();
    let alerts: Vec<_> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert_eq!(alerts.len(), 11, "{alerts:?}");
    for alert in alerts {
        let quiet = format!("alertname: {alert}\n      - eval_time");
        let fires = format!("alertname: {alert}\n        exp_alerts:\n          - exp_labels");
        assert!(tests.contains(&fires), "{alert} is never expected");
        assert!(tests.contains(&quiet), "{alert} is never expected to be quiet");
    }
}

#[test]
fn every_alert_has_its_place_on_the_page_of_operations() {
    let rules = fs::read_to_string(shipped("tmux-janitor.rules.yml")).unwrap();
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operations.md");
    let page = fs::read_to_string(page).unwrap();
    let of_page = format!("{}/blob/main/docs/operations.md#", env!("CARGO_PKG_REPOSITORY"));
    let lines = || rules.lines().map(str::trim);
    let alerts: Vec<_> = lines().filter_map(|line| line.strip_prefix("- alert: ")).collect();
    let urls: Vec<_> = lines().filter_map(|line| line.strip_prefix("runbook_url: ")).collect();
    let wanted: Vec<_> =
        alerts.iter().map(|alert| format!("{of_page}{}", alert.to_ascii_lowercase())).collect();
    assert_eq!(urls, wanted);
    let told: Vec<_> = page.lines().filter_map(|line| line.strip_prefix("### Tmux")).collect();
    assert_eq!(told, alerts.iter().map(|alert| &alert["Tmux".len()..]).collect::<Vec<_>>());
}

#[test]
fn the_dashboard_asks_what_prometheus_understands() {
    let text = fs::read_to_string(shipped("tmux-janitor.dashboard.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().unwrap());
    let asked: Vec<_> = targets.map(|target| target["expr"].as_str().unwrap()).collect();
    assert!(asked.len() >= panels.len() && panels.len() >= 10);
    let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len(), "each panel has an id of its own");
    let variables: BTreeSet<_> = dashboard["templating"]["list"]
        .as_array()
        .unwrap()
        .iter()
        .map(|variable| variable["name"].as_str().unwrap())
        .collect();
    let used = text.split('$').skip(1).map(|rest| {
        rest.trim_start_matches('{').split(|c: char| !c.is_ascii_lowercase()).next().unwrap_or_default()
    });
    assert_eq!(used.collect::<BTreeSet<_>>(), variables);

    // As rules, the tool reads them as Prometheus will.
    let room = tempfile::tempdir().unwrap();
    let rules: Vec<_> = asked
        .iter()
        .enumerate()
        .map(|(at, expr)| serde_json::json!({ "record": format!("panel:{at}"), "expr": expr }))
        .collect();
    let file = room.path().join("rules.yml");
    // JSON is YAML.
    let groups = serde_json::json!({ "groups": [{ "name": "dashboard", "rules": rules }] });
    fs::write(&file, groups.to_string()).unwrap();
    let _ = promtool(&["check", "rules"], &file);
}

#[test]
fn every_metric_that_is_spoken_of_is_one_that_the_program_has() {
    let known = names(&Run::of(janitor("/nonexistent".as_ref()).args(["status", "--metrics"])).stdout);
    assert_eq!(known.len(), 16, "{known:?}");
    let fleet = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/fleet.md");
    let files = ["tmux-janitor.rules.yml", "tmux-janitor.test.yml", "tmux-janitor.dashboard.json"];
    for file in files.map(shipped).into_iter().chain([fleet]) {
        let text = fs::read_to_string(&file).unwrap();
        let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        let spoken: BTreeSet<_> = words.filter(|word| word.starts_with("tmux_janitor_")).collect();
        assert!(spoken.len() > 3, "{}: {spoken:?}", file.display());
        for name in spoken {
            assert!(known.contains(name), "{} speaks of {name}", file.display());
        }
    }
}
