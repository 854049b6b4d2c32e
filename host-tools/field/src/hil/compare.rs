//! What a device says of a frame against what it must say.

use gradgate_link::message::{Judged, Verdict};

use super::Unfit;
use super::spoil::fault;
use crate::words;

/// What a device must say of a frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Expected {
    /// Classifier's class; 0 for a frame that the network never sees.
    pub class: u16,
    /// PASS, BLOCK or UNKNOWN.
    pub verdict: Verdict,
    /// The score; not a number where there is none.
    pub score: f32,
    /// Why the network must not see it.
    pub unfit: Option<Unfit>,
}

impl Expected {
    /// Of a frame that the network must not see.
    pub fn unfit(unfit: Unfit) -> Expected {
        Expected { class: 0, verdict: Verdict::Unknown, score: f32::NAN, unfit: Some(unfit) }
    }

    /// What differs, each with both values; empty: nothing. `found` is the number of the
    /// fault that the device logged for this frame.
    pub fn differences(&self, judged: &Judged, found: Option<u32>, ulps: u32) -> Vec<String> {
        let mut all = Vec::new();
        if judged.verdict != self.verdict {
            all.push(format!(
                "verdict {} instead of {}",
                words::verdict(judged.verdict),
                words::verdict(self.verdict)
            ));
        }
        let wanted = self.unfit.map(|unfit| u32::from(unfit.code()));
        if found != wanted {
            let text =
                |number: Option<u32>| number.map_or_else(|| "fit to be judged".to_owned(), fault);
            all.push(format!("frame {} instead of {}", text(found), text(wanted)));
        }
        if judged.class != self.class {
            all.push(format!("class {} instead of {}", judged.class, self.class));
        }
        let apart = ulps_apart(judged.score, self.score);
        if apart.is_none_or(|apart| apart > ulps) {
            let by = apart.map_or(String::new(), |apart| format!(" ({apart} ulps)"));
            all.push(format!(
                "score {} instead of {}{by}",
                number(judged.score),
                number(self.score)
            ));
        }
        all
    }
}

/// A float with its bits.
pub fn number(value: f32) -> String {
    format!("{value} [{:08x}]", value.to_bits())
}

/// Floats between the two; `None` where one of them alone is not a number. All that are not a
/// number are one.
pub fn ulps_apart(one: f32, other: f32) -> Option<u32> {
    match (one.is_nan(), other.is_nan()) {
        (true, true) => return Some(0),
        (false, false) => {}
        _ => return None,
    }
    // Bits in the order of the numbers; both zeros are one apart.
    let place = |value: f32| {
        let bits = i64::from(value.to_bits() & 0x7fff_ffff);
        if value.is_sign_negative() { -1 - bits } else { bits }
    };
    u32::try_from(place(one).abs_diff(place(other))).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_of_floats() {
        let next = f32::from_bits(1.0_f32.to_bits() + 1);
        let tiny = f32::from_bits(1);
        let rows = [
            (1.0, 1.0, Some(0)),
            (1.0, next, Some(1)),
            (0.0, -0.0, Some(1)),
            (tiny, -tiny, Some(3)),
            (f32::NAN, f32::NAN, Some(0)),
            (f32::NAN, 1.0, None),
            (f32::INFINITY, f32::MAX, Some(1)),
        ];
        for (one, other, wanted) in rows {
            assert_eq!(ulps_apart(one, other), wanted, "{one} {other}");
            assert_eq!(ulps_apart(other, one), wanted, "{other} {one}");
        }
    }

    #[test]
    fn differences_by_table() {
        let score = 1.5_f32;
        let expected = Expected { class: 3, verdict: Verdict::Pass, score, unfit: None };
        let good = Judged {
            frame: 0,
            time_us: 0,
            class: 3,
            verdict: Verdict::Pass,
            reason: 0,
            score,
            p_value: 0.5,
        };
        let off = f32::from_bits(score.to_bits() + 2);
        let late = u32::from(Unfit::Late.code());
        let rows: [(Judged, Option<u32>, u32, &[&str]); 7] = [
            (good, None, 0, &[]),
            (Judged { class: 4, ..good }, None, 0, &["class 4 instead of 3"]),
            (
                Judged { verdict: Verdict::Block, ..good },
                None,
                0,
                &["verdict BLOCK instead of PASS"],
            ),
            (
                Judged { score: off, ..good },
                None,
                1,
                &["score 1.5000002 [3fc00002] instead of 1.5 [3fc00000] (2 ulps)"],
            ),
            (Judged { score: off, ..good }, None, 2, &[]),
            (good, Some(late), 0, &["frame LATE instead of fit to be judged"]),
            (good, Some(77), 0, &["frame fault 77 instead of fit to be judged"]),
        ];
        for (judged, found, ulps, wanted) in rows {
            assert_eq!(expected.differences(&judged, found, ulps), wanted);
        }
        let unfit = Expected::unfit(Unfit::Late);
        let refused = Judged { class: 0, verdict: Verdict::Unknown, score: f32::NAN, ..good };
        assert!(unfit.differences(&refused, Some(late), 0).is_empty());
        assert_eq!(unfit.differences(&good, None, 0).len(), 4);
    }
}
