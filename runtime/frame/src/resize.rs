//! Resize by exact weights, row by row: area average when shrinking, linear when enlarging.
//!
//! Each axis is treated on its own. With `S` source and `D` output samples on an axis:
//! - `D <= S`: an output sample is the average of the `S / D` source samples that it covers, those
//!   on the border by the covered part. In units of `1 / D` source samples every weight is a whole
//!   number and the weights of one output sample add up to `S`. `D == S` is the identity.
//! - `D > S`: linear interpolation between the two nearest source centres, edges repeated, with
//!   weights in units of `1 / (2 D)` that add up to `2 D`.
//!
//! For `u8` the weighted sums are exact integers and the one division rounds half up, so the bits
//! are equal on every target. For `f32` the same weights are used on `f64` sums in the same order.

/// Longest side of a source or output image in pixels; keeps every weight and position in `u32`.
pub const MAX_SIDE: u32 = 32_767;

/// Width and height in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

/// Why an image could not be resized.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResizeError {
    /// A side is zero or longer than [`MAX_SIDE`].
    Side,
    /// Not 1 to 4 channels.
    Channels,
    /// The scratch is shorter than [`scratch_len`].
    Scratch,
    /// A source row has the wrong length.
    Row,
    /// The output has the wrong length.
    Output,
    /// All rows of the source were already given.
    TooManyRows,
}

impl core::fmt::Display for ResizeError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            ResizeError::Side => "a side of the image is zero or longer than 32767 pixels",
            ResizeError::Channels => "an image has 1 to 4 channels",
            ResizeError::Scratch => "the resize scratch is too short",
            ResizeError::Row => "a source row has the wrong length",
            ResizeError::Output => "the output has the wrong length",
            ResizeError::TooManyRows => "more rows than the source has",
        })
    }
}

impl core::error::Error for ResizeError {}

mod sealed {
    pub trait Sealed {}
    impl Sealed for u8 {}
    impl Sealed for f32 {}
}

/// A sample that can be resized: `u8` (exact) or `f32` (deterministic, `f64` sums).
pub trait Sample: Copy + sealed::Sealed {
    /// Weighted sum of samples; the element of the scratch.
    type Sum: Copy;
    /// The empty sum.
    const ZERO: Self::Sum;
    /// The sample as a sum of weight 1.
    fn widen(self) -> Self::Sum;
    /// `sum + value * weight`.
    fn add(sum: Self::Sum, value: Self::Sum, weight: u32) -> Self::Sum;
    /// `sum / total`; `total` is at least 1.
    fn average(sum: Self::Sum, total: u64) -> Self;
}

impl Sample for u8 {
    type Sum = u64;
    const ZERO: u64 = 0;
    fn widen(self) -> u64 {
        u64::from(self)
    }
    fn add(sum: u64, value: u64, weight: u32) -> u64 {
        // At most 255 * 65534 * 65534 < 2^41: never wraps.
        sum.wrapping_add(value.wrapping_mul(u64::from(weight)))
    }
    fn average(sum: u64, total: u64) -> u8 {
        let rounded = sum.wrapping_add(total / 2);
        // The 32-bit division is the fast one on a microcontroller, and gives the same quotient.
        let quotient = match (u32::try_from(rounded), u32::try_from(total)) {
            (Ok(r), Ok(t)) => u64::from(r.checked_div(t).unwrap_or(0)),
            _ => rounded.checked_div(total).unwrap_or(0),
        };
        quotient as u8
    }
}

impl Sample for f32 {
    type Sum = f64;
    const ZERO: f64 = 0.0;
    fn widen(self) -> f64 {
        f64::from(self)
    }
    fn add(sum: f64, value: f64, weight: u32) -> f64 {
        sum + value * f64::from(weight)
    }
    fn average(sum: f64, total: u64) -> f32 {
        (sum / total as f64) as f32
    }
}

/// Scratch elements that a [`Resizer`] to `width` columns of `channels` samples needs.
pub const fn scratch_len(width: u32, channels: usize) -> usize {
    (width as usize).saturating_mul(channels).saturating_mul(2)
}

/// Sum of the weights of one output sample on an axis.
fn axis_total(from: u32, to: u32) -> u32 {
    if to <= from { from } else { to.saturating_mul(2) }
}

/// First source sample of output sample `o` on an enlarged axis, and the weight of the one after
/// it; the first one's weight is the rest of `2 * to`.
fn linear_tap(from: u32, to: u32, o: u32) -> (u32, u32) {
    let unit = to.saturating_mul(2);
    let centre = o.saturating_mul(2).saturating_add(1).saturating_mul(from);
    let position = centre.saturating_sub(to);
    let first = position.checked_div(unit).unwrap_or(0);
    let last = from.saturating_sub(1);
    if first >= last { (last, 0) } else { (first, position.checked_rem(unit).unwrap_or(0)) }
}

/// Resizes an image whose rows arrive one after the other.
///
/// Scratch is two rows of sums; the source image is never held.
pub struct Resizer<'a, S: Sample> {
    from: Size,
    to: Size,
    channels: usize,
    /// Shrinking: the sum of the rows so far. Enlarging: the row before.
    held: &'a mut [S::Sum],
    /// The newest row, resized horizontally.
    current: &'a mut [S::Sum],
    rows_in: u32,
    rows_out: u32,
    /// Shrinking: weight that the output row in the making still lacks.
    lacking: u32,
}

impl<'a, S: Sample> Resizer<'a, S> {
    /// A resizer of images of size `from` to size `to`, with [`scratch_len`] elements of scratch.
    pub fn new(
        from: Size,
        to: Size,
        channels: usize,
        scratch: &'a mut [S::Sum],
    ) -> Result<Self, ResizeError> {
        for side in [from.width, from.height, to.width, to.height] {
            if side == 0 || side > MAX_SIDE {
                return Err(ResizeError::Side);
            }
        }
        if channels == 0 || channels > 4 {
            return Err(ResizeError::Channels);
        }
        let row = scratch_len(to.width, channels) / 2;
        let (held, rest) = scratch.split_at_mut_checked(row).ok_or(ResizeError::Scratch)?;
        let current = rest.get_mut(..row).ok_or(ResizeError::Scratch)?;
        held.fill(S::ZERO);
        let lacking = from.height;
        Ok(Resizer { from, to, channels, held, current, rows_in: 0, rows_out: 0, lacking })
    }

    /// Forgets the rows so far: the next row is the first of another image of the same size.
    pub fn restart(&mut self) {
        self.held.fill(S::ZERO);
        (self.rows_in, self.rows_out, self.lacking) = (0, 0, self.from.height);
    }

    /// Takes the next source row and writes the output rows that it completes into `out`, the whole
    /// output image. Returns how many rows of `out` are complete.
    pub fn push_row(&mut self, row: &[S], out: &mut [S]) -> Result<u32, ResizeError> {
        if self.rows_in >= self.from.height {
            return Err(ResizeError::TooManyRows);
        }
        if row.len() != (self.from.width as usize).saturating_mul(self.channels) {
            return Err(ResizeError::Row);
        }
        let length = self.current.len().checked_mul(self.to.height as usize);
        if length != Some(out.len()) {
            return Err(ResizeError::Output);
        }
        if self.to.width <= self.from.width {
            shrink_row(row, self.channels, self.from.width, self.to.width, self.current);
        } else {
            enlarge_row(row, self.channels, self.from.width, self.to.width, self.current);
        }
        if self.to.height <= self.from.height {
            self.shrink_down(out);
        } else {
            self.enlarge_down(out);
        }
        self.rows_in = self.rows_in.saturating_add(1);
        Ok(self.rows_out)
    }

    fn shrink_down(&mut self, out: &mut [S]) {
        let mut left = self.to.height;
        while left > 0 {
            let weight = left.min(self.lacking);
            for (sum, &value) in self.held.iter_mut().zip(self.current.iter()) {
                *sum = S::add(*sum, value, weight);
            }
            left = left.saturating_sub(weight);
            self.lacking = self.lacking.saturating_sub(weight);
            if self.lacking == 0 {
                let total = self.total();
                for (o, sum) in self.next_row(out).iter_mut().zip(self.held.iter_mut()) {
                    *o = S::average(*sum, total);
                    *sum = S::ZERO;
                }
                self.lacking = self.from.height;
            }
        }
    }

    fn enlarge_down(&mut self, out: &mut [S]) {
        let total = self.total();
        let unit = self.to.height.saturating_mul(2);
        while self.rows_out < self.to.height {
            let (first, second) = linear_tap(self.from.height, self.to.height, self.rows_out);
            let needed = if second == 0 { first } else { first.saturating_add(1) };
            if needed != self.rows_in {
                break;
            }
            let row = self.next_row(out);
            let pairs = self.held.iter().zip(self.current.iter());
            for (o, (&before, &now)) in row.iter_mut().zip(pairs) {
                let sum = if second == 0 {
                    S::add(S::ZERO, now, unit)
                } else {
                    let sum = S::add(S::ZERO, before, unit.saturating_sub(second));
                    S::add(sum, now, second)
                };
                *o = S::average(sum, total);
            }
        }
        core::mem::swap(&mut self.held, &mut self.current);
    }

    fn total(&self) -> u64 {
        u64::from(axis_total(self.from.width, self.to.width))
            .saturating_mul(u64::from(axis_total(self.from.height, self.to.height)))
    }

    fn next_row<'o>(&mut self, out: &'o mut [S]) -> &'o mut [S] {
        let length = self.current.len();
        let start = (self.rows_out as usize).saturating_mul(length);
        self.rows_out = self.rows_out.saturating_add(1);
        out.get_mut(start..start.saturating_add(length)).unwrap_or_default()
    }
}

/// Horizontal area average of one row: `out` gets sums of weight `from`.
fn shrink_row<S: Sample>(row: &[S], channels: usize, from: u32, to: u32, out: &mut [S::Sum]) {
    // A resizer has some; without this a panic is linked for none.
    let channels = channels.max(1);
    let mut pixels = row.chunks_exact(channels);
    let mut pixel = pixels.next().unwrap_or_default();
    let mut left = to;
    for sums in out.chunks_exact_mut(channels) {
        sums.fill(S::ZERO);
        let mut lacking = from;
        while lacking > 0 {
            let weight = left.min(lacking);
            for (sum, &value) in sums.iter_mut().zip(pixel) {
                *sum = S::add(*sum, value.widen(), weight);
            }
            lacking = lacking.saturating_sub(weight);
            left = left.saturating_sub(weight);
            if left == 0 {
                pixel = pixels.next().unwrap_or_default();
                left = to;
            }
        }
    }
}

/// Horizontal linear interpolation of one row: `out` gets sums of weight `2 * to`.
fn enlarge_row<S: Sample>(row: &[S], channels: usize, from: u32, to: u32, out: &mut [S::Sum]) {
    let channels = channels.max(1);
    let unit = to.saturating_mul(2);
    for (o, sums) in (0_u32..).zip(out.chunks_exact_mut(channels)) {
        let (first, second) = linear_tap(from, to, o);
        let mut pixels = row.chunks_exact(channels).skip(first as usize);
        let left = pixels.next().unwrap_or_default();
        let right = pixels.next().unwrap_or(left);
        for (sum, (&a, &b)) in sums.iter_mut().zip(left.iter().zip(right)) {
            let part = S::add(S::ZERO, a.widen(), unit.saturating_sub(second));
            *sum = S::add(part, b.widen(), second);
        }
    }
}

/// Resizes a whole image in memory; see [`Resizer`].
pub fn resize<S: Sample>(
    image: &[S],
    from: Size,
    out: &mut [S],
    to: Size,
    channels: usize,
    scratch: &mut [S::Sum],
) -> Result<(), ResizeError> {
    let mut resizer = Resizer::new(from, to, channels, scratch)?;
    let row = (from.width as usize).saturating_mul(channels);
    if row.checked_mul(from.height as usize) != Some(image.len()) {
        return Err(ResizeError::Row);
    }
    for row in image.chunks_exact(row) {
        resizer.push_row(row, out)?;
    }
    Ok(())
}

#[cfg(test)]
#[path = "resize_tests.rs"]
mod tests;
