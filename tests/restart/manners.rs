//! What a restart is to others: the service manager, a container, unix sockets, and encrypted connections.

use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::Path;

use super::common::PATIENCE;
use super::{Folder, Line, ask, is_running, wait_until};

#[test]
fn the_service_manager_is_told_the_new_process_before_the_old_one_ends_and_nothing_of_an_end() {
    let folder = Folder::new("manager");
    let path = folder.path("notify");
    let manager = UnixDatagram::bind(&path).expect("the path is free");
    manager.set_read_timeout(Some(PATIENCE)).expect("a time");
    let mut line = Line::start_with(folder, &[], |command| {
        command
            .env("NOTIFY_SOCKET", &path)
            .env("WATCHDOG_USEC", "60000000");
    });
    let heard = || {
        let mut bytes = [0; 4_096];
        let len = manager.recv(&mut bytes).expect("a datagram in time");
        String::from_utf8_lossy(&bytes[..len]).into_owned()
    };
    assert!(heard().starts_with("READY=1\n"));
    let before = line.pid();
    let asking = std::thread::scope(|scope| {
        let asked = scope.spawn(move || ask(before));
        let mut all = Vec::new();
        while !(all
            .iter()
            .any(|text: &String| text.starts_with("BARRIER=1"))
            && all.iter().any(|text| text.starts_with("READY=1")))
        {
            all.push(heard());
        }
        let main = all.iter().position(|text| text.starts_with("MAINPID="));
        let barrier = all.iter().position(|text| text.starts_with("BARRIER=1"));
        assert!(main.is_some() && main < barrier, "{all:?}");
        assert!(!all.iter().any(|text| text.contains("STOPPING")), "{all:?}");
        asked.join().expect("it was asked")
    });
    assert!(asking.status.success(), "{asking:?}");
    let said = String::from_utf8_lossy(&asking.stdout).into_owned();
    let pid = said
        .split("process ")
        .nth(1)
        .and_then(|rest| rest.split(' ').next()?.parse().ok());
    line.pids.push(pid.expect("a process"));
    wait_until("the old process stays", || !is_running(before));
    line.stop();
    assert!(heard().starts_with("STOPPING=1\n"));
}

#[test]
fn a_unix_sockets_file_stays_and_goes_with_the_last_process() {
    let folder = Folder::new("unix");
    let path = folder.path("socket");
    let listen = format!("unix:{path}");
    let mut line = Line::start_with(folder, &["--listen", &listen], |_| {});
    for _ in 0..2 {
        let before = line.pid();
        line.restart();
        wait_until("the old process stays", || !is_running(before));
        UnixStream::connect(&path).expect("somebody listens");
    }
    line.stop();
    assert!(!Path::new(&path).exists());
}
