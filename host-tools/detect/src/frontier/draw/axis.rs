//! A linear axis with round ticks.

/// From values to places in the picture.
pub(super) struct Axis {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
    step: f64,
}

impl Axis {
    /// Over `values`, with a margin on both sides, drawn from `from` to `to`.
    pub fn new(values: impl Iterator<Item = f64>, from: f64, to: f64, margin: f64) -> Axis {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values.filter(|value| value.is_finite()) {
            low = if value < low { value } else { low };
            high = if value > high { value } else { high };
        }
        if low > high {
            (low, high) = (0.0, 1.0);
        }
        let pad = match high - low {
            0.0 => high.abs() * margin + 1e-3,
            width => width * margin,
        };
        let (low, high) = (low - pad, high + pad);
        // About a tick in 80 units.
        let wanted = (high - low) / ((to - from).abs() / 80.0);
        let power = 10f64.powf(wanted.log10().floor());
        let step = [1.0, 2.0, 5.0].into_iter().map(|n| n * power).find(|step| *step >= wanted);
        Axis { low, high, from, to, step: step.unwrap_or(10.0 * power) }
    }

    /// Place of a value.
    pub fn at(&self, value: f64) -> f64 {
        self.from + (value - self.low) / (self.high - self.low) * (self.to - self.from)
    }

    /// Whether a value lies on it.
    pub fn holds(&self, value: f64) -> bool {
        value >= self.low && value <= self.high
    }

    /// Round values on it.
    pub fn ticks(&self) -> impl Iterator<Item = f64> + use<'_> {
        let first = (self.low / self.step).ceil() as i64;
        let last = (self.high / self.step).floor() as i64;
        (first..=last).map(|n| n as f64 * self.step)
    }

    /// A tick's text: as many decimals as the step needs.
    pub fn text(&self, tick: f64) -> String {
        let decimals = (-self.step.log10().floor()).clamp(0.0, 6.0) as usize;
        format!("{tick:.decimals$}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_places_linear() {
        let axis = Axis::new([40.0, 121.0].into_iter(), 100.0, 900.0, 0.0);
        let texts: Vec<String> = axis.ticks().map(|tick| axis.text(tick)).collect();
        assert_eq!(texts, ["40", "50", "60", "70", "80", "90", "100", "110", "120"]);
        assert_eq!((axis.at(40.0), axis.at(121.0)), (100.0, 900.0));
        assert!(axis.holds(121.0) && !axis.holds(121.1));
        let down = Axis::new([0.0, 1.0].into_iter(), 500.0, 100.0, 0.0);
        assert_eq!(down.at(0.25), 400.0);
        assert_eq!(down.text(0.2), "0.2");
    }

    #[test]
    fn degenerate_axes_have_a_width() {
        for values in [vec![], vec![3.0], vec![0.0, 0.0], vec![f64::NAN, 2.0]] {
            let axis = Axis::new(values.iter().copied(), 0.0, 100.0, 0.05);
            assert!(axis.at(2.0).is_finite(), "{values:?}");
            assert!(axis.ticks().count() < 20, "{values:?}");
        }
    }
}
