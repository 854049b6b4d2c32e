//! Loss and accuracy over the epochs as one SVG picture, without script or font.

use std::fmt::Write as _;

use super::curves::{Curves, Epoch};

/// Left, top, width and height of the plotting areas.
const PLACES: [[f64; 4]; 2] = [[70.0, 60.0, 400.0, 260.0], [560.0, 60.0, 400.0, 260.0]];
/// Okabe and Ito's blue and vermilion: the colour-blind can tell them apart.
const COLOURS: [&str; 2] = ["#0072B2", "#D55E00"];
const NAMES: [&str; 2] = ["training", "validation"];

/// Two series over the epochs.
type Series = [Vec<(usize, f64)>; 2];

/// The picture of a run.
pub fn svg(curves: &Curves) -> String {
    let mut out = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 1000 380\" \
                   font-family=\"system-ui, sans-serif\" font-size=\"13\" fill=\"#222\">\n\
                   <rect width=\"1000\" height=\"380\" fill=\"white\"/>\n"
        .to_owned();
    // Names of recipes hold nothing that would have to be escaped.
    text(&mut out, (70.0, 30.0), "font-size=\"17\"", &curves.name);
    let loss = series(curves, |e| (Some(e.loss), e.validation_loss));
    let percent = |x: f64| 100.0 * x;
    let right = series(curves, |e| (Some(percent(e.accuracy)), e.validation_accuracy.map(percent)));
    panel(&mut out, PLACES[0], "cross-entropy", &loss);
    panel(&mut out, PLACES[1], "right answers, %", &right);
    out.push_str("</svg>\n");
    out
}

fn series(curves: &Curves, of: impl Fn(&Epoch) -> (Option<f64>, Option<f64>)) -> Series {
    let points = |part: usize| {
        let value = |epoch: &Epoch| {
            let (first, second) = of(epoch);
            [first, second][part].map(|value| (epoch.epoch, value))
        };
        curves.epochs.iter().filter_map(value).collect()
    };
    [points(0), points(1)]
}

fn panel(out: &mut String, place: [f64; 4], label: &str, series: &Series) {
    let [left, top, width, height] = place;
    let values = || series.iter().flatten().map(|point| point.1);
    let low = values().fold(f64::INFINITY, f64::min);
    let high = values().fold(f64::NEG_INFINITY, f64::max);
    let epochs = series.iter().flatten().map(|point| point.0).max().unwrap_or(1);
    let step = round_step((high - low).max(1e-3) / 5.0);
    let (low, high) = ((low / step).floor() * step, (high / step).floor() * step + step);
    let x = |epoch: usize| left + width * (epoch as f64 - 0.5) / epochs as f64;
    let y = |value: f64| top + height * (high - value) / (high - low);
    let _ = writeln!(
        out,
        "<path d=\"M{left} {top}h{width}v{height}h-{width}z\" fill=\"none\" stroke=\"#888\"/>"
    );
    for tick in 0..=((high - low) / step).round() as usize {
        let value = low + step * tick as f64;
        let decimals = (-step.log10().floor()).clamp(0.0, 4.0) as usize;
        let _ = writeln!(out, "<path d=\"M{left} {:.1}h{width}\" stroke=\"#e6e6e6\"/>", y(value));
        let at = (left - 8.0, y(value) + 4.0);
        text(out, at, "text-anchor=\"end\"", &format!("{value:.decimals$}"));
    }
    for epoch in (1..=epochs).filter(|epoch| epochs <= 20 || epoch % (epochs / 10) == 0) {
        let at = (x(epoch), top + height + 18.0);
        text(out, at, "text-anchor=\"middle\"", &epoch.to_string());
    }
    text(out, (left, top - 8.0), "", label);
    text(out, (left + width / 2.0, top + height + 40.0), "text-anchor=\"middle\"", "epoch");
    for (part, points) in series.iter().enumerate().filter(|(_, points)| !points.is_empty()) {
        let line: Vec<String> = points
            .iter()
            .map(|(epoch, value)| format!("{:.1} {:.1}", x(*epoch), y(*value)))
            .collect();
        let style = format!("stroke=\"{}\" stroke-width=\"2\"", COLOURS[part]);
        let _ = writeln!(out, "<path d=\"M{}\" fill=\"none\" {style}/>", line.join("L"));
        let at = (left + width - 90.0 * (2 - part) as f64, top - 8.0);
        text(out, at, &format!("fill=\"{}\"", COLOURS[part]), NAMES[part]);
    }
}

/// 1, 2 or 5 times a power of ten, at least `wanted`.
fn round_step(wanted: f64) -> f64 {
    let power = 10f64.powf(wanted.log10().floor());
    let step = [1.0, 2.0, 5.0].into_iter().map(|n| n * power).find(|step| *step >= wanted);
    step.unwrap_or(10.0 * power)
}

fn text(out: &mut String, (x, y): (f64, f64), style: &str, content: &str) {
    let _ = writeln!(out, "<text x=\"{x:.1}\" y=\"{y:.1}\" {style}>{content}</text>");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_a_point_an_epoch_within_the_panel() {
        let epoch = |epoch: usize, validation: Option<f64>| Epoch {
            epoch,
            rate: 0.1,
            loss: 2.0 / epoch as f64,
            accuracy: 0.5,
            validation_loss: validation,
            validation_accuracy: validation,
        };
        for (validation, lines) in [(Some(0.3), 4), (None, 2)] {
            let epochs = (1..=3).map(|n| epoch(n, validation)).collect();
            let curves = Curves { name: "a".into(), recipe: String::new(), epochs };
            let svg = svg(&curves);
            let drawn: Vec<&str> =
                svg.lines().filter(|line| line.contains("stroke-width")).collect();
            assert_eq!(drawn.len(), lines, "{svg}");
            for line in drawn {
                let numbers = line.split(['M', 'L', ' ', '"']).filter_map(|n| n.parse().ok());
                let numbers: Vec<f64> = numbers.take(6).collect();
                assert_eq!(numbers.len(), 6, "{line}");
                for point in numbers.chunks_exact(2) {
                    assert!((60.0..=320.0).contains(&point[1]), "{line}");
                }
            }
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
        let empty = Curves::default();
        assert!(svg(&empty).ends_with("</svg>\n"));
    }

    #[test]
    fn steps_are_round() {
        for (wanted, step) in [(0.03, 0.05), (1.0, 1.0), (7.0, 10.0), (0.11, 0.2)] {
            assert!((round_step(wanted) / step - 1.0).abs() < 1e-9, "{wanted}");
        }
    }
}
