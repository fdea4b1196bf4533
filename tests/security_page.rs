//! docs/security.md names a test for each line, and each of them is there.

use std::fs;
use std::path::{Path, PathBuf};

/// All Rust files of the project.
fn sources(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
}

#[test]
fn each_test_that_the_security_page_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    sources(&root.join("src"), &mut files);
    sources(&root.join("tests"), &mut files);
    let read = |path: &PathBuf| fs::read_to_string(path).expect("a file");
    let code: String = files.iter().map(read).collect();
    let page = fs::read_to_string(root.join("docs/security.md")).expect("the page");
    let quoted = page.split('`').skip(1).step_by(2);
    let is_name = |text: &&str| {
        let is_letter =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        text.matches('_').count() >= 2 && text.bytes().all(is_letter)
    };
    let named: Vec<&str> = quoted.filter(is_name).collect();
    assert!(named.len() > 40, "{}", named.len());
    let missing: Vec<&str> = named
        .into_iter()
        .filter(|name| !code.contains(&format!("fn {name}(")))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}
