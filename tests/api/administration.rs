//! What administrators ask, of a daemon with sockets.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use super::common::{Client, Daemon, member};
use super::{Response, body_of, get, publish};

const RULES: &str = r#"
[[allow]]
who = "anonymous"
subscribe = [">"]
publish = [">"]
"#;

/// A daemon that everybody may use, and the header lines of a request by somebody of this name who administers it.
fn administered(test: &str) -> (Daemon, impl Fn(&str) -> String + use<>) {
    let file = |name: &str, text: &str| {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{test}.{name}"));
        std::fs::write(&path, text).expect("a temporary file");
        let mode = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(&path, mode).expect("its permissions");
        path.to_str().expect("a path in UTF-8").to_owned()
    };
    let secret = file(
        "secret",
        "forty-eight bytes and more, of which nobody knows",
    );
    let rules = file("toml", RULES);
    let daemon = Daemon::start(&["--config", &rules, "--jwt-secret-file", &secret]);
    let authorization = move |subject: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fanfare"));
        command.args(["token", "--key-file", &secret, "--subject", subject]);
        let output = command.args(["--admin", "--expires", "1h"]).output();
        let token = String::from_utf8(output.expect("it runs").stdout).expect("a token");
        format!("Authorization: Bearer {}\r\n", token.trim_end())
    };
    (daemon, authorization)
}

fn delete(daemon: &Daemon, path: &str, fields: &str) -> String {
    daemon.answer(&format!(
        "DELETE {path} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n"
    ))
}

/// The body of the answer to a GET.
fn read(daemon: &Daemon, path: &str, fields: &str) -> String {
    let mut response = Response::to(daemon, &get(path, fields));
    assert_eq!(response.status(), "200", "{path}");
    response.chunked()
}

#[test]
fn what_there_is_is_listed_over_real_sockets() {
    let (daemon, authorization) = administered("listed");
    let root = authorization("root");
    publish(&daemon, "a", "1");
    let epoch = publish(&daemon, "b", "2");
    let mut client = daemon.connect();
    client.ask(r#"{"type":"subscribe","channel":"b"}"#);
    let page = read(&daemon, "/channels?prefix=b&limit=5", &root);
    let begin = r#"{"channels":[{"channel":"b","subscribers":1,"messages":1,"bytes":"#;
    assert!(page.starts_with(begin), "{page}");
    let page = read(&daemon, "/connections", &root);
    let row = page.split("},{").find(|row| row.contains("\"open\""));
    let row = row.unwrap_or_else(|| panic!("{page}"));
    assert_eq!(member(row, "transport"), "\"tcp\"");
    assert_eq!(member(row, "subscriptions"), "1");
    let port = client.stream.local_addr().expect("an address").port();
    assert_eq!(member(row, "peer"), format!("\"127.0.0.1:{port}\""));
    let cleared = delete(&daemon, "/channels/b/messages", &root);
    let place = format!("{{\"epoch\":\"{epoch}\",\"seq\":1}}\n");
    assert_eq!(body_of(&cleared), place);
}

#[test]
fn connections_end_with_4403_and_the_older_tokens_of_a_subject_hold_no_more() {
    let (daemon, authorization) = administered("ended");
    let root = authorization("root");
    let (ada, bob) = (authorization("ada"), authorization("bob"));
    let enter = |fields: &str| -> Client {
        let mut client = daemon.open("/", fields);
        client.text();
        client
    };
    let (mut first, mut second, mut other) = (enter(&ada), enter(&ada), enter(&bob));
    let page = read(&daemon, "/connections", &root);
    let row = page.split("},{").find(|row| row.contains("\"bob\""));
    let id = member(row.expect("bob is there"), "id").trim_matches('"');
    let answer = delete(&daemon, "/subjects/ada", &root);
    assert_eq!(body_of(&answer), "{\"disconnected\":2}\n");
    for client in [&mut first, &mut second] {
        let told = client.close();
        assert_eq!(told, (4403, "disconnected by an administrator".to_owned()));
    }
    let refused = daemon.answer(&get("/channels/a", &ada));
    assert!(refused.starts_with("HTTP/1.1 401 "), "{refused}");
    let answer = other.ask(r#"{"type":"ping","id":1}"#);
    assert_eq!(answer, r#"{"type":"pong","id":1}"#);
    let answer = delete(&daemon, &format!("/connections/{id}"), &root);
    assert_eq!(body_of(&answer), "{\"disconnected\":1}\n");
    assert_eq!(other.close().0, 4403);
}
