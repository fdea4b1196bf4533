//! `resume`: everybody comes back at once and asks for the newest messages. `limit --last K` is its counterpart: a bare
//! accept, a canned 101 and one `send` of the same bytes each.

use std::time::Duration;

use anyhow::{Result, bail};

use super::Bench;
use crate::client::{Client, Wish};
use crate::dialect::Dialect;
use crate::load::{Load, Until};
use crate::meter::Meter;
use crate::order::Keep;
use crate::pace::Pace;
use crate::progress::Progress;
use crate::report::Report;

/// How long nothing may arrive before the storm is over.
const SILENCE_MAX_NS: u64 = 10_000_000_000;
/// How long it is watched once everything has arrived.
const AFTERMATH: Duration = Duration::from_millis(50);
/// Messages under way while the history is made.
const WINDOW: u64 = 64;

/// Makes a history, then lets all clients come for it at once.
///
/// # Errors
/// Somebody did not get all of it, in order.
pub(super) fn run(bench: &Bench, report: &mut Report) -> Result<()> {
    let parameters = &bench.parameters;
    let mut client = bench.client(1, Keep::All)?;
    let bare = bench.dialect == Dialect::Bare;
    if !bare {
        client = publish_history(client, parameters.last)?;
    }
    let deliveries_before = client.shared.deliveries;
    let wanted = parameters.n * parameters.last;
    // What is timed from here on is coming back.
    client.shared.forget_latencies();
    let meter = Meter::read(bench.server.pid, client.own)?;
    client.open((0..parameters.n).map(|_| Wish::returning(parameters.last)))?;
    let began_ns = client.now_ns();
    let mut progress = Progress::from(began_ns);
    let mut before = (0, began_ns);
    loop {
        let arrived = client.shared.deliveries - deliveries_before;
        let now_ns = client.now_ns();
        if arrived >= wanted {
            break;
        }
        if arrived > before.0 {
            before = (arrived, now_ns);
        }
        if now_ns > before.1 + SILENCE_MAX_NS {
            bail!(
                "{arrived} of {wanted} messages of the history arrived, then no more for {} s: \
                 does the server keep a history?",
                SILENCE_MAX_NS / 1_000_000_000
            );
        }
        progress.show(now_ns, || {
            format!("{} % of the history is back", arrived * 100 / wanted)
        });
        client.turn(Duration::ZERO)?;
    }
    drop(progress);
    let cost = meter.until_now(client.own)?;
    // Nobody gets more than was asked for.
    client.linger(AFTERMATH)?;

    report.add("seconds", cost.wall_ns as f64 / 1e9);
    report.add("deliveries", wanted as f64);
    report.add(
        "deliveries_per_s",
        wanted as f64 * 1e9 / cost.wall_ns as f64,
    );
    if cost.server_cpu_ns > 0 {
        report.add(
            "cpu_per_client_us",
            cost.server_cpu_ns as f64 / parameters.n as f64 / 1e3,
        );
        report.add(
            "cpu_per_delivery_us",
            cost.server_cpu_ns as f64 / wanted as f64 / 1e3,
        );
        report.add("user_share_percent", cost.server_user_share * 100.0);
    }
    report.add(
        "sends_per_client",
        cost.server_sends as f64 / parameters.n as f64,
    );
    report.add_load(&cost);
    report.latency = Some(client.shared.latency());
    Ok(())
}

/// Publishes as many messages as will be asked for, and sees that they arrived.
fn publish_history(mut client: Client, count: u64) -> Result<Client> {
    client.open([Wish::follower()])?;
    client.open([Wish::publisher()])?;
    let mut load = Load::new(client, vec![1], 1, 1, Pace::Window(WINDOW));
    let done = load.run(
        Until {
            ns: 60_000_000_000,
            messages: count,
        },
        None,
        &mut |_, _| Ok(()),
    )?;
    if done.published < count {
        bail!(
            "only {} of the {count} messages of the history could be published within a minute",
            done.published
        );
    }
    Ok(load.client)
}
