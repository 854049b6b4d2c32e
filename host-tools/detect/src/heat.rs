//! Where in the picture a layer's gradient comes from.
//!
//! The gradient of a convolution's weight is a sum over output pixels of outer products
//! `g_p x_p^T`: cotangent of the pixel times the patch of the input under the kernel. The Frobenius
//! norm of one term is `|g_p| |x_p|`, activation norm times cotangent norm; this is the heat of
//! pixel p. Terms of several pixels may cancel in the sum, so a map says where a gradient is made,
//! not how large it is in the end.

use std::collections::HashMap;
use std::ops::Range;

use gradgate_bundle::Bundle;
use gradgate_bundle::header::names;
use gradgate_bundle::op::{ConvParams, NONE};
use gradgate_bundle::record::StepRecord;
use gradgate_bundle::shape::Parameters;
use gradgate_engine::{Engine, Frame, Written};

use crate::DetectError;

/// A convolution whose weight gradient is measured, and so can be mapped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeatLayer {
    /// Name of the weight in the feature schema.
    pub name: String,
    /// Its place among the squared gradient norms.
    pub feature: usize,
    /// Rows and columns of the map: those of the convolution's output.
    pub grid: [usize; 2],
    step: usize,
}

/// Heat of each output pixel of one convolution, in rows.
#[derive(Clone, Debug, PartialEq)]
pub struct HeatMap {
    /// Rows and columns.
    pub grid: [usize; 2],
    /// `|g_p| |x_p|`, at least 0, finite.
    pub values: Vec<f32>,
}

/// Operands of `ConvWeightNorm`, by their places in the record.
const X: usize = 0;
const G: usize = 1;
const SCALE: usize = 3;

/// Layers of a bundle that can be mapped, in the order of the schema: convolutions with more than
/// one output pixel whose weight norm is a feature.
pub fn heat_layers(bundle: &Bundle<'_>) -> Vec<HeatLayer> {
    let names: Vec<&str> = names(bundle.header().schema.parameters).collect();
    let layer = |(step, record): (usize, &StepRecord)| {
        let (conv, feature) = weight_norm(bundle, record)?;
        let grid = [conv.output[0], conv.output[1]].map(|side| usize::from(side.get()));
        let name = (*names.get(feature)?).to_owned();
        (grid != [1, 1]).then_some(HeatLayer { name, feature, grid, step })
    };
    let mut layers: Vec<HeatLayer> = bundle.steps().iter().enumerate().filter_map(layer).collect();
    layers.sort_by_key(|layer| layer.feature);
    layers
}

fn weight_norm<'a>(bundle: &Bundle<'a>, record: &StepRecord) -> Option<(&'a ConvParams, usize)> {
    match Parameters::of(bundle, record)? {
        Parameters::ConvWeightNorm(params) if params.weight.get() != NONE => {
            Some((&params.conv, usize::from(params.weight.get())))
        }
        _ => None,
    }
}

/// Runs a frame and maps one layer.
///
/// # Errors
/// A frame that does not fit the bundle; values that are not finite; a layer of another bundle.
pub fn heat_map(
    engine: &Engine<'_>,
    frame: Frame<'_>,
    layer: &HeatLayer,
) -> Result<HeatMap, DetectError> {
    let bundle = engine.bundle();
    let foreign = || DetectError::Data(format!("the bundle has no layer \"{}\"", layer.name));
    let record = bundle.steps().get(layer.step).ok_or_else(foreign)?;
    let (conv, _) = weight_norm(bundle, record).ok_or_else(foreign)?;
    let operands = operands_of(engine, frame, layer.step, record)?;
    let scale = bundle
        .tensors()
        .get(usize::from(record.operands[SCALE].get()))
        .and_then(|tensor| bundle.weights(tensor));
    let values = heat(conv, &operands, scale).ok_or_else(foreign)?;
    if values.iter().all(|value| value.is_finite()) {
        return Ok(HeatMap { grid: layer.grid, values });
    }
    let name = &layer.name;
    Err(DetectError::Data(format!("the map of \"{name}\" holds values that are not finite")))
}

/// Input and cotangent of a weight norm, as they were last written before it.
struct Operands {
    x: Vec<f32>,
    g: Vec<f32>,
}

fn operands_of(
    engine: &Engine<'_>,
    frame: Frame<'_>,
    last: usize,
    record: &StepRecord,
) -> Result<Operands, DetectError> {
    let wanted = [X, G].map(|place| record.operands[place].get());
    let steps = engine.bundle().steps();
    let mut seen: HashMap<u16, Vec<f32>> = HashMap::new();
    let mut arena = vec![0.0; engine.arena_elements()];
    let run = engine.run_observed(frame, &mut arena, |step, written, values| {
        if let (true, Written::Operand(place)) = (step < last, written) {
            let tensor = steps[step].operands[place].get();
            if wanted.contains(&tensor) {
                seen.insert(tensor, values.to_vec());
            }
        }
    });
    run.map_err(|error| DetectError::Data(error.to_string()))?;
    let take = |tensor: u16| seen.get(&tensor).cloned().unwrap_or_default();
    Ok(Operands { x: take(wanted[0]), g: take(wanted[1]) })
}

/// `None` where lengths and geometry do not fit.
fn heat(conv: &ConvParams, operands: &Operands, scale: Option<&[f32]>) -> Option<Vec<f32>> {
    let [rows, columns, channels] = conv.input.map(|side| usize::from(side.get()));
    let [out_rows, out_columns, out_channels] = conv.output.map(|side| usize::from(side.get()));
    let groups = usize::from(conv.groups.get());
    let x = squares(&operands.x, [rows * columns, channels, groups], None)?;
    let g = squares(&operands.g, [out_rows * out_columns, out_channels, groups], scale)?;
    let mut values = Vec::with_capacity(out_rows * out_columns);
    for row in 0..out_rows {
        for column in 0..out_columns {
            let mut patch = vec![0.0; groups];
            for y in taps(conv, 0, row, rows) {
                for at in taps(conv, 1, column, columns) {
                    let pixel = &x[(y * columns + at) * groups..][..groups];
                    patch.iter_mut().zip(pixel).for_each(|(sum, square)| *sum += square);
                }
            }
            let pixel = &g[(row * out_columns + column) * groups..][..groups];
            let square: f64 = pixel.iter().zip(&patch).map(|(g, x)| g * x).sum();
            values.push(square.sqrt() as f32);
        }
    }
    Some(values)
}

/// Squared norm of each pixel's channels, group by group, each channel times its scale before:
/// `[pixels][groups]`.
fn squares(
    values: &[f32],
    [pixels, channels, groups]: [usize; 3],
    scale: Option<&[f32]>,
) -> Option<Vec<f64>> {
    let factor = |channel: usize| scale.map_or(Some(1.0), |s| s.get(channel).copied());
    let factors: Vec<f64> =
        (0..channels).map(|channel| factor(channel).map(f64::from)).collect::<Option<_>>()?;
    let width = channels.checked_div(groups).filter(|width| *width > 0)?;
    let square = |(at, group): (usize, &[f32])| {
        let factors = &factors[at % groups * width..];
        group.iter().zip(factors).map(|(v, factor)| (f64::from(*v) * factor).powi(2)).sum()
    };
    (values.len() == pixels * channels)
        .then(|| values.chunks_exact(width).enumerate().map(square).collect())
}

/// Places along an axis of the input that the kernel reads for an output place.
fn taps(conv: &ConvParams, axis: usize, out: usize, length: usize) -> impl Iterator<Item = usize> {
    let [kernel, stride, dilation] =
        [conv.kernel[axis], conv.strides[axis], conv.dilations[axis]].map(|v| i64::from(v.get()));
    let first = out as i64 * stride - i64::from(conv.pads[axis].get());
    let inside: Range<i64> = 0..length as i64;
    (0..kernel)
        .map(move |tap| first + tap * dilation)
        .filter(move |at| inside.contains(at))
        .map(|at| at as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shipped;

    /// The whole gradient from the very operands that the map is made of, `[co][ky][kx][ci]`.
    fn weight_gradient(conv: &ConvParams, operands: &Operands, scale: Option<&[f32]>) -> Vec<f64> {
        let [rows, columns, channels] = conv.input.map(|side| usize::from(side.get()));
        let [out_rows, out_columns, outs] = conv.output.map(|side| usize::from(side.get()));
        let kernel = conv.kernel.map(|side| usize::from(side.get()));
        let mut sum = vec![0.0; outs * kernel[0] * kernel[1] * channels];
        let start = |axis: usize, out: usize| {
            (out * usize::from(conv.strides[axis].get())) as i64 - i64::from(conv.pads[axis].get())
        };
        for pixel in 0..out_rows * out_columns {
            let first = [start(0, pixel / out_columns), start(1, pixel % out_columns)];
            for (at, place) in sum.iter_mut().enumerate() {
                let (ci, rest) = (at % channels, at / channels);
                let (kx, rest) = (rest % kernel[1], rest / kernel[1]);
                let (ky, co) = (rest % kernel[0], rest / kernel[0]);
                let [y, x] = [first[0] + ky as i64, first[1] + kx as i64];
                if (0..rows as i64).contains(&y) && (0..columns as i64).contains(&x) {
                    let x = operands.x[(y as usize * columns + x as usize) * channels + ci];
                    let g = operands.g[pixel * outs + co] * scale.map_or(1.0, |scale| scale[co]);
                    *place += f64::from(x) * f64::from(g);
                }
            }
        }
        sum
    }

    #[test]
    fn operands_of_every_layer_give_its_feature_again() {
        let bytes = shipped::bundle();
        let engine = Engine::load(Bundle::parse(&bytes).unwrap()).unwrap();
        let (frame, _) = engine.bundle().self_test().unwrap();
        let mut arena = vec![0.0; engine.arena_elements()];
        let norms = engine.run(Frame::U8(frame), &mut arena).unwrap().squared_norms.to_vec();
        let layers = heat_layers(engine.bundle());
        assert_eq!(layers.len(), 9, "{layers:?}");
        for layer in &layers {
            let record = &engine.bundle().steps()[layer.step];
            let (conv, _) = weight_norm(engine.bundle(), record).unwrap();
            let operands = operands_of(&engine, Frame::U8(frame), layer.step, record).unwrap();
            let tensor = engine.bundle().tensors().get(usize::from(record.operands[SCALE].get()));
            let scale = tensor.and_then(|tensor| engine.bundle().weights(tensor));
            let gradient = weight_gradient(conv, &operands, scale);
            let square: f64 = gradient.iter().map(|v| v * v).sum();
            let wanted = f64::from(norms[layer.feature]);
            assert!((square / wanted - 1.0).abs() < 1e-3, "{}: {square} {wanted}", layer.name);
            // Norms of terms bound the norm of their sum.
            let map = heat_map(&engine, Frame::U8(frame), layer).unwrap();
            assert_eq!(map.values.len(), layer.grid[0] * layer.grid[1]);
            let sum: f64 = map.values.iter().map(|v| f64::from(*v)).sum();
            assert!(sum >= square.sqrt() * 0.999, "{}: {sum} {square}", layer.name);
        }
    }

    #[test]
    fn a_layer_of_another_bundle_is_refused() {
        let bytes = shipped::bundle();
        let engine = Engine::load(Bundle::parse(&bytes).unwrap()).unwrap();
        let (frame, _) = engine.bundle().self_test().unwrap();
        let layer = HeatLayer { name: "conv9".into(), feature: 0, grid: [8, 8], step: 0 };
        for step in [0, 10_000] {
            let layer = HeatLayer { step, ..layer.clone() };
            let error = heat_map(&engine, Frame::U8(frame), &layer).unwrap_err().to_string();
            assert!(error.contains("conv9"), "{error}");
        }
    }
}
