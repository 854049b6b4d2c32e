//! How far apart frames are, and whether a gate can follow them.
//!
//! A gate whose lease is shorter than the time between frames closes after every frame, or never
//! opens: that is a policy for another camera, and no finding about the frames.

use gradgate_bundle::header::Policy;
use gradgate_gate::gate::lease_us;

/// Steps behind the median at most: the first ones.
const STEPS: usize = 1_000_000;

/// Times between frames of sequences.
#[derive(Clone, Debug, Default)]
pub struct Pace {
    last_ns: Option<i64>,
    /// Whether frames without a time came since.
    gap: bool,
    steps_us: Vec<u64>,
    backward: u64,
}

impl Pace {
    /// Takes the next frame of the sequence; beside one without a time there is no step. Whether it
    /// is earlier than the last frame with a time.
    pub fn observe(&mut self, time_ns: Option<i64>) -> bool {
        let Some(now) = time_ns else {
            self.gap = true;
            return false;
        };
        let gap = std::mem::take(&mut self.gap);
        let back = match self.last_ns.replace(now) {
            Some(last) if now < last => true,
            Some(last) => {
                if !gap && self.steps_us.len() < STEPS {
                    self.steps_us.push(now.abs_diff(last) / 1_000);
                }
                false
            }
            None => false,
        };
        self.backward += u64::from(back);
        back
    }

    /// The next frame begins another sequence.
    pub fn next_sequence(&mut self) {
        (self.last_ns, self.gap) = (None, false);
    }

    /// Frames earlier than the one before them.
    pub fn backward(&self) -> u64 {
        self.backward
    }

    /// The median step in microseconds; `None` where there was none.
    pub fn median_us(&self) -> Option<u64> {
        let mut sorted = self.steps_us.clone();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).copied()
    }

    /// One line for frames that come too seldom for the policy's lease; empty where they do not.
    pub fn warning(&self, policy: &Policy) -> String {
        let lease = lease_us(policy);
        match self.median_us() {
            Some(median) if median > lease => format!(
                "TOO SLOW: a frame every {median} us (median), and the policy's lease ends after \
                 {lease} us without one: the gate cannot stay open. Give the camera's \
                 frame_period_us (--policy of pack or calibrate), or calibrate without a policy\n"
            ),
            _ => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gradgate_gate::DEFAULT_POLICY;

    #[test]
    fn paces_by_table() {
        // Milliseconds of two sequences; median, steps back, whether it is too slow for 200 ms.
        let none: &[Option<i64>] = &[];
        let cases = [
            (none, None, 0, false),
            (&[Some(0)], None, 0, false),
            (&[Some(0), Some(200), Some(400)], Some(200_000), 0, false),
            (&[Some(0), Some(201), Some(402)], Some(201_000), 0, true),
            (&[Some(0), None, Some(900), Some(1_400)], Some(500_000), 0, true),
            (&[Some(50), None, Some(40)], None, 2, false),
            // Pauses alone make no slow camera.
            (&[Some(0), Some(33), Some(66), Some(9_000)], Some(33_000), 0, false),
            (&[Some(50), Some(40), Some(73), None], Some(33_000), 2, false),
            (&[None, None], None, 0, false),
        ];
        for (times, median, back, slow) in cases {
            let mut pace = Pace::default();
            for _ in 0..2 {
                pace.next_sequence();
                times.iter().for_each(|ms| {
                    pace.observe(ms.map(|ms| ms * 1_000_000));
                });
            }
            assert_eq!((pace.median_us(), pace.backward()), (median, back), "{times:?}");
            let text = pace.warning(&DEFAULT_POLICY);
            assert_eq!(!text.is_empty(), slow, "{times:?}");
            let both = median.is_some_and(|us| text.contains(&format!("every {us} us")));
            assert!(!slow || both && text.contains("200000 us"), "{text}");
        }
    }
}
