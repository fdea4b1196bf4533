//! The listener of administration, over real sockets.

mod common;

use std::io::{Read as _, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use common::{Daemon, PATIENCE, handshake, header, read_answer, read_head};

/// A daemon with a listener of administration, and where that is.
fn administered(arguments: &[&str]) -> (Daemon, SocketAddr) {
    let mut daemon = Daemon::start(&[&["--admin", "127.0.0.1:0"], arguments].concat());
    let address = daemon.admin_address();
    (daemon, address)
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("somebody listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream
}

/// The response to a request without a body.
fn ask(address: SocketAddr, request: &str, fields: &str) -> String {
    let mut stream = connect(address);
    let request = format!("{request} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n");
    stream
        .write_all(request.as_bytes())
        .expect("the request goes out");
    read_answer(&mut stream)
}

/// The event stream of a channel: the head of the answer, and what follows it.
fn follow(address: SocketAddr, fields: &str) -> (String, TcpStream) {
    let mut stream = connect(address);
    let request = format!("GET /channels/a/events HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n");
    stream.write_all(request.as_bytes()).expect("it goes out");
    (read_head(&mut stream), stream)
}

/// The header field with a token of ada's that is signed with this secret.
fn authorization(secret: &str, arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_fanfare"))
        .args(["token", "--key-file", secret, "--subject", "ada"])
        .args(["--expires", "1h"])
        .args(arguments)
        .output()
        .expect("it runs");
    let token = String::from_utf8(output.stdout).expect("text");
    format!("Authorization: Bearer {}\r\n", token.trim())
}

fn status(answer: &str) -> &str {
    &answer[9..12]
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").expect("a body").1
}

fn scrape(address: SocketAddr) -> String {
    let answer = ask(address, "GET /metrics", "");
    assert_eq!(status(&answer), "200", "{answer}");
    assert_eq!(
        header(&answer, "Content-Type"),
        Some("application/openmetrics-text; version=1.0.0; charset=utf-8")
    );
    body(&answer).to_owned()
}

/// The value of the metric with this name and these labels.
fn value(metrics: &str, name: &str) -> f64 {
    let line = metrics
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name} in {metrics}"))
        .parse()
        .expect("a number")
}

/// What `fanfare serve` says that does not start.
fn refused(arguments: &[&str]) -> String {
    let output: Output = Command::new(env!("CARGO_BIN_EXE_fanfare"))
        .args(["serve", "--listen", "127.0.0.1:0"])
        .args(arguments)
        .env_remove("RUST_LOG")
        .stdin(Stdio::null())
        .output()
        .expect("it runs");
    assert_eq!(output.status.code(), Some(1));
    common::command::stderr(&output)
}

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let folder = std::env::temp_dir().join(format!("fanfare-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        Folder(folder)
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, text).expect("it is written");
        path.to_str().expect("UTF-8").to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn metrics_say_what_the_daemon_has_done_and_how_full_each_bound_is() {
    let (daemon, admin) = administered(&["--metrics-channel", "prices.*", "--max-channels", "9"]);
    let mut client = daemon.connect();
    client.ask(r#"{"type":"subscribe","id":1,"channel":"prices.oak"}"#);
    client.send_text(r#"{"type":"publish","channel":"prices.oak","data":12.50}"#);
    assert!(client.text().contains("12.50"));
    let refused = daemon.answer(&handshake("/", "Origin: https://evil.example\r\n"));
    assert_eq!(status(&refused), "403");
    let metrics = scrape(admin);
    assert!(metrics.ends_with("# EOF\n"), "{metrics}");
    for (name, wanted) in [
        (
            r#"fanfare_connections{state="open",transport="tcp",dialect="json"}"#,
            1.0,
        ),
        ("fanfare_published_total", 1.0),
        ("fanfare_deliveries_total", 1.0),
        ("fanfare_received_messages_total", 2.0),
        ("fanfare_websockets_total", 1.0),
        (
            r#"fanfare_handshakes_refused_total{reason="forbidden"}"#,
            1.0,
        ),
        (r#"fanfare_gaps_total{reason="slow"}"#, 0.0),
        (
            r#"fanfare_channel_published_total{pattern="prices.*"}"#,
            1.0,
        ),
        (
            r#"fanfare_channel_published_bytes_total{pattern="prices.*"}"#,
            5.0,
        ),
        (r#"fanfare_bound_used{bound="max_channels"}"#, 1.0),
        (r#"fanfare_bound_limit{bound="max_channels"}"#, 9.0),
        ("fanfare_lag_messages_count", 1.0),
        ("fanfare_lag_worst_messages", 0.0),
        ("fanfare_ready", 1.0),
    ] {
        assert_eq!(value(&metrics, name), wanted, "{name}");
    }
    assert!(value(&metrics, "fanfare_turn_seconds_count") > 0.0);
    assert!(value(&metrics, "fanfare_sent_bytes_total") > 0.0);
    drop(client);
    let until = std::time::Instant::now() + PATIENCE;
    let name = r#"fanfare_connections{state="open",transport="tcp",dialect="json"}"#;
    while value(&scrape(admin), name) != 0.0 {
        assert!(std::time::Instant::now() < until, "it stayed open");
    }
}

#[test]
fn each_metric_that_the_alerts_and_the_operators_page_name_is_in_a_scrape() {
    let (_daemon, admin) = administered(&["--metrics-channel", ">"]);
    let metrics = scrape(admin);
    // What has not happened yet has no rows.
    let rare = ["fanfare_closes_total", "fanfare_handshakes_refused_total"];
    for page in [
        include_str!("../docs/alerts.yaml"),
        include_str!("../docs/operations.md"),
    ] {
        let words = page.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let names: Vec<&str> = words
            .filter(|word| word.starts_with("fanfare_") && *word != "fanfare_token")
            .collect();
        assert!(names.len() >= 5, "{names:?}");
        for name in names {
            let is_row = |line: &str| line.split(['{', ' ']).next() == Some(name);
            let is_family = metrics.contains(&format!("# TYPE {name} histogram\n"));
            let is_there = is_family || metrics.lines().any(is_row);
            assert!(is_there || rare.contains(&name), "{name} in {metrics}");
        }
    }
}

#[test]
fn on_loopback_the_host_and_the_page_of_a_request_are_checked_and_no_proxy_is_believed() {
    let (_daemon, admin) = administered(&[
        "--trusted-proxy=127.0.0.1",
        "--trusted-proxy-header=x-forwarded-for",
    ]);
    let mut stream = connect(admin);
    let request = "GET /metrics HTTP/1.1\r\nHost: evil.example\r\n\r\n";
    stream.write_all(request.as_bytes()).expect("it goes out");
    assert_eq!(status(&read_answer(&mut stream)), "421");
    let page = "Origin: https://evil.example\r\n";
    assert_eq!(status(&ask(admin, "POST /reload", page)), "403");
    assert_eq!(status(&ask(admin, "GET /config", page)), "403");
    let proxied = "X-Forwarded-For: 192.0.2.1\r\n";
    assert_eq!(status(&ask(admin, "GET /metrics", proxied)), "403");
    for (fields, wanted) in [(page, "403"), (proxied, "403"), ("", "101")] {
        let mut stream = connect(admin);
        let request = handshake("/", fields);
        stream.write_all(request.as_bytes()).expect("it goes out");
        assert_eq!(status(&read_head(&mut stream)), wanted, "{fields}");
    }
    assert_eq!(status(&ask(admin, "GET /reload", "")), "405");
    assert_eq!(status(&ask(admin, "DELETE /metrics", "")), "405");
}

#[test]
fn pages_that_may_use_the_daemon_are_no_administrators_by_that() {
    for origins in ["*", "https://app.example"] {
        let (daemon, admin) = administered(&["--origin", origins]);
        let page = "Origin: https://app.example\r\n";
        for request in ["POST /reload", "POST /drain", "DELETE /subjects/ada"] {
            assert_eq!(status(&ask(admin, request, page)), "403", "{request}");
        }
        let elsewhere = "Origin: http://localhost:3000\r\n";
        assert_eq!(status(&ask(admin, "POST /drain", elsewhere)), "403");
        let own = "Origin: http://localhost\r\n";
        assert_eq!(status(&ask(admin, "POST /reload", own)), "200");
        let answer = ask(daemon.address, "GET /channels/a", page);
        assert!(header(&answer, "Access-Control-Allow-Origin").is_some());
    }
}

#[test]
fn what_is_for_administrators_is_not_on_the_public_port_and_readiness_is() {
    let (daemon, admin) = administered(&[]);
    for path in ["/metrics", "/config"] {
        let answer = ask(daemon.address, &format!("GET {path}"), "");
        assert_eq!(status(&answer), "404", "{path}");
    }
    for path in ["/reload", "/drain"] {
        let answer = ask(
            daemon.address,
            &format!("POST {path}"),
            "Content-Length: 0\r\n",
        );
        assert_eq!(status(&answer), "404", "{path}");
    }
    for address in [daemon.address, admin] {
        let answer = ask(address, "GET /readyz", "");
        assert_eq!((status(&answer), body(&answer)), ("200", "ready\n"));
        assert_eq!(status(&ask(address, "GET /healthz", "")), "200");
    }
    for (address, has_more) in [(daemon.address, false), (admin, true)] {
        let answer = ask(address, "GET /nope", "");
        assert_eq!(status(&answer), "404");
        assert_eq!(answer.contains("/metrics"), has_more, "{answer}");
    }
    // The HTTP API is there, too.
    let publish = "POST /channels/a";
    let answer = ask(admin, publish, "Content-Length: 0\r\n");
    assert_eq!(status(&answer), "400", "{answer}");
}

#[test]
fn beyond_this_machine_there_is_no_administration_without_authentication() {
    let errors = refused(&["--admin", "0.0.0.0:0", "--open-to-everyone"]);
    assert!(
        errors.contains("0.0.0.0:0, for administration, is reached from other machines"),
        "{errors}"
    );
}

#[test]
fn beyond_this_machine_each_request_needs_the_right_admin() {
    let folder = Folder::new("admin-far");
    let secret = folder.write("secret", "0123456789abcdef0123456789abcdef");
    let mut daemon = Daemon::start(&["--admin", "0.0.0.0:0", "--jwt-secret-file", &secret]);
    let admin = daemon.admin_address();
    let reader = authorization(&secret, &["--subscribe", ">"]);
    let administrator = authorization(&secret, &["--admin"]);
    for request in [
        "GET /metrics",
        "GET /healthz",
        "GET /readyz",
        "GET /",
        "GET /nothing",
    ] {
        assert_eq!(status(&ask(admin, request, "")), "401", "{request}");
        assert_eq!(status(&ask(admin, request, &reader)), "403", "{request}");
        let allowed = ask(admin, request, &administrator);
        assert!(matches!(status(&allowed), "200" | "404"), "{allowed}");
    }
    for (fields, wanted) in [("", "401"), (&*reader, "403"), (&*administrator, "101")] {
        let mut stream = connect(admin);
        let request = handshake("/", fields);
        stream.write_all(request.as_bytes()).expect("it goes out");
        assert_eq!(status(&read_head(&mut stream)), wanted, "{fields}");
    }
}

#[test]
fn beyond_this_machine_a_stream_ends_when_its_reader_is_no_administrator_any_more() {
    let folder = Folder::new("admin-stream");
    let secret = folder.write("secret", "0123456789abcdef0123456789abcdef");
    let rule = |admin: bool| {
        format!("[[allow]]\nwho = 'subject:ada'\nsubscribe = ['>']\nadmin = {admin}\n")
    };
    let file = folder.write("fanfare.toml", &rule(true));
    let mut daemon = Daemon::start(&[
        "--admin",
        "0.0.0.0:0",
        "--jwt-secret-file",
        &secret,
        "--config",
        &file,
    ]);
    let token = authorization(&secret, &[]);
    let (head, mut stream) = follow(daemon.admin_address(), &token);
    assert_eq!(status(&head), "200");
    folder.write("fanfare.toml", &rule(false));
    daemon.signal("HUP");
    let rest = common::read_to_end(&mut stream);
    assert!(rest.contains("not granted any more"), "{rest}");
}

#[test]
fn the_default_address_is_done_without_if_it_is_taken_and_one_that_was_asked_for_is_not() {
    // Somebody else may have it, which is as good.
    let taken = TcpListener::bind("127.0.0.1:8041");
    let mut command = Command::new(env!("CARGO_BIN_EXE_fanfare"));
    command.args(["serve", "--listen", "127.0.0.1:0"]);
    command.env_remove("RUST_LOG").env("FANFARE_ADMIN", "");
    let mut daemon = Daemon::spawn(command);
    daemon.wait_for_log("nothing listens for administration: 127.0.0.1:8041 is taken");
    drop(taken);
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let errors = refused(&["--admin", &address]);
    assert!(errors.contains(&format!("{address} is taken")), "{errors}");
}

#[test]
fn a_reload_says_what_is_other_now_and_what_needs_a_restart_and_a_bad_file_changes_nothing() {
    let folder = Folder::new("admin-reload");
    let file = folder.write("fanfare.toml", "max_message = '2KiB'\n");
    let (mut daemon, admin) = administered(&["--config", &file]);
    let reload = || ask(admin, "POST /reload", "Content-Length: 0\r\n");
    let answer = reload();
    let nothing = r#"{"changed":[],"needs_restart":[]}"#;
    assert_eq!((status(&answer), body(&answer).trim()), ("200", nothing));
    folder.write(
        "fanfare.toml",
        "max_keys = 7\nsend_buffer = 0\nretain_messages = 1\nlog = 'debug'\n[[allow]]\nwho = 'anonymous'\npublish = ['a']\n",
    );
    let answer = reload();
    let both = r#"{"changed":["retain_messages","max_message","log","[[allow]]"],"needs_restart":["max_keys","send_buffer"]}"#;
    let sorted = |text: &str| {
        let mut words: Vec<String> = text
            .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .map(str::to_owned)
            .collect();
        words.sort();
        words
    };
    assert_eq!(
        sorted(body(&answer)),
        sorted(&format!("{both}\n")),
        "{answer}"
    );
    daemon.wait_for_log("POST /reload: these hold after a restart: ");
    // What holds is what is shown.
    let config = ask(admin, "GET /config", "");
    let config: serde_json::Value = serde_json::from_str(body(&config)).expect("it is JSON");
    assert_eq!(config["settings"]["max_message"]["value"], "64KiB");
    assert_eq!(config["settings"]["max_keys"]["value"], 100_000);
    assert_eq!(config["settings"]["retain_messages"]["value"], 1);
    assert_eq!(config["settings"]["log"]["value"], "debug");
    assert_eq!(config["blocks"][0]["block"], "allow");
    folder.write("fanfare.toml", "log = 'much'\n");
    let answer = reload();
    assert_eq!(status(&answer), "500", "{answer}");
    assert!(body(&answer).contains("not known here"), "{answer}");
    let config = ask(admin, "GET /config", "");
    assert!(config.contains("\"debug\""), "{config}");
}

#[test]
fn a_reload_changes_how_often_a_stream_has_a_comment_that_had_none() {
    let folder = Folder::new("admin-comments");
    let file = folder.write("fanfare.toml", "ping_interval = '0'\n");
    let (daemon, admin) = administered(&["--config", &file]);
    let (_, mut stream) = follow(daemon.address, "");
    folder.write("fanfare.toml", "ping_interval = '1s'\n");
    let answer = ask(admin, "POST /reload", "Content-Length: 0\r\n");
    assert!(
        answer.contains(r#""changed":["ping_interval"]"#),
        "{answer}"
    );
    let mut said = Vec::new();
    while !said.ends_with(b"\n:\n\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("a comment comes");
        said.push(byte[0]);
    }
}

#[test]
fn a_reload_changes_limits_and_retention_for_who_is_here_and_for_what_there_is() {
    let folder = Folder::new("admin-limits");
    let file = folder.write("fanfare.toml", "max_message = '1KiB'\n");
    let (daemon, admin) = administered(&["--config", &file]);
    let mut client = daemon.connect();
    for id in 1..=3 {
        let publish = format!(r#"{{"type":"publish","id":{id},"channel":"a","data":{id}}}"#);
        assert!(client.ask(&publish).contains("published"));
    }
    // By HTTP/1.0 an answer of unknown length ends with the connection.
    let held = || {
        let mut stream = connect(admin);
        let request = "GET /channels/a HTTP/1.0\r\nHost: localhost\r\n\r\n";
        stream.write_all(request.as_bytes()).expect("it goes out");
        let answer = common::read_to_end(&mut stream);
        answer.matches("{\"seq\":").count()
    };
    folder.write("fanfare.toml", "retain_messages = 2\n");
    let answer = ask(admin, "POST /reload", "Content-Length: 0\r\n");
    let changed = r#"{"changed":["retain_messages","max_message"],"needs_restart":[]}"#;
    assert_eq!(body(&answer).trim(), changed);
    let until = std::time::Instant::now() + PATIENCE;
    while held() != 2 {
        assert!(std::time::Instant::now() < until, "all of it is held");
    }
    let data = "x".repeat(3_000);
    let publish = format!(r#"{{"type":"publish","id":4,"channel":"a","data":"{data}"}}"#);
    assert!(client.ask(&publish).contains("published"));
}

#[test]
fn a_drain_sends_everybody_away_with_a_goodbye_and_leaves_administration_alone() {
    let (mut daemon, admin) = administered(&[]);
    let mut client = daemon.connect();
    let mut watcher = connect(admin);
    watcher
        .write_all(handshake("/", "").as_bytes())
        .expect("it goes out");
    assert_eq!(status(&read_head(&mut watcher)), "101");
    let answer = ask(admin, "POST /drain", "Content-Length: 0\r\n");
    assert_eq!(status(&answer), "200");
    assert!(
        body(&answer).contains(r#""standing":"draining""#),
        "{answer}"
    );
    let goodbye = client.text();
    let beginning = r#"{"type":"goodbye","reason":"drain","reconnect_after_ms":"#;
    assert!(goodbye.starts_with(beginning), "{goodbye}");
    assert_eq!(client.close().0, 1001);
    assert!(TcpStream::connect(daemon.address).is_err());
    let ready = ask(admin, "GET /readyz", "");
    assert_eq!((status(&ready), body(&ready)), ("503", "draining\n"));
    assert_eq!(status(&ask(admin, "GET /healthz", "")), "200");
    assert_eq!(value(&scrape(admin), "fanfare_ready"), 0.0);
    // Once more does no harm, and the daemon ends as it always does.
    ask(admin, "POST /drain", "Content-Length: 0\r\n");
    daemon.signal("TERM");
    assert_eq!(daemon.wait(), Some(0));
}
