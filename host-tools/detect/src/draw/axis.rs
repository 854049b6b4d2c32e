//! Axes with round ticks, linear or logarithmic.

/// From values to places in the picture.
pub(crate) struct Axis {
    /// Ends, as logarithms to base 10 on a logarithmic axis.
    low: f64,
    high: f64,
    from: f64,
    to: f64,
    step: f64,
    logarithmic: bool,
}

impl Axis {
    /// Over `values`, with a margin on both sides, drawn from `from` to `to`.
    pub fn new(values: impl Iterator<Item = f64>, from: f64, to: f64, margin: f64) -> Axis {
        let mut axis = Axis::over(values, from, to, margin);
        // About a tick in 80 units.
        let wanted = (axis.high - axis.low) / ((to - from).abs() / 80.0);
        let power = 10f64.powf(wanted.log10().floor());
        let step = [1.0, 2.0, 5.0].into_iter().map(|n| n * power).find(|step| *step >= wanted);
        axis.step = step.unwrap_or(10.0 * power);
        axis
    }

    /// Over the positive ones of `values` by their logarithms; others have no place.
    pub fn logarithmic(values: impl Iterator<Item = f64>, from: f64, to: f64) -> Axis {
        let mut axis = Axis::over(values.filter(|v| *v > 0.0).map(f64::log10), from, to, 0.05);
        let decades = (axis.high - axis.low) / ((to - from).abs() / 30.0);
        axis.step = decades.ceil().max(1.0);
        axis.logarithmic = true;
        axis
    }

    fn over(values: impl Iterator<Item = f64>, from: f64, to: f64, margin: f64) -> Axis {
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
        Axis { low, high, from, to, step: 1.0, logarithmic: false }
    }

    fn scaled(&self, value: f64) -> f64 {
        if self.logarithmic { value.log10() } else { value }
    }

    /// Place of a value.
    pub fn at(&self, value: f64) -> f64 {
        let share = (self.scaled(value) - self.low) / (self.high - self.low);
        self.from + share * (self.to - self.from)
    }

    /// Whether a value lies on it.
    pub fn holds(&self, value: f64) -> bool {
        let value = self.scaled(value);
        value >= self.low && value <= self.high
    }

    /// Round values on it.
    pub fn ticks(&self) -> Vec<f64> {
        let first = (self.low / self.step).floor() as i64;
        let last = (self.high / self.step).floor() as i64;
        let rounds = (first..=last).map(|n| n as f64 * self.step);
        // Two decades or less have 2 and 5 between the powers.
        let between: &[f64] = match self.logarithmic && self.high - self.low <= 2.0 {
            true => &[1.0, 2.0, 5.0],
            false => &[1.0],
        };
        let all = rounds.flat_map(|round| {
            let round = if self.logarithmic { 10f64.powf(round) } else { round };
            between.iter().map(move |factor| factor * round)
        });
        all.filter(|tick| self.holds(*tick)).collect()
    }

    /// A tick's text: as many decimals as the step needs.
    pub fn text(&self, tick: f64) -> String {
        if self.logarithmic {
            // One digit, so that a power's rounding does not show.
            let short = format!("{tick:.0e}");
            return match (tick, short.parse::<f64>()) {
                (0.0009..10_000.0, Ok(plain)) => format!("{plain}"),
                _ => short,
            };
        }
        let decimals = (-self.step.log10().floor()).clamp(0.0, 6.0) as usize;
        format!("{tick:.decimals$}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(axis: &Axis) -> Vec<String> {
        axis.ticks().into_iter().map(|tick| axis.text(tick)).collect()
    }

    #[test]
    fn ticks_are_round_and_places_linear() {
        let axis = Axis::new([40.0, 121.0].into_iter(), 100.0, 900.0, 0.0);
        assert_eq!(texts(&axis), ["40", "50", "60", "70", "80", "90", "100", "110", "120"]);
        assert_eq!((axis.at(40.0), axis.at(121.0)), (100.0, 900.0));
        assert!(axis.holds(121.0) && !axis.holds(121.1));
        let down = Axis::new([0.0, 1.0].into_iter(), 500.0, 100.0, 0.0);
        assert_eq!(down.at(0.25), 400.0);
        assert_eq!(down.text(0.2), "0.2");
    }

    #[test]
    fn logarithmic_ticks_are_powers() {
        let axis = Axis::logarithmic([2e-6, 0.0, -3.0, 5e3].into_iter(), 400.0, 0.0);
        let wanted = ["1e-6", "1e-5", "1e-4", "0.001", "0.01", "0.1", "1", "10", "100", "1000"];
        assert_eq!(texts(&axis), [wanted.as_slice(), &["1e4"]].concat());
        let middle = (axis.at(1e-3) - (axis.at(1e-5) + axis.at(1e-1)) / 2.0).abs();
        assert!(middle < 1e-9, "{middle}");
        assert!(!axis.holds(0.0) && !axis.holds(-1.0) && axis.holds(1.0));
        let near = Axis::logarithmic([0.9, 11.0].into_iter(), 0.0, 400.0);
        assert_eq!(texts(&near), ["1", "2", "5", "10"]);
    }

    #[test]
    fn degenerate_axes_have_a_width() {
        for values in [vec![], vec![3.0], vec![0.0, 0.0], vec![f64::NAN, 2.0], vec![-1.0]] {
            let linear = Axis::new(values.iter().copied(), 0.0, 100.0, 0.05);
            let logarithmic = Axis::logarithmic(values.iter().copied(), 0.0, 100.0);
            for axis in [linear, logarithmic] {
                assert!(axis.at(2.0).is_finite(), "{values:?}");
                assert!(axis.ticks().len() < 20, "{values:?}");
            }
        }
    }
}
