//! What holds, with where each value comes from.

use super::*;

fn effective_of_defaults() -> String {
    effective(&Told::default()).to_toml()
}

const FILE: &str = "max_message = 2048\norigin = ['https://a.example', \"https://b.example\"]\n\
                    jwks_url = 'https://id.example/keys?key=hush'\n\n\
                    [[channel]]\nretain_messages = 1\nmatch = 'prices.*'\n\n\
                    [[allow]]\nwho = 'anonymous'\nsubscribe = ['news.>', \"a\"]\nadmin = false\n";

fn effective(told: &Told) -> Effective {
    let (_, effective) = told.load_effective().expect("it is in order");
    effective
}

#[test]
fn each_value_has_the_origin_that_won() {
    let effective = effective(&Told {
        flags: &["--outbox", "3KiB", "--echo"],
        environment: &[("FANFARE_OUTBOX", "2KiB"), ("FANFARE_ON_LAG", "close")],
        file: "outbox = '1KiB'\nmax_header = '1KiB'\n",
    });
    let set_by = |key: &str| {
        let found = effective.settings.iter().find(|setting| setting.key == key);
        let set_by = found.expect("a setting").set_by.to_string();
        // The name of the test's file is another each time.
        set_by.rsplit('/').next().unwrap_or_default().to_owned()
    };
    assert_eq!(set_by("outbox"), "--outbox");
    assert_eq!(set_by("echo"), "--echo");
    assert_eq!(set_by("on_lag"), "FANFARE_ON_LAG");
    assert!(set_by("max_header").ends_with(".toml:2"));
    assert_eq!(set_by("max_keys"), "default");
    assert_eq!(effective.settings.len(), settings::all().count());
}

#[test]
fn what_is_printed_is_a_file_that_says_the_same() {
    let flags = ["--retain-seconds", "0", "--socket-mode", "0660"];
    let told = Told {
        flags: &flags,
        file: FILE,
        ..Told::default()
    };
    let (config, effective) = told.load_effective().expect("it is in order");
    let printed = effective.to_toml().replace("?…", "?key=hush");
    let again = super::config(&printed, &[]);
    let without_places = |mut config: Config| {
        config
            .rules
            .rules
            .iter_mut()
            .for_each(|rule| rule.place = "".into());
        config
    };
    assert_eq!(without_places(again), without_places(config), "{printed}");
    let printed = effective_of_defaults();
    assert_eq!(super::config(&printed, &[]), Config::default());
    // Without the marks of a comment as well, as far as a default is no words and needs nothing else.
    let all = printed.lines().filter_map(|line| line.strip_prefix("# "));
    let all = all.filter(|line| line.contains(" = ") && !line.starts_with("tls_client"));
    // The default address of administration, once it is asked for, does not give way.
    let all = all.filter(|line| !line.starts_with("admin"));
    let all: String = all.map(|line| format!("{line}\n")).collect();
    assert_eq!(super::config(&all, &[]), Config::default());
}

#[test]
fn blocks_are_printed_as_they_are_written() {
    let printed = effective(&Told {
        file: FILE,
        ..Told::default()
    })
    .to_toml();
    let (_, blocks) = printed.split_once("[[channel]]").expect("a block");
    let lines: Vec<&str> = blocks.lines().skip(1).collect();
    assert_eq!(
        lines[..3],
        ["retain_messages = 1", "match = \"prices.*\"", ""]
    );
    assert!(
        lines[3].starts_with("[[allow]]  # ") && lines[3].ends_with(".toml:9"),
        "{}",
        lines[3]
    );
    assert_eq!(
        lines[4..],
        [
            "who = \"anonymous\"",
            "subscribe = [\"news.>\", \"a\"]",
            "admin = false"
        ]
    );
}

#[test]
fn an_address_for_tls_takes_the_place_of_the_default_one() {
    let file = "listen_tls = '127.0.0.1:0'\ntls_cert = 'a'\ntls_key = 'b'\n";
    let printed = effective(&Told {
        file,
        ..Told::default()
    })
    .to_toml();
    assert!(
        printed.contains("# listen: none, since listen_tls is set  # default\n"),
        "{printed}"
    );
    assert_eq!(super::config(&printed, &[]).listen, []);
}

#[test]
fn what_a_url_asks_for_is_blotted_out() {
    let effective = effective(&Told {
        file: FILE,
        ..Told::default()
    });
    for printed in [effective.to_toml(), effective.to_json().to_string()] {
        assert!(printed.contains("https://id.example/keys?…"), "{printed}");
        assert!(!printed.contains("hush"), "{printed}");
    }
}

#[test]
fn json_has_each_value_and_its_origin() {
    let json = effective(&Told {
        file: FILE,
        flags: &["--outbox", "3KiB"],
        ..Told::default()
    })
    .to_json();
    let settings = &json["settings"];
    assert_eq!(settings["outbox"]["value"], "3KiB");
    assert_eq!(settings["outbox"]["origin"]["flag"], "--outbox");
    assert_eq!(settings["max_message"]["value"], 2048);
    assert_eq!(settings["max_message"]["origin"]["line"], 1);
    assert_eq!(settings["origin"]["value"][1], "https://b.example");
    assert_eq!(settings["htpasswd"]["value"], serde_json::Value::Null);
    assert_eq!(settings["htpasswd"]["in_words"], "none");
    assert_eq!(settings["max_keys"]["origin"]["source"], "default");
    let block = &json["blocks"][1];
    assert_eq!(block["block"], "allow");
    assert_eq!(block["members"]["admin"], false);
    assert_eq!(block["origin"]["line"], 9);
}
