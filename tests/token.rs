//! `fanfare token` from outside: what it prints is good, and what it says where it can't.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{SystemTime, UNIX_EPOCH};

use fanfare::auth::token::{Claims, KeySet, Terms, TokenError, Verifier};

const SECRET: &[u8] = b"forty-eight bytes and more, of which nobody knows";

/// A file that is gone when it goes out of scope.
struct File(PathBuf);

impl File {
    fn new(name: &str, bytes: &[u8], mode: u32) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::write(&path, bytes).expect("a temporary file");
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(&path, permissions).expect("its permissions");
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().expect("a path in UTF-8")
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn token(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fanfare"));
    command.arg("token").args(arguments);
    command.output().expect("the binary runs")
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("it prints UTF-8")
}

/// The token that is printed, and what is said beside it.
fn printed(arguments: &[&str]) -> (String, String) {
    let output = token(arguments);
    assert!(
        output.status.success(),
        "{arguments:?}: {}",
        stderr(&output)
    );
    let text = String::from_utf8(output.stdout.clone()).expect("it prints UTF-8");
    let token = text.strip_suffix('\n').expect("a line").to_owned();
    (token, stderr(&output))
}

fn refused(arguments: &[&str], code: i32) -> String {
    let output = token(arguments);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    assert!(output.stdout.is_empty(), "{arguments:?}");
    said
}

fn verify(terms: Terms, token: &str) -> Result<Claims, TokenError> {
    let keys = KeySet::secret(SECRET).expect("a secret");
    Verifier::new(keys, terms).verify(token.as_bytes(), now_s())
}

fn now_s() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.expect("a clock after 1970").as_secs()
}

#[test]
fn a_token_that_is_printed_says_what_it_was_told_to() {
    let key = File::new("token-all", &[SECRET, b"\n"].concat(), 0o600);
    let (token, said) = printed(&[
        "--key-file",
        key.path(),
        "--subject",
        "anna",
        "--subscribe",
        "prices.>",
        "news",
        "--publish",
        "chat.anna",
        "--publish",
        "chat.all",
        "--admin",
        "--expires",
        "1h",
        "--issuer",
        "me",
        "--audience",
        "you",
        "--algorithm",
        "HS384",
    ]);
    assert_eq!(said, "");
    let terms = Terms {
        issuer: Some("me".into()),
        audience: Some("you".into()),
        ..Terms::default()
    };
    let claims = verify(terms, &token).expect("a good token");
    let texts = |list: &Option<Vec<fanfare::channel::pattern::Pattern>>| {
        let list = list.as_ref().expect("a list");
        list.iter()
            .map(|pattern| pattern.as_str().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(&*claims.subject, "anna");
    assert_eq!(texts(&claims.subscribe), ["prices.>", "news"]);
    assert_eq!(texts(&claims.publish), ["chat.anna", "chat.all"]);
    assert_eq!(claims.admin, Some(true));
    let ends = claims.expires.expect("an end");
    assert!((now_s() + 3500..=now_s() + 3600).contains(&ends), "{ends}");
}

#[test]
fn a_list_without_patterns_grants_nothing_and_no_list_says_nothing() {
    let key = File::new("token-none", SECRET, 0o600);
    let common = [
        "--key-file",
        key.path(),
        "--subject",
        "anna",
        "--expires",
        "60",
    ];
    let (token, _) = printed(&[&common[..], &["--subscribe"]].concat());
    let claims = verify(Terms::default(), &token).expect("a good token");
    assert_eq!(
        (claims.subscribe, claims.publish, claims.admin),
        (Some(Vec::new()), None, None)
    );
}

#[test]
fn a_token_ends_unless_it_is_said_that_it_does_not() {
    let key = File::new("token-ends", SECRET, 0o600);
    let common = ["--key-file", key.path(), "--subject", "anna"];
    let said = refused(&common, 2);
    assert!(said.contains("--expires 1h, or --expires never"), "{said}");
    let (token, said) = printed(&[&common[..], &["--expires", "never"]].concat());
    assert!(said.contains("--jwt-expiry optional"), "{said}");
    assert!(verify(Terms::default(), &token).is_err());
    let terms = Terms {
        needs_expiry: false,
        ..Terms::default()
    };
    assert_eq!(verify(terms, &token).expect("a good token").expires, None);
}

#[test]
fn a_key_that_others_can_read_is_used_and_warned_about() {
    let key = File::new("token-open", SECRET, 0o604);
    let (token, said) = printed(&[
        "--key-file",
        key.path(),
        "--subject",
        "anna",
        "--expires",
        "60",
    ]);
    assert!(
        said.contains("every user of this machine can read"),
        "{said}"
    );
    assert!(verify(Terms::default(), &token).is_ok());
}

#[test]
fn a_key_that_cannot_be_used_is_named_with_what_to_do() {
    let short = File::new("token-short", b"hunter2", 0o600);
    let common = ["--subject", "anna", "--expires", "60"];
    let said = refused(&[&common[..], &["--key-file", short.path()]].concat(), 1);
    assert!(
        said.contains("openssl rand -base64 48") && said.contains(short.path()),
        "{said}"
    );
    assert!(!said.contains("hunter2"));
    let said = refused(
        &[&common[..], &["--key-file", "/nowhere/secret"]].concat(),
        1,
    );
    assert!(
        said.contains("/nowhere/secret") && said.contains("can't be read"),
        "{said}"
    );
}

#[test]
fn what_makes_no_sense_is_refused_with_what_would() {
    let key = File::new("token-sense", SECRET, 0o600);
    let common = ["--key-file", key.path()];
    let bad: [(&[&str], &str); 6] = [
        (&["--subject", "", "--expires", "1h"], "1 to 255 bytes"),
        (
            &["--subject", "a\nb", "--expires", "1h"],
            "control character",
        ),
        (&["--subject", "a", "--expires", "1 week"], "such as 1h"),
        (
            &["--subject", "a", "--expires", "1h", "--subscribe", "a..b"],
            "not a pattern",
        ),
        (
            &["--subject", "a", "--expires", "1h", "--algorithm", "none"],
            "none of HS256",
        ),
        (&["--expires", "1h"], "--subject"),
    ];
    for (arguments, word) in bad {
        let said = refused(&[&common[..], arguments].concat(), 2);
        assert!(said.contains(word), "{arguments:?}: {said}");
    }
}
