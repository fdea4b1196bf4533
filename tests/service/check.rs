//! `fanfare check` and `fanfare config`.

use super::common::tls::Authority;
use super::{Folder, fanfare, run, said};

const NEWS: &str = "[[allow]]\nwho = 'anonymous'\nsubscribe = ['news.>']\n";

#[test]
fn a_configuration_in_order_is_said_to_be_in_one_line_with_what_it_comes_to() {
    let authority = Authority::new();
    let certificate = authority.sign(&["localhost"]);
    let folder = Folder::new("check-good");
    let secret = folder.file("secret", &"s".repeat(48));
    let text = format!(
        "listen_tls = '0.0.0.0:0'\ntls_cert = {:?}\ntls_key = {:?}\njwt_secret_file = '{secret}'\n{NEWS}",
        certificate.certificate, certificate.key,
    );
    let file = folder.file("f.toml", &text);
    let (code, printed, _) = run(&["check", "--config", &file]);
    assert_eq!(code, Some(0));
    assert_eq!(printed.lines().count(), 1, "{printed}");
    let start = "in order: listens on 0.0.0.0:0 by TLS; administration on 127.0.0.1:8041; certificates: 1; access: 1 rules; ";
    assert!(printed.starts_with(start), "{printed}");
    assert!(printed.contains("means: tokens"), "{printed}");
}

#[test]
fn everything_that_is_wrong_with_files_is_named_at_once_and_the_code_is_1() {
    let folder = Folder::new("check-bad");
    let secret = folder.file("secret", "short");
    let passwords = folder.file("htpasswd", "ada:{SHA}hush\n");
    let key = folder.file("key.pem", "no key\n");
    let cert = folder.path("none.pem");
    let text = format!(
        "listen_tls = '127.0.0.1:0'\ntls_cert = '{cert}'\ntls_key = '{key}'\njwt_secret_file = '{secret}'\n\
         htpasswd = '{passwords}'\n",
    );
    let file = folder.file("f.toml", &text);
    let (code, printed, errors) = run(&["check", "--config", &file]);
    assert_eq!((code, printed.as_str()), (Some(1), ""));
    for name in [&cert, &secret, &format!("{passwords}:1")] {
        assert!(errors.contains(name.as_str()), "{name} in {errors}");
    }
    assert!(!errors.contains("hush"), "{errors}");
}

#[test]
fn a_mistake_in_the_file_has_its_line_and_what_is_allowed() {
    let folder = Folder::new("check-mistake");
    let file = folder.file("f.toml", "on_lag = 'drop'\nretain_byte = 1\n");
    let (code, _, errors) = run(&["check", "--config", &file]);
    assert_eq!(code, Some(1));
    let lines: Vec<&str> = errors.lines().collect();
    assert_eq!(lines.len(), 2, "{errors}");
    assert!(lines[0].contains("f.toml:1:10: on_lag: \"drop\" is not known here: give one of skip"));
    assert!(lines[1].contains("f.toml:2:1: unknown key \"retain_byte\"; allowed here"));
}

#[test]
fn what_the_daemon_would_refuse_to_start_with_is_refused_and_what_it_would_warn_of_is_said() {
    let (code, _, errors) = run(&["check", "--listen", "0.0.0.0:0"]);
    assert_eq!(code, Some(1));
    assert!(
        errors.contains("is reached from other machines"),
        "{errors}"
    );
    let mut command = fanfare(&["check", "--socket-mode", "0660", "--outbox-total", "2000"]);
    command.env("FANFARE_RETAIN_BYTE", "1");
    let (code, printed, errors) = said(command.output().expect("it runs"));
    assert_eq!(code, Some(0), "{errors}");
    assert!(printed.starts_with("in order: listens on 127.0.0.1:8040; "));
    for warning in [
        "fanfare: FANFARE_RETAIN_BYTE is set, but",
        "fanfare: socket_mode and socket_group have no effect",
        "fanfare: --outbox is lowered",
    ] {
        assert!(errors.contains(warning), "{warning} in {errors}");
    }
}

#[test]
fn the_options_that_hold_are_printed_with_where_each_comes_from() {
    let folder = Folder::new("config");
    let file = folder.file("f.toml", &format!("max_message = '1KiB'\n\n{NEWS}"));
    let mut command = fanfare(&["config", "--config", &file, "--on-lag", "latest"]);
    command.env("FANFARE_MAX_KEYS", "7");
    let (code, printed, errors) = said(command.output().expect("it runs"));
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    for line in [
        "# listen = [\"127.0.0.1:8040\"]  # default\n".to_owned(),
        "on_lag = \"latest\"  # --on-lag\n".to_owned(),
        "max_keys = 7  # FANFARE_MAX_KEYS\n".to_owned(),
        format!("max_message = \"1KiB\"  # {file}:1\n"),
        format!("\n[[allow]]  # {file}:3\nwho = \"anonymous\"\n"),
        "# htpasswd: none  # default\n".to_owned(),
    ] {
        assert!(printed.contains(&line), "{line} in {printed}");
    }
    let (code, printed, _) = run(&["config", "--json", "--config", &file]);
    assert_eq!(code, Some(0));
    let json: serde_json::Value = serde_json::from_str(&printed).expect("it is JSON");
    assert_eq!(json["settings"]["max_message"]["value"], "1KiB");
    assert_eq!(json["settings"]["max_message"]["origin"]["line"], 1);
}
