//! Order and age of frames: what was taken already, came too late, or cannot be.

use crate::camera::Stamp;
use crate::unfit::Unfit;

/// Watches the stamps of one source.
///
/// Capture times are of the device's own clock and never may go back, so the latest one stays the
/// measure. Numbers are the source's: one that starts anew costs one frame, which is out of order,
/// and is counted on from there; so does a count that passes `u32::MAX`.
#[derive(Clone, Copy, Debug)]
pub struct Arrivals {
    age_max_us: u64,
    last: Option<Stamp>,
}

impl Arrivals {
    /// No frame seen yet; one older than `age_max_us` is late.
    pub const fn new(age_max_us: u64) -> Self {
        Arrivals { age_max_us, last: None }
    }

    /// Takes the next frame's stamp.
    ///
    /// # Errors
    /// [`Unfit::Future`], which leaves no trace; then [`Unfit::Duplicate`], [`Unfit::OutOfOrder`],
    /// [`Unfit::Late`].
    pub fn take(&mut self, stamp: Stamp, now_us: u64) -> Result<(), Unfit> {
        if stamp.captured_us > now_us {
            return Err(Unfit::Future);
        }
        let last = self.last.replace(stamp);
        if let Some(last) = last {
            let captured_us = stamp.captured_us.max(last.captured_us);
            self.last = Some(Stamp { captured_us, ..stamp });
            if stamp.number == last.number || stamp.captured_us == last.captured_us {
                return Err(Unfit::Duplicate);
            }
            if stamp.number < last.number || stamp.captured_us < last.captured_us {
                return Err(Unfit::OutOfOrder);
            }
        }
        self.check_age(stamp, now_us)
    }

    /// Whether a frame is still fresh.
    ///
    /// # Errors
    /// [`Unfit::Late`]; [`Unfit::Future`] when the clock went back before its capture.
    pub fn check_age(&self, stamp: Stamp, now_us: u64) -> Result<(), Unfit> {
        match now_us.checked_sub(stamp.captured_us) {
            None => Err(Unfit::Future),
            Some(age_us) if age_us > self.age_max_us => Err(Unfit::Late),
            Some(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_by_table() {
        // Number, captured, now; the age allowed is 20. One row follows the other.
        let rows = [
            (5, 100, 110, Ok(())),
            (6, 120, 140, Ok(())),
            (7, 139, 160, Err(Unfit::Late)),
            (7, 150, 160, Err(Unfit::Duplicate)),
            (8, 150, 160, Err(Unfit::Duplicate)),
            (9, 145, 160, Err(Unfit::OutOfOrder)),
            (10, 151, 150, Err(Unfit::Future)),
            // The future left no trace, the one out of order kept the latest capture time.
            (10, 149, 160, Err(Unfit::OutOfOrder)),
            (11, 151, 160, Ok(())),
            (3, 160, 161, Err(Unfit::OutOfOrder)),
            (4, 170, 171, Ok(())),
            (u32::MAX, 180, 181, Ok(())),
            (0, 190, 191, Err(Unfit::OutOfOrder)),
            (1, 200, 201, Ok(())),
            // Late, and the same again: the nearer cause counts.
            (1, 200, 300, Err(Unfit::Duplicate)),
            (2, u64::MAX, u64::MAX, Ok(())),
        ];
        let mut arrivals = Arrivals::new(20);
        for (index, (number, captured_us, now_us, wanted)) in rows.into_iter().enumerate() {
            let found = arrivals.take(Stamp { number, captured_us }, now_us);
            assert_eq!(found, wanted, "row {index}");
        }
        let stamp = Stamp { number: 9, captured_us: 100 };
        for (now_us, wanted) in
            [(99, Err(Unfit::Future)), (100, Ok(())), (120, Ok(())), (121, Err(Unfit::Late))]
        {
            assert_eq!(arrivals.check_age(stamp, now_us), wanted, "{now_us}");
        }
    }
}
