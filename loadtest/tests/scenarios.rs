//! Every scenario, small and short, on the real daemon: it runs to its end, reports what it should, and leaves nothing
//! behind.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::Value;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// The daemon that `cargo test --workspace` has built beside the load tester.
fn daemon() -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_loadtest")).with_file_name("fanfare");
    assert!(
        path.exists(),
        "{} is missing: build it with `cargo build --workspace`, or test the whole workspace",
        path.display()
    );
    path
}

fn command(arguments: &str) -> Command {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadtest"));
    command
        .args(arguments.split_whitespace())
        .args(["--load-core", if cores > 1 { "1" } else { "0" }])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// The only report of a run that has to succeed.
fn report(arguments: &str) -> Value {
    let output = command(arguments)
        .arg("--server")
        .arg(daemon())
        .args(["--quiet", "--json", "/dev/stdout"])
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments}: {error}");
    let mut reports: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(reports.len(), 1);
    reports.remove(0)
}

fn figure(report: &Value, name: &str) -> f64 {
    let figures = report["figures"].as_array().unwrap();
    let found = figures.iter().find(|figure| figure["name"] == name);
    found
        .and_then(|figure| figure["value"].as_f64())
        .unwrap_or_else(|| panic!("no {name} in {report}"))
}

#[test]
fn each_scenario_that_publishes_delivers_everything_to_everybody() {
    for (arguments, fan) in [
        ("fanout -n 20 -w 8", 20),
        ("fanout -n 20 -p 3 --rate 500", 20),
        ("fanout -n 20 --deflate --content records --size 1000", 20),
        ("many -n 20 --channels 5 -p 3", 4),
        ("board -n 4 --channels 10 -p 3", 4),
        ("ingest -n 2 -p 30", 2),
        ("fanout -n 20 -w 8 --events", 20),
        ("ingest -n 2 -p 30 --answers", 2),
        ("ingest -n 2 -p 30 --post", 2),
        ("ingest -n 2 -p 3 --batch 40", 2),
        ("ingest -n 2 -p 1 --batch 7 --events", 2),
        ("limit -n 20 -w 8", 20),
    ] {
        let report = report(&format!(
            "{arguments} --messages 300 --warmup 0 --seconds 50"
        ));
        assert_eq!(figure(&report, "published"), 300.0, "{arguments}");
        assert_eq!(
            figure(&report, "deliveries"),
            300.0 * f64::from(fan),
            "{arguments}"
        );
        assert!(report["latency"]["count"].as_u64() > Some(0), "{arguments}");
        assert!(report["skew"]["count"].as_u64() > Some(0), "{arguments}");
    }
}

#[test]
fn every_scenario_does_the_same_over_tls() {
    for (arguments, deliveries) in [
        ("fanout -n 20 -w 8", 6_000.0),
        // More than one record a message, and more than one read.
        ("fanout -n 5 -w 8 --size 50000 -p 3", 1_500.0),
        ("fanout -n 20 --deflate --configured", 6_000.0),
        ("many -n 20 --channels 5", 1_200.0),
        ("board -n 4 --channels 10", 1_200.0),
        ("ingest -n 2 -p 30", 600.0),
        ("patterns -n 20 --channels 70", 6_000.0),
        ("slow -n 20 --stalled 10", 6_000.0),
    ] {
        let report = report(&format!(
            "{arguments} --tls --messages 300 --warmup 0 --seconds 50"
        ));
        assert_eq!(figure(&report, "deliveries"), deliveries, "{arguments}");
        assert_eq!(report["parameters"]["tls"], 1.0, "{arguments}");
    }
    let resume = report("resume -n 20 --last 50 --size 20000 --tls");
    assert_eq!(figure(&resume, "deliveries"), 20.0 * 50.0);
    let churn = report("churn -n 20 --rate 1000 --messages 300 --warmup 0 --seconds 50 --tls");
    assert!(figure(&churn, "deliveries_to_who_comes_and_goes") > 0.0);
    let connect = report("connect -n 600 --tls");
    assert_eq!(figure(&connect, "handshakes"), 600.0);
    let idle = report("idle -n 300 --tls");
    assert!(figure(&idle, "memory_per_connection_bytes") > 0.0);
}

#[test]
fn tls_handshakes_cost_something_and_leave_time_for_who_is_inside() {
    let report = report("handshakes -n 8 --seconds 0.5 --warmup 0 --probe");
    assert!(figure(&report, "handshakes") > 0.0);
    assert_eq!(figure(&report, "refused"), 0.0);
    assert!(figure(&report, "cpu_per_handshake_us") > 0.0);
    assert!(figure(&report, "pings") > 0.0);
}

#[test]
fn a_plain_connection_works_beside_tls_and_rules() {
    let report = report("fanout -n 20 -w 8 --configured --messages 300 --warmup 0 --seconds 50");
    assert_eq!(figure(&report, "deliveries"), 6_000.0);
}

#[test]
fn who_comes_and_goes_gets_messages_in_between() {
    let report = report("churn -n 20 --rate 1000 --messages 300 --warmup 0 --seconds 50");
    let apart = figure(&report, "deliveries_to_who_comes_and_goes");
    assert_eq!(figure(&report, "deliveries"), 300.0 * 20.0 + apart);
    assert!(apart > 0.0 && figure(&report, "resubscriptions") > 0.0);
}

#[test]
fn subscribers_of_a_pattern_get_what_is_published_to_every_channel() {
    for pace in ["-w 8", "--rate 500"] {
        let report = report(&format!(
            "patterns -n 20 --channels 70 {pace} --messages 300 --warmup 0 --seconds 50"
        ));
        assert_eq!(figure(&report, "published"), 300.0);
        assert_eq!(figure(&report, "deliveries"), 300.0 * 20.0);
        assert!(report["latency"]["count"].as_u64() > Some(0));
        let ratio = figure(&report, "cpu_against_one_channel");
        let parts = ["cpu_per_delivery_us", "one_channel_cpu_per_delivery_us"];
        let [pattern, channel] = parts.map(|name| figure(&report, name));
        assert!((ratio - pattern / channel).abs() < 1e-9);
    }
}

#[test]
fn all_who_come_back_get_all_that_they_ask_for() {
    for scenario in ["resume --content records", "limit"] {
        for size in [100, 20_000] {
            let report = report(&format!("{scenario} -n 20 --last 50 --size {size}"));
            assert_eq!(figure(&report, "deliveries"), 20.0 * 50.0, "{scenario}");
            assert!(report["latency"]["count"].as_u64() > Some(0), "{scenario}");
        }
    }
}

#[test]
fn what_connections_cost_is_reported() {
    let connect = report("connect -n 600");
    assert_eq!(figure(&connect, "handshakes"), 600.0);
    assert!(figure(&connect, "cpu_per_handshake_us") > 0.0);
    let idle = report("idle -n 300");
    assert!(figure(&idle, "memory_mib") > 0.0);
    let slow = report("slow -n 10 --stalled 10 --messages 500 --warmup 0");
    assert_eq!(figure(&slow, "deliveries"), 5_000.0);
    assert!(figure(&slow, "memory_with_stalled_mib") > 0.0);
}

#[test]
fn a_number_that_a_scenario_has_no_use_for_is_refused_before_anything_starts() {
    for (arguments, named) in [
        ("fanout --channels 10", "--channels"),
        ("connect -w 3", "--window"),
        ("slow --sweep publishers=1,2", "--publishers"),
        ("fanout -n 0", "n 0"),
        ("many -n 4 --channels 6", "multiple"),
        ("many --peer nchan", "channels"),
        ("patterns --peer bun", "--peer"),
        ("patterns -p 2", "--publishers"),
        ("limit --tls", "--tls"),
        ("handshakes -w 3", "--window"),
        ("fanout --tls --peer ws", "ws is not set up for TLS"),
        ("fanout --tls --url ws://127.0.0.1:1/", "--url"),
        ("fanout --peer nginx", "WebSockets"),
        ("fanout --server-core 5000", "core 5000"),
        ("fanout --url ws://192.0.2.1:80/", "--allow-remote"),
    ] {
        let Output { status, stderr, .. } = command(arguments).output().unwrap();
        let error = String::from_utf8(stderr).unwrap();
        assert_eq!(status.code(), Some(1), "{arguments}: {error}");
        assert!(error.contains(named), "{arguments}: {error}");
        assert!(!error.contains("panicked"), "{arguments}: {error}");
    }
}

#[test]
fn a_sweep_and_its_charts_are_drawn() {
    let file = |name: &str| Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let (json, svg) = (file("sweep.json"), file("sweep.svg"));
    let output = command("fanout --messages 50 --warmup 0 --sweep n=2,4")
        .arg("--server")
        .arg(daemon())
        .arg("--json")
        .arg(&json)
        .arg("--chart")
        .arg(&svg)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(table.contains("n 2,") && table.contains("n 4,"), "{table}");
    assert!(std::fs::read_to_string(&svg).unwrap().contains("</svg>"));
    let medians = Command::new(env!("CARGO_BIN_EXE_loadtest"))
        .arg("medians")
        .args([&json, &json])
        .output()
        .unwrap();
    let medians = String::from_utf8(medians.stdout).unwrap();
    assert_eq!(medians.matches("median of 2").count(), 2, "{medians}");
}

/// The children of a process.
fn children(pid: u32) -> Vec<Pid> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let pids = text.unwrap_or_default();
    let pids = pids.split_whitespace().filter_map(|pid| pid.parse().ok());
    pids.filter_map(Pid::from_raw).collect()
}

fn wait_for<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(Instant::now() < until, "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn interrupt(mut run: Child) {
    let server = wait_for("no server", || children(run.id()).first().copied());
    let pid = Pid::from_child(&run);
    // As soon as it accepts connections the run is under way; before, it is being waited for. Either way it ends.
    kill_process(pid, Signal::INT).unwrap();
    let status = wait_for("it goes on", || run.try_wait().unwrap());
    assert_eq!(status.code(), Some(130));
    assert!(test_kill_process(server).is_err(), "the server lives on");
}

#[test]
fn who_interrupts_a_run_leaves_no_server_behind() {
    for scenario in ["fanout -n 10 --seconds 50", "connect -n 700"] {
        let run = command(scenario).arg("--server").arg(daemon()).spawn();
        interrupt(run.unwrap());
    }
}
