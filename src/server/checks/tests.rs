//! Which connections wait for which check, and what counts after a reload.

use super::*;

const ADA: Token = Token(1);
const BOB: Token = Token(2);

/// One name of each, of the least cost, with the password "x".
fn passwords(names: &[&str]) -> Option<Arc<Passwords>> {
    let hash = bcrypt::hash("x", 4).expect("a hash");
    let lines: Vec<String> = names.iter().map(|name| format!("{name}:{hash}")).collect();
    let read = Passwords::read(lines.join("\n").as_bytes());
    Some(Arc::new(read.expect("it is a file")))
}

/// With so many helpers.
fn checks(helpers: usize) -> Checks {
    let mut checks = Checks::new([7; 16]);
    checks.be_driven_by_hand(helpers);
    checks.reload(passwords(&["ada"]));
    checks
}

fn ask_told(checks: &mut Checks, token: Token, pair: &str, told: Option<Verdict>) -> Asked {
    let credentials = Credentials::read(pair.as_bytes()).expect("it could be one");
    checks.ask(token, None, credentials, told, 0)
}

fn ask(checks: &mut Checks, token: Token, pair: &str) -> Asked {
    ask_told(checks, token, pair, None)
}

fn mark(asked: Asked) -> Mark {
    match asked {
        Asked::Waits(mark) => mark,
        Asked::Known(outcome) => panic!("it is known already: {outcome:?}"),
    }
}

fn told(checks: &mut Checks) -> Vec<(Token, Outcome)> {
    let all = std::iter::from_fn(|| checks.next_told());
    all.map(|(token, verdict)| (token, verdict.outcome))
        .collect()
}

#[test]
fn the_same_password_is_checked_once_for_all_who_send_it() {
    let mut checks = checks(2);
    for token in [ADA, BOB] {
        mark(ask(&mut checks, token, "ada:x"));
    }
    assert_eq!(checks.check_by_hand(0).as_deref(), Some("ada"));
    assert_eq!(checks.check_by_hand(0), None);
    let right = Outcome::Right;
    assert_eq!(told(&mut checks), [(ADA, right), (BOB, right)]);
    assert_eq!(ask(&mut checks, BOB, "ada:x"), Asked::Known(right));
}

#[test]
fn a_wrong_password_is_checked_each_time_and_its_verdict_is_for_one_request() {
    let mut checks = checks(1);
    mark(ask(&mut checks, ADA, "ada:y"));
    checks.check_by_hand(0);
    let (_, verdict) = checks.next_told().expect("it was checked");
    let wrong = Asked::Known(Outcome::Wrong);
    assert_eq!(ask_told(&mut checks, ADA, "ada:y", Some(verdict)), wrong);
    mark(ask_told(&mut checks, ADA, "ada:z", Some(verdict)));
    mark(ask(&mut checks, ADA, "ada:y"));
}

#[test]
fn a_check_that_nobody_waits_for_is_not_made() {
    let mut checks = checks(1);
    let running = mark(ask(&mut checks, ADA, "ada:1"));
    let both = mark(ask(&mut checks, ADA, "ada:2"));
    mark(ask(&mut checks, BOB, "ada:2"));
    let alone = mark(ask(&mut checks, BOB, "ada:3"));
    checks.give_up(ADA, running);
    checks.give_up(ADA, both);
    checks.give_up(BOB, alone);
    checks.give_up(BOB, alone);
    assert_eq!(checks.waiting, 1);
    for name in [Some("ada"), Some("ada"), None] {
        assert_eq!(checks.check_by_hand(0).as_deref(), name);
    }
    assert_eq!(told(&mut checks), [(BOB, Outcome::Wrong)]);
    assert!(checks.jobs.is_empty() && checks.waiting == 0 && checks.helpers.has_idle());
}

#[test]
fn what_was_found_out_before_a_reload_does_not_count_after_it() {
    let mut checks = checks(1);
    mark(ask(&mut checks, ADA, "ada:x"));
    checks.check_by_hand(0);
    let (_, verdict) = checks.next_told().expect("it was checked");
    checks.reload(passwords(&["bob"]));
    mark(ask_told(&mut checks, ADA, "ada:x", Some(verdict)));
    // This one is under way, and that one waits.
    mark(ask(&mut checks, BOB, "bob:x"));
    checks.reload(passwords(&["ada"]));
    while checks.check_by_hand(0).is_some() {}
    let mut told = told(&mut checks);
    told.sort_by_key(|(token, _)| *token);
    assert_eq!(told, [(ADA, Outcome::Right), (BOB, Outcome::Wrong)]);
}

#[test]
fn nobody_waits_where_passwords_are_not_taken_any_more() {
    let mut checks = checks(1);
    for (token, pair) in [(ADA, "ada:x"), (BOB, "ada:y")] {
        mark(ask(&mut checks, token, pair));
    }
    checks.reload(None);
    assert_eq!(told(&mut checks).len(), 2);
    assert_eq!(ask(&mut checks, ADA, "ada:x"), Asked::Known(Outcome::Wrong));
    checks.reload(passwords(&["ada"]));
    mark(ask(&mut checks, ADA, "ada:x"));
    while checks.check_by_hand(0).is_some() {}
    assert_eq!(told(&mut checks), [(ADA, Outcome::Right)]);
    assert!(checks.jobs.is_empty() && checks.helpers.has_idle());
}

#[test]
fn so_many_connections_wait_for_one_password_and_no_more() {
    let mut checks = checks(1);
    for token in 0..WAITING_FOR_ONE {
        mark(ask(&mut checks, Token(token), "ada:x"));
    }
    let crowded = Asked::Known(Outcome::Crowded);
    assert_eq!(ask(&mut checks, Token(1_000), "ada:x"), crowded);
    // Others wait all the same.
    mark(ask(&mut checks, Token(1_001), "bob:x"));
    checks.check_by_hand(0);
    assert_eq!(told(&mut checks).len(), WAITING_FOR_ONE);
    assert_eq!(
        ask(&mut checks, Token(0), "ada:x"),
        Asked::Known(Outcome::Right)
    );
}

#[test]
fn so_many_connections_wait_in_all_and_no_more() {
    let mut checks = checks(1);
    let mut ask = |token: usize, nth: usize| {
        let address = std::net::Ipv4Addr::new(192, 0, 2, nth as u8);
        let pair = format!("ada:{nth}");
        let credentials = Credentials::read(pair.as_bytes()).expect("it could be one");
        let source = Some(Key::from(std::net::IpAddr::from(address)));
        checks.ask(Token(token), source, credentials, None, 0)
    };
    for token in 0..WAITING_MAX {
        mark(ask(token, token / WAITING_FOR_ONE));
    }
    assert_eq!(ask(WAITING_MAX, 200), Asked::Known(Outcome::Crowded));
}

#[test]
fn a_thread_in_which_a_check_panics_goes_on_and_the_password_counts_as_wrong() {
    let mut checks = Checks::new([7; 16]);
    let (woken, wakes) = std::sync::mpsc::channel();
    let threads = helpers::Threads::start_with(
        |check| match &*check.name {
            "ada" => panic!("as a test wants it"),
            _ => check.make(),
        },
        move || woken.send(()).expect("it is waited for"),
    );
    checks.helpers = Helpers::Threads(threads.expect("threads"));
    checks.reload(passwords(&["ada", "bob"]));
    // More than there are threads.
    for nth in 0..5 {
        mark(ask(&mut checks, ADA, &format!("ada:{nth}")));
        let patience = std::time::Duration::from_secs(20);
        wakes.recv_timeout(patience).expect("the loop is woken");
        checks.collect(0);
        assert_eq!(told(&mut checks), [(ADA, Outcome::Wrong)]);
        assert!(checks.helpers.has_idle());
    }
    mark(ask(&mut checks, BOB, "bob:x"));
    wakes.recv().expect("the loop is woken");
    checks.collect(0);
    assert_eq!(told(&mut checks), [(BOB, Outcome::Right)]);
}

#[test]
fn threads_check_and_wake_the_loop() {
    let mut checks = Checks::new([7; 16]);
    let (woken, wakes) = std::sync::mpsc::channel();
    checks
        .start(move || woken.send(()).expect("it is waited for"))
        .expect("threads");
    checks.reload(passwords(&["ada"]));
    for (token, pair) in [(ADA, "ada:x"), (BOB, "bob:x")] {
        mark(ask(&mut checks, token, pair));
    }
    let mut all = Vec::new();
    while all.len() < 2 {
        let patience = std::time::Duration::from_secs(20);
        wakes.recv_timeout(patience).expect("the loop is woken");
        checks.collect(0);
        all.extend(told(&mut checks));
    }
    all.sort_by_key(|(token, _)| *token);
    assert_eq!(all, [(ADA, Outcome::Right), (BOB, Outcome::Wrong)]);
}
