//! Dense numbers on the host.

/// A dense row-major f32 array; axis 0 counts the frames of a batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    shape: Vec<usize>,
    data: Vec<f32>,
}

impl Array {
    /// `data` as an array of `shape`.
    ///
    /// # Panics
    /// When the element count differs from the shape's product: a programmer error.
    pub fn new(shape: impl Into<Vec<usize>>, data: Vec<f32>) -> Self {
        let shape = shape.into();
        assert_eq!(shape.iter().product::<usize>(), data.len(), "shape {shape:?}");
        Self { shape, data }
    }

    /// Zeros.
    pub fn zeros(shape: impl Into<Vec<usize>>) -> Self {
        let shape = shape.into();
        let elements = shape.iter().product();
        Self { shape, data: vec![0.0; elements] }
    }

    /// Length of every axis.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Number of frames.
    pub fn frames(&self) -> usize {
        self.shape.first().copied().unwrap_or(1)
    }

    /// Elements of one frame.
    pub fn frame_elements(&self) -> usize {
        self.shape.iter().skip(1).product()
    }

    /// All elements, row-major.
    pub fn data(&self) -> &[f32] {
        &self.data
    }

    /// All elements, to be changed in place.
    pub fn data_mut(&mut self) -> &mut [f32] {
        &mut self.data
    }

    /// One frame's elements.
    ///
    /// # Panics
    /// When there is no such frame.
    pub fn frame(&self, index: usize) -> &[f32] {
        let elements = self.frame_elements();
        &self.data[index * elements..][..elements]
    }

    /// One frame's elements, to be changed in place.
    ///
    /// # Panics
    /// When there is no such frame.
    pub fn frame_mut(&mut self, index: usize) -> &mut [f32] {
        let elements = self.frame_elements();
        &mut self.data[index * elements..][..elements]
    }

    /// Frames `range` as an array of their own.
    ///
    /// # Panics
    /// When the range leaves the array.
    pub fn slice(&self, range: std::ops::Range<usize>) -> Self {
        let elements = self.frame_elements();
        let data = self.data[range.start * elements..range.end * elements].to_vec();
        let mut shape = self.shape.clone();
        shape[0] = range.len();
        Self { shape, data }
    }

    /// The frames of these numbers as an array of their own.
    ///
    /// # Panics
    /// When there is no such frame.
    pub fn select(&self, chosen: &[usize]) -> Self {
        let data = chosen.iter().flat_map(|&at| self.frame(at)).copied().collect();
        let mut shape = self.shape.clone();
        shape[0] = chosen.len();
        Self { shape, data }
    }

    /// Appends the frames of another array.
    ///
    /// # Panics
    /// When frames differ in shape.
    pub fn append(&mut self, other: &Self) {
        assert_eq!(self.shape[1..], other.shape[1..], "frames differ in shape");
        self.shape[0] += other.shape[0];
        self.data.extend_from_slice(&other.data);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_cut_and_joined() {
        let array = Array::new([3, 2], vec![0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        assert_eq!((array.frames(), array.frame_elements()), (3, 2));
        assert_eq!(array.frame(1), [2.0, 3.0]);
        let mut head = array.slice(0..1);
        head.append(&array.slice(1..3));
        assert_eq!(head, array);
        assert_eq!(array.select(&[2, 0]), Array::new([2, 2], vec![4.0, 5.0, 0.0, 1.0]));
    }
}
