//! A real Prometheus asks a server, and what the dashboard asks it is there.
#![cfg(feature = "runtime")]

mod common;

use std::{
    collections::BTreeSet,
    fmt::Write,
    fs,
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use common::{Client, Conn, PATH, publish, serve_mounts, until};
use evstream::{Config, Mount};
use serde_json::Value;

/// What the dashboard asks.
fn questions() -> Vec<String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/observe/dashboard.json");
    let dashboard: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().unwrap());
    // As Grafana fills them in.
    let filled = |expr: &str| expr.replace("$__rate_interval", "1m").replace("$job", "app");
    targets.map(|target| filled(target["expr"].as_str().unwrap())).collect()
}

#[test]
fn prometheus_gets_what_the_dashboard_asks() {
    let folder = Folder::new();
    let config = Config::new()
        .grip(vec!["http://127.0.0.1:9/".into()])
        .journal(format!("file:{}", folder.0.join("journal").display()).into());
    let (events, server) = serve_mounts(config, [Mount::new(PATH), Mount::metrics("/metrics")]);
    let _client = Client::open(&server, "/events/?channel=a");
    publish(&events, "a", ["1"]);
    let prometheus = Prometheus::start(&folder, &server.address().to_string());
    until("it has asked", || prometheus.ask("evstream_streams{job=\"app\"}").1 == ["1"]);

    let names: BTreeSet<String> = questions().iter().flat_map(|question| metrics_in(question)).collect();
    for name in &names {
        until(&format!("{name} is there"), || {
            !prometheus.ask(&format!("{name}{{job=\"app\"}}")).1.is_empty()
        });
    }
    for question in questions() {
        assert_eq!(prometheus.ask(&question).0, "success", "{question}");
    }
    // And the other way round: the dashboard leaves nothing out.
    let text = events.metrics(false);
    let families = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    for family in families.filter(|family| *family != "evstream_info") {
        assert!(names.iter().any(|name| name.starts_with(family)), "{family} is on no panel");
    }
}

/// The names of metrics in a question.
fn metrics_in(question: &str) -> Vec<String> {
    let words = question.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("evstream_")).map(str::to_owned).collect()
}

struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("evstream-observe-{:x}", fastrand::u64(..)));
        fs::create_dir(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

struct Prometheus {
    child: Child,
    port: u16,
}

impl Prometheus {
    /// With the configuration of the example, but that it asks this address, and more often.
    fn start(folder: &Folder, target: &str) -> Self {
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/observe/prometheus.yml");
        let text = fs::read_to_string(example).unwrap();
        assert!(text.contains("127.0.0.1:8000") && text.contains("scrape_interval: 15s"));
        let text = text.replace("127.0.0.1:8000", target).replace("15s", "200ms");
        fs::write(folder.0.join("prometheus.yml"), text).unwrap();
        for _ in 0..20 {
            // Below what the system hands out.
            let port = fastrand::u16(10_000..22_000);
            let mut child = Command::new("prometheus")
                .arg(format!("--config.file={}", folder.0.join("prometheus.yml").display()))
                .arg(format!("--storage.tsdb.path={}", folder.0.join(port.to_string()).display()))
                .arg(format!("--web.listen-address=127.0.0.1:{port}"))
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("prometheus is there: scripts/need promtool installs it");
            let listens = || TcpStream::connect(("127.0.0.1", port)).is_ok();
            until("it listens or has ended", || listens() || child.try_wait().unwrap().is_some());
            if child.try_wait().unwrap().is_none() {
                return Self { child, port };
            }
        }
        panic!("prometheus does not start");
    }

    /// How it answers a question, and with what values.
    fn ask(&self, question: &str) -> (String, Vec<String>) {
        let mut encoded = String::new();
        for byte in question.bytes() {
            write!(encoded, "%{byte:02x}").unwrap();
        }
        let mut conn = Conn::tcp(([127, 0, 0, 1], self.port).into());
        conn.request("GET", &format!("/api/v1/query?query={encoded}"), &[]);
        let (_, body) = conn.response();
        // Not ready yet.
        let Ok(answer) = serde_json::from_str::<Value>(&body) else { return ("none".to_owned(), Vec::new()) };
        let found = answer["data"]["result"].as_array().cloned().unwrap_or_default();
        let value = |series: &Value| series["value"][1].as_str().unwrap_or_default().to_owned();
        (answer["status"].as_str().unwrap_or_default().to_owned(), found.iter().map(value).collect())
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
