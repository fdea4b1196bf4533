//! `fanfare allow` from outside: who may do what, by which rule, and how it ends.

use std::path::PathBuf;
use std::process::{Command, Output};

/// A folder of one test's own, gone at its end.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Folder {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("allow-{test}"));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("a temporary folder");
        Folder(path)
    }

    /// Writes a file there. Its path.
    fn file(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, text).expect("a temporary file");
        path.to_str().expect("a path in UTF-8").to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn run(arguments: &[&str], token: Option<&str>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fanfare"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("FANFARE_") {
            command.env_remove(name);
        }
    }
    command.envs(token.map(|token| ("FANFARE_TOKEN", token)));
    command.args(arguments).output().expect("the binary runs")
}

/// What `fanfare allow` prints, with the exit code; nothing is on stderr.
fn allow(arguments: &[&str], token: Option<&str>) -> (Option<i32>, String) {
    let output = run(&[&["allow"], arguments].concat(), token);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.is_empty(), "{arguments:?}: {said}");
    let printed = String::from_utf8(output.stdout).expect("it prints UTF-8");
    (output.status.code(), printed)
}

/// What it says on stderr, with the exit code; nothing is printed.
fn refused(arguments: &[&str], token: Option<&str>) -> (Option<i32>, String) {
    let output = run(&[&["allow"], arguments].concat(), token);
    assert!(output.stdout.is_empty(), "{arguments:?}");
    let said = String::from_utf8(output.stderr).expect("it says UTF-8");
    assert!(!said.contains("panicked"), "{said}");
    (output.status.code(), said)
}

const RULES: &str = "listen = ['127.0.0.1:8040', 'unix:/run/f.sock']\n\
                     [[allow]]\nwho = 'anonymous'\nsubscribe = ['news.>']\n\
                     [[allow]]\nwho = 'jwt:*'\nsubscribe = ['inbox.{subject}']\npublish = ['chat.>']\n\
                     [[allow]]\nwho = 'listener:unix:/run/f.sock'\npublish = ['>']\n";

#[test]
fn it_says_for_each_whether_and_by_which_rule() {
    let folder = Folder::new("rules");
    let config = folder.file("f.toml", RULES);
    let ask = |arguments: &[&str]| {
        let (code, text) = allow(&[&["--config", &config], arguments].concat(), None);
        (code, text.replace(&config, "f.toml"))
    };
    let expected = "anonymous by 127.0.0.1:8040, news.today:\n  \
                    subscribe  yes  f.toml:2: who = \"anonymous\"\n  \
                    publish    no   no [[allow]] grants it\n";
    assert_eq!(
        ask(&["--channel", "news.today"]),
        (Some(1), expected.to_owned())
    );
    let expected = "anonymous by unix:/run/f.sock, news.today:\n  \
                    subscribe  yes  f.toml:2: who = \"anonymous\"\n  \
                    publish    yes  f.toml:9: who = \"listener:unix:/run/f.sock\"\n";
    let by_socket = ["--channel", "news.today", "--listener", "unix:/run/f.sock"];
    assert_eq!(ask(&by_socket), (Some(0), expected.to_owned()));
    let expected = "jwt:ada by 127.0.0.1:8040, inbox.ada:\n  \
                    subscribe  yes  f.toml:5: who = \"jwt:*\"\n";
    let inbox = [
        "--subject",
        "jwt:ada",
        "--channel",
        "inbox.ada",
        "--subscribe",
    ];
    assert_eq!(ask(&inbox), (Some(0), expected.to_owned()));
    let inbox = [
        "--subject",
        "jwt:bob",
        "--channel",
        "inbox.ada",
        "--subscribe",
    ];
    assert_eq!(ask(&inbox).0, Some(1));
    let expected = "anonymous by 127.0.0.1:8040, news.>:\n  \
                    subscribe  yes  f.toml:2: who = \"anonymous\"\n";
    assert_eq!(
        ask(&["--pattern", "news.>"]),
        (Some(0), expected.to_owned())
    );
    assert_eq!(ask(&["--pattern", ">"]).0, Some(1));
}

#[test]
fn a_name_without_its_means_is_answered_for_each_means_where_they_differ() {
    let folder = Folder::new("means");
    let config = folder.file("f.toml", RULES);
    let ask = |channel| {
        let arguments = [
            "--config",
            &config,
            "--subject",
            "ada",
            "--channel",
            channel,
        ];
        let (code, text) = allow(&[&arguments[..], &["--publish"]].concat(), None);
        (code, text.replace(&config, "f.toml"))
    };
    let expected = "subject:ada by 127.0.0.1:8040, news.today:\n  \
                    publish    no   no [[allow]] grants it\n";
    assert_eq!(ask("news.today"), (Some(1), expected.to_owned()));
    let expected = "cert:ada by 127.0.0.1:8040, chat.a:\n  \
                    publish    no   no [[allow]] grants it\n\
                    basic:ada by 127.0.0.1:8040, chat.a:\n  \
                    publish    no   no [[allow]] grants it\n\
                    jwt:ada by 127.0.0.1:8040, chat.a:\n  \
                    publish    yes  f.toml:5: who = \"jwt:*\"\n";
    assert_eq!(ask("chat.a"), (Some(1), expected.to_owned()));
}

#[test]
fn without_a_configuration_the_daemon_is_open() {
    let (code, text) = allow(&["--channel", "news"], None);
    assert_eq!(code, Some(0));
    assert_eq!(text.matches("the daemon is open").count(), 2, "{text}");
    let (code, text) = allow(&["--channel", "$sys"], None);
    assert_eq!(code, Some(1));
    assert_eq!(text.matches("the daemon's own").count(), 2, "{text}");
}

/// A token that is signed with `secret` and has these arguments beside.
fn token(secret: &str, arguments: &[&str]) -> String {
    let base = ["token", "--key-file", secret, "--subject", "ada"];
    let output = run(&[&base, arguments].concat(), None);
    let token = String::from_utf8(output.stdout).expect("it prints UTF-8");
    assert!(output.status.success() && !token.is_empty());
    token.trim_end().to_owned()
}

#[test]
fn a_token_is_its_bearer_from_wherever_it_comes() {
    let folder = Folder::new("token");
    let secret = folder.file("secret", &"s3cret-".repeat(8));
    let file = format!("jwt_secret_file = {secret:?}\n{RULES}");
    let config = folder.file("f.toml", &file);
    let plain = token(&secret, &["--expires", "1h"]);
    let path = folder.file("token", &format!("{plain}\n"));
    let ask = ["--config", &config, "--channel", "chat.a", "--publish"];
    let by_argument = allow(&[&ask[..], &["--token", &plain]].concat(), None);
    assert_eq!(by_argument.0, Some(0), "{}", by_argument.1);
    assert!(
        by_argument.1.starts_with("jwt:ada by "),
        "{}",
        by_argument.1
    );
    assert_eq!(
        allow(&[&ask[..], &["--token-file", &path]].concat(), None),
        by_argument
    );
    assert_eq!(allow(&ask, Some(&plain)), by_argument);
    let anonymous = allow(&[&ask[..], &["--anonymous"]].concat(), Some(&plain));
    assert_eq!(anonymous.0, Some(1));

    let named = token(&secret, &["--expires", "1h", "--publish", "mine"]);
    let (code, text) = allow(&ask, Some(&named));
    assert_eq!(code, Some(1));
    let why = "the token names other channels (token_claims = \"instead\"); without that: ";
    assert!(text.contains(why), "{text}");
    assert!(text.ends_with("f.toml:6: who = \"jwt:*\"\n"), "{text}");
    let mine = ["--config", &config, "--channel", "mine", "--publish"];
    let (code, text) = allow(&mine, Some(&named));
    assert!(
        code == Some(0) && text.contains("the token names it"),
        "{text}"
    );
}

#[test]
fn a_token_that_the_daemon_would_refuse_is_refused_with_the_reason() {
    let folder = Folder::new("refused");
    let secret = folder.file("secret", &"s3cret-".repeat(8));
    let other = folder.file("other", &"0ther-".repeat(8));
    let config = folder.file("f.toml", &format!("jwt_secret_file = {secret:?}\n"));
    let forged = token(&other, &["--expires", "1h"]);
    let ask = ["--config", &config, "--channel", "a"];
    let (code, said) = refused(&ask, Some(&forged));
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("signature is wrong"), "{said}");
    assert!(!said.contains(&forged), "a token is never shown");
    let (code, said) = refused(&ask, Some("rubbish"));
    assert_eq!(code, Some(1), "{said}");
    let (code, said) = refused(&["--channel", "a"], Some(&forged));
    assert_eq!(code, Some(2));
    assert!(said.contains("takes no tokens"), "{said}");
    let (code, said) = refused(&[&ask[..], &["--token-file", "/nowhere"]].concat(), None);
    assert_eq!(code, Some(2));
    assert!(said.contains("/nowhere: the file can't be read"), "{said}");
}

#[test]
fn what_makes_no_sense_ends_with_2_and_says_what_is_allowed() {
    let folder = Folder::new("usage");
    let config = folder.file("f.toml", "[[allow]]\nwho = 'x'\nsubscribe = 'a'\n");
    for (arguments, why) in [
        (
            vec!["--config", &config, "--channel", "a"],
            "\"x\" is nobody",
        ),
        (vec!["--channel", "a..b"], "\"a..b\" is no channel"),
        (vec!["--pattern", "a..b"], "is not a pattern"),
        (
            vec!["--channel", "a", "--pattern", "b"],
            "cannot be used with",
        ),
        (vec![], "required"),
        (
            vec!["--channel", "a", "--listener", "127.0.0.1:1"],
            "give one of 127.0.0.1:8040",
        ),
        (
            vec!["--channel", "a", "--subject", "a", "--anonymous"],
            "cannot be used with",
        ),
        (vec!["--pattern", "a", "--publish"], "cannot be used with"),
    ] {
        let (code, said) = refused(&arguments, None);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(why), "{said}");
    }
}
