//! Reference features from float64 automatic differentiation, beside the shared models.

use std::path::Path;

use safetensors::SafeTensors;

/// Frames with their logits and squared norms.
pub struct Reference {
    /// u8 frames in rows, columns, channels.
    pub frames: Vec<Vec<u8>>,
    /// The same in channels, rows, columns, divided by 255 in f64.
    pub images: Vec<Vec<f64>>,
    /// Per frame.
    pub logits: Vec<Vec<f64>>,
    /// Per frame, in the order of `parameters`.
    pub squared_norms: Vec<Vec<f64>>,
    /// Names of the columns.
    pub parameters: Vec<String>,
}

impl Reference {
    /// Reads a `*.reference.safetensors` file.
    ///
    /// # Panics
    /// When the file is not such a file.
    pub fn read(path: &Path) -> Self {
        let bytes = std::fs::read(path).expect("readable");
        let (_, metadata) = SafeTensors::read_metadata(&bytes).expect("safetensors");
        let names = metadata.metadata().as_ref().expect("metadata")["parameters"].clone();
        let file = SafeTensors::deserialize(&bytes).expect("safetensors");
        let images = file.tensor("images").expect("images");
        let [n, c, h, w] = *images.shape() else { panic!("images are not of rank 4") };
        let raw: Vec<&[u8]> = images.data().chunks(c * h * w).collect();
        assert_eq!(raw.len(), n);
        Self {
            frames: raw.iter().map(|frame| channels_last(frame, c)).collect(),
            images: raw.iter().map(|f| f.iter().map(|&x| f64::from(x) / 255.0).collect()).collect(),
            logits: rows(&file, "logits"),
            squared_norms: rows(&file, "squared_norms"),
            parameters: names.split(',').map(str::to_owned).collect(),
        }
    }
}

/// From channels, rows, columns to rows, columns, channels.
pub fn channels_last(frame: &[u8], channels: usize) -> Vec<u8> {
    let pixels = frame.len() / channels;
    (0..frame.len()).map(|i| frame[i % channels * pixels + i / channels]).collect()
}

fn rows(file: &SafeTensors<'_>, name: &str) -> Vec<Vec<f64>> {
    let tensor = file.tensor(name).expect("a tensor of the reference");
    let number = |bytes: &[u8]| f64::from_le_bytes(bytes.try_into().expect("8 bytes"));
    let all: Vec<f64> = tensor.data().chunks(8).map(number).collect();
    all.chunks(tensor.shape()[1]).map(<[f64]>::to_vec).collect()
}
