//! The picture of the report: small GETs per second at concurrency 32.

use std::fmt::Write;

use clap::ValueEnum;

use crate::contestant::Contestant;
use crate::report::Report;
use crate::scenario::Scenario;

const WIDTH: f64 = 420.0;
const BAR: f64 = 22.0;
const LEFT: f64 = 360.0;

/// Returns an SVG image, or `None` without figures.
pub fn svg(report: &Report) -> Option<String> {
    let bars: Vec<_> = Contestant::value_variants()
        .iter()
        .filter_map(|&contestant| {
            Some((
                contestant,
                report
                    .row(Scenario::SmallGet, contestant)?
                    .responses_per_second,
            ))
        })
        .collect();
    let most = bars.iter().map(|(_, rate)| rate.max).fold(0.0, f64::max);
    if most <= 0.0 {
        return None;
    }
    let height = 40.0 + bars.len() as f64 * (BAR + 10.0);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{}\" height=\"{height}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <text x=\"10\" y=\"20\" font-weight=\"bold\">Small GETs per second on one Envoy core, concurrency 32 (line: range of the rounds)</text>\n",
        LEFT + WIDTH + 90.0
    );
    for (index, (contestant, rate)) in bars.iter().enumerate() {
        let y = 34.0 + index as f64 * (BAR + 10.0);
        let x = |figure: f64| LEFT + figure / most * WIDTH;
        let fill = match contestant {
            Contestant::PassThrough => "#9aa5b1",
            Contestant::AwsLambda => "#c46210",
            Contestant::ExtProc | Contestant::Lrp => "#7a6fa5",
            _ => "#2f6f4f",
        };
        let middle = y + BAR / 2.0;
        let title = contestant.title().replace('`', "");
        // Writing to a string cannot fail.
        let _ = writeln!(
            out,
            "<text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"end\">{title}</text>\
             <rect x=\"{LEFT}\" y=\"{y:.0}\" width=\"{:.1}\" height=\"{BAR}\" fill=\"{fill}\"/>\
             <line x1=\"{:.1}\" x2=\"{:.1}\" y1=\"{middle:.0}\" y2=\"{middle:.0}\" stroke=\"black\"/>\
             <text x=\"{:.1}\" y=\"{:.0}\">{:.0}</text>",
            LEFT - 8.0,
            middle + 4.0,
            x(rate.median) - LEFT,
            x(rate.min),
            x(rate.max),
            x(rate.max) + 6.0,
            middle + 4.0,
            rate.median
        );
    }
    out.push_str("</svg>\n");
    Some(out)
}
