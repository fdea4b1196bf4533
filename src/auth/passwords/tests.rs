//! What is read of a file, and which passwords are right.

use super::*;

/// An entry of the least cost.
fn entry(name: &str, password: &str) -> String {
    let hash = bcrypt::hash(password, 4).expect("a hash");
    format!("{name}:{hash}\n")
}

fn passwords(text: &str) -> Passwords {
    Passwords::read(text.as_bytes()).expect("it is a file")
}

/// What is wrong with a file, by lines.
fn mistakes(text: &[u8]) -> Vec<(usize, String)> {
    Passwords::read(text).expect_err("something is wrong")
}

/// "mot de passe", by Apache's htpasswd, and "mot de passe ü", by libxcrypt.
const APACHE: &str = "$2y$04$8evcfAngKa8BZH.HKL1Y6uvI9zmyfBoIDqIhqyiKqgUci9inI2x8u";
const LIBXCRYPT: &str = "$2b$04$7oneulcdWJhkmuGgGRwC3.otfOJhf26Sp3kcfdHIMJsg2ZnnJFwJy";

#[test]
fn a_password_is_right_for_its_own_name_only() {
    let text = format!(
        "# who may come in\r\n\n  \n{}{}zoë:{APACHE}\nmax:{LIBXCRYPT}",
        entry("ada", "a:b c"),
        entry("bob", "")
    );
    let passwords = passwords(&text);
    assert_eq!(passwords.len(), 4);
    for (name, password, is_right) in [
        ("ada", "a:b c", true),
        ("ada", "a:b", false),
        ("ada", "a:b c\0", false),
        ("ada", "", false),
        ("Ada", "a:b c", false),
        ("bob", "", true),
        ("bob", "a:b c", false),
        ("zoë", "mot de passe", true),
        ("max", "mot de passe ü", true),
        ("max", "mot de passe u", false),
        ("eve", "", false),
    ] {
        assert_eq!(
            passwords.check(name, password.as_bytes()),
            is_right,
            "{name} {password:?}"
        );
    }
}

#[test]
fn the_three_names_of_the_same_hash_are_taken_and_all_else_is_a_mistake_that_says_what_to_do() {
    let hash = bcrypt::hash("x", 4).expect("a hash");
    for kind in ["$2a$", "$2b$", "$2y$"] {
        let text = format!("ada:{kind}{}", &hash[4..]);
        assert!(passwords(&text).check("ada", b"x"), "{kind}");
    }
    for bad in [
        "$2x$04$abcdefghijklmnopqrstuv",
        "$apr1$x$abcdefgh",
        "{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=",
        "rqXexS6ZhobKA",
        "plain",
        "",
    ] {
        let found = mistakes(format!("# one\nada:{bad}\n").as_bytes());
        assert_eq!(found.len(), 1);
        let (line, why) = &found[0];
        assert_eq!(*line, 2);
        assert!(
            why.contains("htpasswd -B FILE NAME") && why.contains("\"ada\""),
            "{why}"
        );
        assert!(
            bad.is_empty() || !why.contains(bad),
            "it is a secret: {why}"
        );
    }
    let damaged = &hash[..59];
    assert!(
        mistakes(format!("ada:{damaged}").as_bytes())[0]
            .1
            .contains("60 characters")
    );
}

#[test]
fn costs_from_4_to_14_are_taken() {
    let rest = ".".repeat(53);
    for (cost, is_taken) in [(3, false), (4, true), (14, true), (15, false), (31, false)] {
        let text = format!("ada:$2y${cost:02}${rest}");
        let read = Passwords::read(text.as_bytes());
        assert_eq!(read.is_ok(), is_taken, "{cost}");
    }
}

#[test]
fn every_line_that_is_wrong_is_told() {
    let good = entry("ada", "x");
    let mut text = format!("{good}no colon\n:$2y$04$\na\tb:x\n{good}").into_bytes();
    text.extend_from_slice(b"\xff:x\n");
    text.extend_from_slice(format!("{}:x", "n".repeat(257)).as_bytes());
    let found = mistakes(&text);
    let lines: Vec<usize> = found.iter().map(|(line, _)| *line).collect();
    assert_eq!(lines, [2, 3, 4, 5, 6, 7]);
    for (at, words) in [
        "no colon",
        "empty",
        "control",
        "line 1 already",
        "UTF-8",
        "256 bytes",
    ]
    .iter()
    .enumerate()
    {
        assert!(found[at].1.contains(words), "{:?}", found[at]);
    }
}

#[test]
fn a_name_that_is_not_there_costs_what_the_most_expensive_entry_costs() {
    let cheap = passwords(&entry("ada", "x"));
    assert_eq!(
        HashParts::from_str(&cheap.decoy)
            .expect("a hash")
            .get_cost(),
        4
    );
    let rest = ".".repeat(53);
    let text = format!(
        "{}bob:$2y$11${rest}\n{}",
        entry("ada", "x"),
        entry("eve", "x")
    );
    let mixed = passwords(&text);
    assert_eq!(
        HashParts::from_str(&mixed.decoy)
            .expect("a hash")
            .get_cost(),
        11
    );
    let empty = passwords("# nobody\n");
    assert!(empty.is_empty());
    assert_eq!(
        HashParts::from_str(&empty.decoy)
            .expect("a hash")
            .get_cost(),
        USUAL_COST
    );
}

#[test]
fn a_voucher_is_another_once_the_entry_is() {
    let (one, two) = (entry("ada", "x"), entry("ada", "x"));
    let (before, same, other) = (passwords(&one), passwords(&one), passwords(&two));
    assert_eq!(before.voucher("ada"), same.voucher("ada"));
    assert_ne!(
        before.voucher("ada"),
        other.voucher("ada"),
        "the salt is another"
    );
    assert_eq!(before.voucher("bob"), None);
}

#[test]
fn what_no_file_can_have_is_refused_before_it_is_checked() {
    let long = "p".repeat(72);
    let read = Credentials::read(format!("ada:{long}").as_bytes()).expect("it is not cut");
    assert_eq!((&*read.name, read.password.len()), ("ada", 72));
    let read = Credentials::read(b"ada:a:b:").expect("a password may have colons");
    assert_eq!(&read.password[..], b"a:b:");
    for (pair, words) in [
        (format!("ada:{long}p").into_bytes(), "72 bytes"),
        (b"ada:a\0ada:a".to_vec(), "control"),
        (b"a\nb:x".to_vec(), "control"),
        (b"\xff:x".to_vec(), "UTF-8"),
        (b":x".to_vec(), "empty"),
        (b"ada".to_vec(), "colon"),
    ] {
        let why = Credentials::read(&pair).expect_err("it is refused");
        assert!(why.contains(words), "{why}");
    }
}

#[test]
fn a_password_of_72_bytes_is_whole_and_a_longer_one_is_never_right() {
    let long = "p".repeat(72);
    let passwords = passwords(&entry("ada", &long));
    assert!(passwords.check("ada", long.as_bytes()));
    assert!(!passwords.check("ada", &long.as_bytes()[..71]));
    assert!(!passwords.check("ada", format!("{long}p").as_bytes()));
}

#[test]
fn a_file_that_is_too_long_or_not_there_is_told_with_its_name() {
    let file = std::env::temp_dir().join(format!("fanfare-htpasswd-{}", std::process::id()));
    let error = Passwords::load(&file).expect_err("it is not there");
    assert!(error[0].contains("fanfare-htpasswd-"), "{error:?}");
    std::fs::write(&file, "#".repeat(MAX_FILE_BYTES + 1)).expect("a file");
    let error = Passwords::load(&file).expect_err("it is too long");
    assert!(error[0].contains("1048576 bytes"), "{error:?}");
    std::fs::write(&file, "# nothing\nada").expect("a file");
    let error = Passwords::load(&file).expect_err("it is no entry");
    assert!(error[0].contains(":2: "), "{error:?}");
    std::fs::remove_file(&file).expect("it is there");
}
