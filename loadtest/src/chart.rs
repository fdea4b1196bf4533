//! Charts for documents: SVG on a light background, axes named with their units.

use std::ops::Range;
use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;

use crate::report::{Report, label_and_unit, median, number};

/// Colours that stay apart in print and for the colour-blind (Okabe and Ito).
const PALETTE: [RGBColor; 8] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(230, 159, 0),
    RGBColor(90, 90, 90),
    RGBColor(150, 120, 0),
];
const INK: RGBColor = RGBColor(40, 40, 40);
const GRID: RGBColor = RGBColor(222, 222, 222);
const FONT: &str = "sans-serif";

/// A line of a chart.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    /// Its name in the legend.
    pub(crate) name: String,
    /// Its points.
    pub(crate) points: Vec<(f64, f64)>,
}

/// What an axis shows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Axis<'a> {
    /// Its name, with the unit.
    pub(crate) label: &'a str,
}

/// Draws the reports of one command: the latency distribution of each, or what a sweep found.
///
/// # Errors
/// The file can't be written.
pub(crate) fn draw_reports(path: &Path, reports: &[Report], swept: Option<&str>) -> Result<()> {
    match swept {
        Some(name) => draw_sweep(path, reports, name),
        None => draw_latencies(path, reports),
    }
}

/// Latency over the share of deliveries, the rare ones stretched.
fn draw_latencies(path: &Path, reports: &[Report]) -> Result<()> {
    let curves = reports
        .iter()
        .filter_map(|report| Some((report, report.latency.as_ref()?)));
    let series: Vec<Series> = curves
        .map(|(report, latency)| Series {
            name: report.server.clone(),
            points: latency
                .curve
                .iter()
                .map(|(share, ms)| (1.0 / (1.0 - share), ms.max(0.001)))
                .collect(),
        })
        .collect();
    let title = reports.first().map_or(String::new(), |report| {
        format!("Latency, {}", report.scenario)
    });
    let root = area(path, 480);
    let share = |x: &f64| match x.log10().round() as i32 {
        0 => "0 %".to_owned(),
        nines @ 1..=9 => format!("{:.*} %", (nines - 2).max(0) as usize, 100.0 - 100.0 / x),
        _ => String::new(),
    };
    panel(
        &root,
        &title,
        Axis {
            label: "share of deliveries",
        },
        Axis {
            label: "latency, ms",
        },
        &series,
        &share,
        SeriesLabelPosition::LowerRight,
    )?;
    root.present()
        .map_err(|error| anyhow!("can't write {}: {error}", path.display()))
}

/// CPU per delivery and deliveries per second over what was swept.
fn draw_sweep(path: &Path, reports: &[Report], name: &str) -> Result<()> {
    let x_label = match name {
        "n" => "subscribers",
        "w" | "window" => "window, messages under way",
        "size" => "size of data, B",
        "rate" => "messages/s",
        other => other,
    };
    let key = if name == "window" { "w" } else { name };
    let lines = |figure: &str| sweep_lines(reports, key, figure);
    let root = area(path, 760);
    let halves = root.split_evenly((2, 1));
    let figures = [
        ("cpu_per_delivery_us", SeriesLabelPosition::LowerLeft),
        ("deliveries_per_s", SeriesLabelPosition::UpperLeft),
    ];
    for (half, (figure, legend)) in halves.iter().zip(figures) {
        let (label, unit) = label_and_unit(figure);
        let y_label = format!("{label}, {unit}");
        panel(
            half,
            &label,
            Axis { label: x_label },
            Axis { label: &y_label },
            &lines(figure),
            &|x| tick(*x),
            legend,
        )?;
    }
    root.present()
        .map_err(|error| anyhow!("can't write {}: {error}", path.display()))
}

/// A line for each server: the median of a figure over each value of a parameter.
fn sweep_lines(reports: &[Report], parameter: &str, figure: &str) -> Vec<Series> {
    let mut servers: Vec<&str> = Vec::new();
    for report in reports {
        if !servers.contains(&report.server.as_str()) {
            servers.push(&report.server);
        }
    }
    let of = |server: &str| -> Vec<(f64, f64)> {
        let its = || reports.iter().filter(|report| report.server == server);
        let at = |report: &Report| report.parameters.get(parameter).copied();
        let mut values: Vec<f64> = its().filter_map(at).filter(|value| *value > 0.0).collect();
        values.sort_by(f64::total_cmp);
        values.dedup();
        let figure_at = |value: f64| {
            let there = its().filter(move |report| at(report) == Some(value));
            median(there, figure)
        };
        let points = values.into_iter().filter_map(|x| Some((x, figure_at(x)?)));
        points.filter(|(_, y)| *y > 0.0).collect()
    };
    let series = servers.iter().map(|server| Series {
        name: (*server).to_owned(),
        points: of(server),
    });
    series.collect()
}

/// Draws lines over a common axis.
///
/// # Errors
/// The file can't be written.
pub(crate) fn draw_lines(
    path: &Path,
    title: &str,
    x: Axis<'_>,
    y: Axis<'_>,
    series: &[Series],
) -> Result<()> {
    let root = area(path, 480);
    panel(
        &root,
        title,
        x,
        y,
        series,
        &|x| tick(*x),
        SeriesLabelPosition::LowerLeft,
    )?;
    root.present()
        .map_err(|error| anyhow!("can't write {}: {error}", path.display()))
}

fn area(path: &Path, height: u32) -> DrawingArea<SVGBackend<'_>, Shift> {
    SVGBackend::new(path, (860, height)).into_drawing_area()
}

/// One diagram with logarithmic axes.
fn panel(
    area: &DrawingArea<SVGBackend<'_>, Shift>,
    title: &str,
    x: Axis<'_>,
    y: Axis<'_>,
    series: &[Series],
    x_text: &dyn Fn(&f64) -> String,
    legend: SeriesLabelPosition,
) -> Result<()> {
    let failed = |error: &dyn std::fmt::Display| anyhow!("can't draw: {error}");
    let points = || series.iter().flat_map(|one| &one.points);
    let (xs, ys) = (
        bounds(points().map(|point| point.0), 1.05),
        decades(bounds(points().map(|point| point.1), 1.05)),
    );
    area.fill(&WHITE).map_err(|error| failed(&error))?;
    let mut chart = ChartBuilder::on(area)
        .caption(title, (FONT, 20).into_font().color(&INK))
        .margin(14)
        .margin_right(48)
        .x_label_area_size(48)
        .y_label_area_size(76)
        .build_cartesian_2d(xs.log_scale(), ys.log_scale())
        .map_err(|error| failed(&error))?;
    chart
        .configure_mesh()
        .x_desc(x.label)
        .y_desc(y.label)
        .x_label_formatter(x_text)
        .y_label_formatter(&|y| tick(*y))
        .light_line_style(WHITE)
        .bold_line_style(GRID)
        .axis_style(INK)
        .label_style((FONT, 14).into_font().color(&INK))
        .axis_desc_style((FONT, 15).into_font().color(&INK))
        .draw()
        .map_err(|error| failed(&error))?;
    for (at, one) in series.iter().enumerate() {
        let colour = PALETTE[at % PALETTE.len()];
        chart
            .draw_series(LineSeries::new(
                one.points.iter().copied(),
                colour.stroke_width(2),
            ))
            .map_err(|error| failed(&error))?
            .label(&one.name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 22, y)], colour.stroke_width(3)));
        if one.points.len() < 20 {
            let dots = one
                .points
                .iter()
                .map(|point| Circle::new(*point, 4, colour.filled()));
            chart.draw_series(dots).map_err(|error| failed(&error))?;
        }
    }
    chart
        .configure_series_labels()
        .position(legend)
        .background_style(WHITE.mix(0.85))
        .border_style(GRID)
        .label_font((FONT, 14).into_font().color(&INK))
        .draw()
        .map_err(|error| failed(&error))
}

/// A tick's label: ticks are round, and need no further digits below one.
fn tick(value: f64) -> String {
    if value < 1.0 {
        format!("{}", (value * 1e9).round() / 1e9)
    } else {
        number(value)
    }
}

/// The least and the greatest value with some room around, for a logarithmic axis.
fn bounds(values: impl Iterator<Item = f64>, room: f64) -> Range<f64> {
    let (mut least, mut most) = (f64::INFINITY, 0.0f64);
    for value in values {
        least = least.min(value);
        most = most.max(value);
    }
    if least.is_finite() && most > 0.0 {
        least / room..most * room
    } else {
        0.1..10.0
    }
}

/// The whole decades around a range, so that a logarithmic axis has labels at both ends.
fn decades(range: Range<f64>) -> Range<f64> {
    10f64.powf(range.start.log10().floor())..10f64.powf(range.end.log10().ceil())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sweep_that_was_repeated_is_drawn_by_its_medians() {
        let report = |server: &str, w: f64, cpu: f64| {
            let mut report = Report {
                server: server.to_owned(),
                parameters: [("w".to_owned(), w)].into(),
                ..Report::default()
            };
            report.add("cpu", cpu);
            report
        };
        let reports = [
            report("b", 4.0, 1.0),
            report("a", 1.0, 9.0),
            report("a", 1.0, 7.0),
            report("a", 4.0, 3.0),
            report("a", 1.0, 8.0),
        ];
        let lines = sweep_lines(&reports, "w", "cpu");
        assert_eq!(lines[0].points, [(4.0, 1.0)]);
        assert_eq!(lines[1].points, [(1.0, 8.0), (4.0, 3.0)]);
    }

    #[test]
    fn a_chart_of_nothing_has_axes_all_the_same() {
        assert_eq!(bounds(std::iter::empty(), 2.0), 0.1..10.0);
        assert_eq!(bounds([1.0, 8.0].into_iter(), 2.0), 0.5..16.0);
        assert_eq!(decades(0.5..16.0), 0.1..100.0);
    }
}
