//! A picture on a terminal.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Block, Borders, Paragraph, Row, Table};
use serde_json::Value;

use super::picture::{List, Picture};

/// From this share on a bound is shown in reverse.
const NEARLY_FULL: f64 = 0.9;

/// Draws it.
pub(super) fn draw(frame: &mut Frame<'_>, picture: &Picture) {
    let bounds = picture.bounds.len().min(9) as u16 + 2;
    let parts = [
        Constraint::Length(4),
        Constraint::Length(bounds),
        Constraint::Fill(1),
        Constraint::Fill(1),
    ];
    let [head, middle, channels, subscribers] = Layout::vertical(parts).areas(frame.area());
    frame.render_widget(Paragraph::new(head_lines(picture)), head);
    draw_bounds(frame, middle, picture);
    let columns = [
        ("channel", "channel", 40),
        ("rate", "messages/s", 10),
        ("subscribers", "subscribers", 11),
        ("messages", "held", 9),
        ("bytes", "bytes", 12),
        ("lag", "lag", 8),
    ];
    let list = picture.channels.as_ref();
    let title = title_of("busiest channels", list, "name");
    draw_list(frame, channels, title, &columns, list);
    let columns = [
        ("subject", "subject", 24),
        ("peer", "from", 28),
        ("lag", "lag", 8),
        ("subscriptions", "subscriptions", 13),
        ("state", "state", 10),
        ("id", "id", 18),
    ];
    let list = picture.subscribers.as_ref();
    let title = title_of("slowest subscribers", list, "id");
    draw_list(frame, subscribers, title, &columns, list);
}

/// The heading of a list. Where the list is cut, it says of which rows alone the list is: the first in the order in which the daemon lists them.
fn title_of(what: &str, list: Option<&List>, order: &str) -> String {
    match list.and_then(|list| list.cut_after) {
        Some(count) => format!(" {what} of the first {} by {order} ", grouped(count)),
        None => format!(" {what} "),
    }
}

/// A number under a million with a comma before its last three digits.
fn grouped(number: usize) -> String {
    match number / 1_000 {
        0 => number.to_string(),
        thousands => format!("{thousands},{:03}", number % 1_000),
    }
}

fn head_lines(picture: &Picture) -> Vec<Line<'static>> {
    let standing = if picture.is_ready {
        "ready"
    } else {
        "not ready"
    };
    let connections = picture
        .connections
        .iter()
        .filter(|(_, count)| *count > 0.0)
        .map(|(state, count)| format!("{count} {state}"));
    let connections: Vec<String> = connections.collect();
    let rates = picture.rates.iter().map(|(_, called, rate)| match rate {
        Some(rate) => format!("{called} {}/s", short(*rate)),
        None => format!("{called} …"),
    });
    let rates: Vec<String> = rates.collect();
    let first = format!(
        "fanfare {} at {}: {standing}",
        picture.version, picture.daemon
    );
    let last = match &picture.trouble {
        Some(why) => plain(why),
        None => format!(
            "furthest behind: {} messages, {:.1} s; lapped since the start: {}",
            picture.worst_messages, picture.worst_seconds, picture.lapped
        ),
    };
    vec![
        Line::styled(first, Style::new().add_modifier(Modifier::BOLD)),
        Line::raw(format!("connections: {}", connections.join(", "))),
        Line::raw(rates.join("  ")),
        Line::raw(last),
    ]
}

fn draw_bounds(frame: &mut Frame<'_>, area: Rect, picture: &Picture) {
    let rows = picture.bounds.iter().map(|bound| {
        let (limit, share) = match bound.limit {
            Some(limit) => (short(limit), format!("{:.0} %", bound.share() * 100.0)),
            None => ("no limit".to_owned(), String::new()),
        };
        let row = Row::new([plain(&bound.name), short(bound.used), limit, share]);
        match bound.share() >= NEARLY_FULL {
            true => row.style(Style::new().add_modifier(Modifier::REVERSED)),
            false => row,
        }
    });
    let widths = [18, 12, 12, 8].map(Constraint::Length);
    let block = Block::new().borders(Borders::TOP).title(" bounds ");
    let header = Row::new(["bound", "used", "limit", ""]);
    frame.render_widget(Table::new(rows, widths).header(header).block(block), area);
}

/// Draws a list: each column with its member in a row, its name and its width.
fn draw_list(
    frame: &mut Frame<'_>,
    area: Rect,
    title: String,
    columns: &[(&str, &'static str, u16)],
    list: Option<&List>,
) {
    let block = Block::new().borders(Borders::TOP).title(title);
    let Some(List { rows, .. }) = list else {
        let text = Paragraph::new("this daemon does not list them");
        return frame.render_widget(text.block(block), area);
    };
    let rows = rows.iter().map(|row| {
        let cells = columns.iter().map(|(member, _, _)| cell(row.get(member)));
        Row::new(cells.collect::<Vec<_>>())
    });
    let header = Row::new(columns.iter().map(|(_, name, _)| *name));
    let widths = columns.iter().map(|(_, _, width)| Constraint::Max(*width));
    let header = header.style(Style::new().add_modifier(Modifier::DIM));
    frame.render_widget(Table::new(rows, widths).header(header).block(block), area);
}

fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => plain(text),
        Some(Value::Number(number)) => number.as_f64().map_or_else(|| number.to_string(), short),
        Some(other) => plain(&other.to_string()),
    }
}

/// A text of strangers without what could play tricks on a terminal.
fn plain(text: &str) -> String {
    let chars = text.chars().take(200);
    chars
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
}

/// A number in few characters: 1234567 is 1.23M.
fn short(number: f64) -> String {
    for (unit, letter) in [(1e9, "G"), (1e6, "M"), (1e4, "k")] {
        if number >= unit {
            let unit = if letter == "k" { 1e3 } else { unit };
            return format!("{:.2}{letter}", number / unit);
        }
    }
    match number.fract() == 0.0 {
        true => format!("{number:.0}"),
        false => format!("{number:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::drawn;
    use super::super::picture::tests::picture;
    use super::*;

    #[test]
    fn a_picture_shows_rates_bounds_and_what_the_daemon_lists() {
        let mut shown = picture();
        shown.channels = Some(List {
            rows: vec![json!({ "channel": "prices\u{1b}[2J", "rate": 12.5, "lag": 3 })],
            cut_after: None,
        });
        let text = drawn(&shown);
        for part in [
            "fanfare 0.1.0 at 127.0.0.1:8041: ready",
            "connections: 5 open, 1 http",
            "published 10/s  deliveries 500/s",
            "furthest behind: 7 messages, 1.5 s; lapped since the start: 4",
            "max_channels       9            10           90 %",
            "input_total        5            no limit",
            "prices?[2J",
            "12.50",
            " busiest channels ─",
            "this daemon does not list them",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(!text.contains('\u{1b}'));
    }

    #[test]
    fn the_heading_of_a_list_that_is_cut_says_what_it_is_of() {
        let mut shown = picture();
        let list = |cut_after| List {
            rows: vec![json!({ "lag": 3 })],
            cut_after: Some(cut_after),
        };
        shown.channels = Some(list(10_000));
        shown.subscribers = Some(list(950));
        let text = drawn(&shown);
        for part in [
            " busiest channels of the first 10,000 by name ─",
            " slowest subscribers of the first 950 by id ─",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }

    #[test]
    fn numbers_are_shown_short() {
        for (number, text) in [
            (0.0, "0"),
            (9_999.0, "9999"),
            (12_345.0, "12.35k"),
            (2.5e6, "2.50M"),
            (0.25, "0.25"),
        ] {
            assert_eq!(short(number), text);
        }
    }

    #[test]
    fn the_smallest_terminal_is_no_trouble() {
        for (width, height) in [(1, 1), (10, 3), (300, 8)] {
            let backend = ratatui::backend::TestBackend::new(width, height);
            let mut terminal = ratatui::Terminal::new(backend).expect("a terminal");
            terminal
                .draw(|frame| draw(frame, &picture()))
                .expect("it is drawn");
        }
    }
}
