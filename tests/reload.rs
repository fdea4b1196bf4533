//! What SIGHUP reads again.

mod common;

use std::fs;

use common::Daemon;

#[test]
fn a_reload_that_would_open_the_daemon_to_everybody_by_accident_changes_nothing() {
    let folder = std::env::temp_dir().join(format!("fanfare-reload-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder");
    let file = folder.join("fanfare.toml");
    let rules = "[[allow]]\nwho = 'anonymous'\nsubscribe = ['a']\n";
    fs::write(&file, rules).expect("it is written");
    let path = file.to_str().expect("UTF-8").to_owned();
    let mut daemon = Daemon::start_at("0.0.0.0:0", &["--config", &path]);
    let mut client = daemon.connect();
    let publish = r#"{"type":"publish","id":1,"channel":"a","data":1}"#;
    assert!(client.ask(publish).contains("forbidden"));
    fs::write(&file, "").expect("it is written");
    daemon.signal("HUP");
    daemon.wait_for_log("is reached from other machines");
    assert!(client.ask(publish).contains("forbidden"));
    // Rules that make sense hold at once, for who is here as well.
    let rules = "[[allow]]\nwho = 'anonymous'\nsubscribe = ['a']\npublish = ['a']\n";
    fs::write(&file, rules).expect("it is written");
    daemon.signal("HUP");
    daemon.wait_for_log("SIGHUP: access: 1 rules");
    assert!(client.ask(publish).contains("published"));
    fs::remove_dir_all(&folder).ok();
}

#[test]
fn a_reload_looks_no_name_up_since_a_resolver_may_take_long() {
    let folder = std::env::temp_dir().join(format!("fanfare-names-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder");
    let file = folder.join("fanfare.toml");
    let rule =
        |listener: &str| format!("[[allow]]\nwho = 'listener:{listener}'\nsubscribe = ['a']\n");
    fs::write(&file, rule("localhost:0")).expect("it is written");
    let path = file.to_str().expect("UTF-8").to_owned();
    let mut daemon = Daemon::start_at("localhost:0", &["--config", &path]);
    daemon.signal("HUP");
    daemon.wait_for_log("SIGHUP: access: 1 rules");
    fs::write(&file, rule("localhost:1")).expect("it is written");
    daemon.signal("HUP");
    daemon.wait_for_log("\"localhost:1\" was not looked up when the daemon started");
    fs::remove_dir_all(&folder).ok();
}
