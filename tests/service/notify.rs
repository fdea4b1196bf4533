//! What the daemon says to the service manager.

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use super::common::{Daemon, PATIENCE};
use super::{Folder, fanfare};

/// A manager's socket, and a daemon that it has started.
struct Managed {
    manager: UnixDatagram,
    daemon: Daemon,
    _folder: Folder,
}

impl Managed {
    fn start(test: &str, environment: &[(&str, &str)], arguments: &[&str]) -> Managed {
        let folder = Folder::new(test);
        let path = folder.path("notify");
        let manager = UnixDatagram::bind(&path).expect("the path is free");
        manager.set_read_timeout(Some(PATIENCE)).expect("a time");
        let mut command = fanfare(&["serve", "--listen", "127.0.0.1:0"]);
        command.args(arguments).env("NOTIFY_SOCKET", &path);
        command.envs(environment.iter().copied());
        Managed {
            manager,
            daemon: Daemon::spawn(command),
            _folder: folder,
        }
    }

    /// What was said next.
    fn heard(&self) -> String {
        let mut bytes = [0; 4_096];
        let len = self.manager.recv(&mut bytes).expect("a datagram in time");
        String::from_utf8_lossy(&bytes[..len]).into_owned()
    }
}

#[test]
fn it_is_said_when_the_daemon_listens_reads_its_configuration_again_and_ends() {
    let managed = Managed::start("notify", &[], &[]);
    let address = managed.daemon.address;
    let ready = format!("READY=1\nSTATUS=listening on ws://{address}\n");
    assert_eq!(managed.heard(), ready);
    managed.daemon.signal("HUP");
    let reloading = managed.heard();
    let usec = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=");
    let usec = usec.and_then(|rest| rest.split('\n').next()?.parse::<u64>().ok());
    assert!(usec.is_some(), "{reloading}");
    assert_eq!(managed.heard(), ready, "whatever came of it");
    managed.daemon.signal("TERM");
    let stopping = "STOPPING=1\nSTATUS=ending: closing 0 connections\n";
    assert_eq!(managed.heard(), stopping);
}

#[test]
fn a_loop_that_has_nothing_to_do_feeds_the_watchdog() {
    let managed = Managed::start("watchdog", &[("WATCHDOG_USEC", "200000")], &[]);
    assert!(managed.heard().starts_with("READY=1\n"));
    for _ in 0..3 {
        let fed = managed.heard();
        let wanted = "WATCHDOG=1\nSTATUS=0 connections; listening on ws://";
        assert!(fed.starts_with(wanted), "{fed}");
    }
}

#[test]
fn another_processs_watchdog_is_left_alone() {
    let environment = [("WATCHDOG_USEC", "20000"), ("WATCHDOG_PID", "1")];
    let managed = Managed::start("watchdog-other", &environment, &[]);
    assert!(managed.heard().starts_with("READY=1\n"));
    let short = Some(Duration::from_millis(200));
    managed.manager.set_read_timeout(short).expect("a time");
    assert!(managed.manager.recv(&mut [0; 64]).is_err());
}
