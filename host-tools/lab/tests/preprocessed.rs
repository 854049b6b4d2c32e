//! A classifier behind preprocessing: its values are those of prepared images, its gradient the
//! slope along pixels.

mod support;

use gradgate_frames::Preprocessing;
use gradgate_lab::preprocessed::Preprocessed;
use gradgate_lab::{Array, Classifier};
use support::{CLASSES, SHAPE, TwoLayers};

#[test]
fn gradients_are_slopes_along_pixels() {
    let text = "range=-1,1 order=bgr mean=0.1,0.2,0.3 std=0.5,0.6,0.7";
    let preprocessing: Preprocessing = text.parse().expect("parses");
    let classifier = Preprocessed::new(Box::new(TwoLayers::new()), preprocessing);
    let [channels, rows, columns] = SHAPE;
    let pixels: Vec<f32> = (0..48).map(|at| (at * 37 % 48) as f32 / 48.0).collect();
    let at = |pixels: &[f32]| {
        let images = Array::new([1, channels, rows, columns], pixels.to_vec());
        classifier.logits(&images).expect("logits").data().to_vec()
    };
    let by_hand: Vec<f32> = (0..48)
        .map(|at| {
            let (c, place) = (at / 16, at % 16);
            let x = pixels[(2 - c) * 16 + place] * 2.0 - 1.0;
            (x - [0.1, 0.2, 0.3][c]) / [0.5, 0.6, 0.7][c]
        })
        .collect();
    assert_eq!(at(&pixels), TwoLayers::new().logits_of(&by_hand));
    let wanted = [classifier.graph().logits.expect("logits")];
    let images = Array::new([1, channels, rows, columns], pixels.clone());
    let first = &mut |values: &[Array]| {
        let mut cotangent = Array::zeros(values[0].shape());
        cotangent.data_mut().chunks_exact_mut(CLASSES).for_each(|row| row[0] = 1.0);
        vec![cotangent]
    };
    let gradient = classifier.gradient(&images, &wanted, first).expect("a gradient");
    for place in [0, 17, 47] {
        // Logits are rounded to 2^-12, so the step is long and the bound wide.
        let moved = |step: f32| {
            let mut pixels = pixels.clone();
            pixels[place] += step;
            at(&pixels)[0]
        };
        let slope = (moved(0.02) - moved(-0.02)) / 0.04;
        let got = gradient.images.data()[place];
        assert!((got - slope).abs() < 0.05 * slope.abs() + 0.02, "{place}: {got}, not {slope}");
    }
}
