//! A detector as ONNX operators behind the features: the output `score` of `gradgate expand`.
//!
//! Same formulas as the engine's, in the runtime's own f32 order: equal within tolerance, not bit
//! for bit. Where the engine would report a fault (NaN, infinity), `score` is NaN or infinite.

use gradgate_detect::file::arrays::{
    CompositeArrays, EnergyNumbers, GaussianArrays, HeadArrays, MlpArrays, PrototypeArrays,
    TableArrays,
};
use gradgate_detect::{DetectorFile, Inputs};
use gradgate_graph::export::{Attribute, Builder, DetectorExport, ExportError, FeatureNames};

/// Squared norms below this count as this, as in the engine.
const SMALLEST_NORM: f32 = 1e-30;

/// Writes a detector file.
pub struct OnnxDetector<'a>(pub &'a DetectorFile);

impl DetectorExport for OnnxDetector<'_> {
    fn emit(&self, builder: &mut Builder, features: &FeatureNames) -> Result<String, ExportError> {
        let mut emitter = Emitter { file: self.0, features, builder };
        emitter.score()
    }
}

struct Emitter<'a> {
    file: &'a DetectorFile,
    features: &'a FeatureNames,
    builder: &'a mut Builder,
}

impl Emitter<'_> {
    fn score(&mut self) -> Result<String, ExportError> {
        match &self.file.detector.head {
            HeadArrays::Mlp(head) => {
                let x = self.inputs()?;
                Ok(self.mlp(head, &x))
            }
            HeadArrays::Gaussian(head) => {
                let x = self.inputs()?;
                self.gaussian(head, &x)
            }
            HeadArrays::Prototypes(head) => self.prototypes(head),
            HeadArrays::Energy(head) => self.energy_distance(*head),
            HeadArrays::Composite(head) => self.composite(head),
        }
    }

    /// Standardised inputs, `[1, n]`.
    fn inputs(&mut self) -> Result<String, ExportError> {
        let model = &self.file.detector;
        let mut parts = Vec::new();
        if model.inputs.has(Inputs::NORM) {
            parts.push(self.logarithms("squared_norms")?);
        }
        if model.inputs.has(Inputs::FORWARD) {
            if !self.file.fitted_for.layers.is_empty() {
                parts.push(self.logarithms("activation_norms")?);
            }
            parts.push(self.sorted_logits()?);
            parts.push(self.energy()?);
        }
        if model.inputs.has(Inputs::ALIGNMENT) {
            self.features.shape("alignments")?;
            parts.push("alignments".to_owned());
        }
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let raw = self.builder.node("Concat", &parts, &[("axis", 1_usize.into())]);
        let n = model.mean.len();
        let mean = self.builder.initializer_f32("mean", &[1, n], &model.mean);
        let inverse = self.builder.initializer_f32("inverse_std", &[1, n], &model.inverse_std);
        let centred = self.builder.node("Sub", &[&raw, &mean], &[]);
        Ok(self.builder.node("Mul", &[&centred, &inverse], &[]))
    }

    fn logarithms(&mut self, name: &str) -> Result<String, ExportError> {
        self.features.shape(name)?;
        let floor = self.builder.scalar(SMALLEST_NORM);
        // Max keeps NaN, as the engine's floor does.
        let floored = self.builder.node("Max", &[name, &floor], &[]);
        Ok(self.builder.node("Log", &[&floored], &[]))
    }

    fn sorted_logits(&mut self) -> Result<String, ExportError> {
        self.features.shape("logits")?;
        let count = self.file.fitted_for.shape().sorted_logits() as i64;
        let count = self.builder.initializer_i64(&[1], &[count]);
        let values = self.builder.fresh("sorted");
        let indices = self.builder.fresh("sorted_indices");
        let axis = ("axis", Attribute::Int(1));
        self.builder.node_into("TopK", &["logits", &count], &[axis], &[&values, &indices]);
        Ok(values)
    }

    /// `[1, 1]`
    fn energy(&mut self) -> Result<String, ExportError> {
        self.features.shape("logits")?;
        let (top, above) = self.log_sum_above();
        Ok(self.builder.node("Add", &[&top, &above], &[]))
    }

    /// The largest logit and `ln(sum exp(z - top))`, both `[1, 1]`.
    fn log_sum_above(&mut self) -> (String, String) {
        let one = self.builder.initializer_i64(&[1], &[1]);
        let top = self.builder.fresh("top");
        let place = self.builder.fresh("top_index");
        let axis = ("axis", Attribute::Int(1));
        // TopK instead of ReduceMax, whose axes are spelled differently from one opset to the next.
        self.builder.node_into("TopK", &["logits", &one], &[axis], &[&top, &place]);
        let shifted = self.builder.node("Sub", &["logits", &top], &[]);
        let powers = self.builder.node("Exp", &[&shifted], &[]);
        let sum = self.builder.reduce("ReduceSum", &powers, &[1], true);
        let above = self.builder.node("Log", &[&sum], &[]);
        (top, above)
    }

    /// Index of the predicted class, i64 `[1]`.
    fn class(&mut self) -> Result<String, ExportError> {
        if self.file.fitted_for.classes == 1 {
            let zero = self.builder.scalar(0.0);
            let above = self.builder.node("Greater", &["logits", &zero], &[]);
            // 7: INT64
            let number = self.builder.node("Cast", &[&above], &[("to", Attribute::Int(7))]);
            return Ok(self.builder.reshape(&number, &[1]));
        }
        self.features.shape("logits")?;
        let attributes = [("axis", Attribute::Int(1)), ("keepdims", Attribute::Int(0))];
        Ok(self.builder.node("ArgMax", &["logits"], &attributes))
    }

    fn mlp(&mut self, head: &MlpArrays, x: &str) -> String {
        let (hidden, n) = (head.hidden as usize, self.file.detector.mean.len());
        let w1 = self.builder.initializer_f32("w1", &[hidden, n], &head.w1);
        let b1 = self.builder.initializer_f32("b1", &[hidden], &head.b1);
        let w2 = self.builder.initializer_f32("w2", &[1, hidden], &head.w2);
        let b2 = self.builder.initializer_f32("b2", &[1], &[head.b2]);
        let transposed = [("transB", Attribute::Int(1))];
        let sum = self.builder.node("Gemm", &[x, &w1, &b1], &transposed);
        let active = self.builder.node("Relu", &[&sum], &[]);
        self.builder.node("Gemm", &[&active, &w2, &b2], &transposed)
    }

    fn gaussian(&mut self, head: &GaussianArrays, x: &str) -> Result<String, ExportError> {
        let n = self.file.detector.mean.len();
        let groups = self.file.fitted_for.shape().groups() as usize;
        let means = self.builder.initializer_f32("means", &[groups, n], &head.means);
        let class = self.class()?;
        let mean = self.builder.node("Gather", &[&means, &class], &[("axis", 0_usize.into())]);
        let difference = self.builder.node("Sub", &[x, &mean], &[]);
        let whitening = square(&head.whitening, n);
        let whitening = self.builder.initializer_f32("whitening", &[n, n], &whitening);
        let transposed = [("transB", Attribute::Int(1))];
        let whitened = self.builder.node("Gemm", &[&difference, &whitening], &transposed);
        Ok(self.builder.reduce("ReduceSumSquare", &whitened, &[1], true))
    }

    /// `[1, 1]`
    fn prototypes(&mut self, head: &PrototypeArrays) -> Result<String, ExportError> {
        self.features.shape("penultimate")?;
        let (groups, each) = (self.file.fitted_for.shape().groups() as usize, head.per_class);
        let length = self.file.fitted_for.penultimate as usize;
        let shape = [groups, each as usize, length];
        let vectors = self.builder.initializer_f32("prototypes", &shape, &head.vectors);
        let class = self.class()?;
        let own = self.builder.node("Gather", &[&vectors, &class], &[("axis", 0_usize.into())]);
        let own = self.builder.reshape(&own, &[each as usize, length]);
        let column = self.builder.reshape("penultimate", &[length, 1]);
        let products = self.builder.node("MatMul", &[&own, &column], &[]);
        let products = self.builder.reshape(&products, &[1, each as usize]);
        let vector = self.builder.reshape("penultimate", &[1, length]);
        let square = self.builder.reduce("ReduceSumSquare", &vector, &[1], true);
        // A vector without direction has cosine 0: its products vanish before the division.
        let floor = self.builder.scalar(SMALLEST_NORM);
        let directed = self.builder.node("Greater", &[&square, &floor], &[]);
        let floored = self.builder.node("Max", &[&square, &floor], &[]);
        let size = self.builder.node("Sqrt", &[&floored], &[]);
        let cosines = self.builder.node("Div", &[&products, &size], &[]);
        let zero = self.builder.scalar(0.0);
        let cosines = self.builder.node("Where", &[&directed, &cosines, &zero], &[]);
        let one = self.builder.initializer_i64(&[1], &[1]);
        let best = self.builder.fresh("best");
        let place = self.builder.fresh("best_index");
        let axis = ("axis", Attribute::Int(1));
        self.builder.node_into("TopK", &[&cosines, &one], &[axis], &[&best, &place]);
        let unit = self.builder.scalar(1.0);
        Ok(self.builder.node("Sub", &[&unit, &best], &[]))
    }

    /// `[1, 1]`
    fn energy_distance(&mut self, head: EnergyNumbers) -> Result<String, ExportError> {
        let energy = self.energy()?;
        let median = self.builder.scalar(head.median);
        let over = self.builder.node("Sub", &[&energy, &median], &[]);
        let under = self.builder.node("Sub", &[&median, &energy], &[]);
        let (above, below) = (self.builder.scalar(head.above), self.builder.scalar(head.below));
        let over = self.builder.node("Mul", &[&over, &above], &[]);
        let under = self.builder.node("Mul", &[&under, &below], &[]);
        Ok(self.builder.node("Max", &[&over, &under], &[]))
    }

    fn composite(&mut self, head: &CompositeArrays) -> Result<String, ExportError> {
        let mut levels = Vec::new();
        if let Some((part, table)) = &head.gaussian {
            let x = self.inputs()?;
            let score = self.gaussian(part, &x)?;
            levels.push(self.interpolate(table, &score));
        }
        if let Some((part, table)) = &head.prototypes {
            let score = self.prototypes(part)?;
            levels.push(self.interpolate(table, &score));
        }
        if let Some((part, table)) = &head.energy {
            let score = self.energy_distance(*part)?;
            levels.push(self.interpolate(table, &score));
        }
        if let Some(table) = &head.confidence {
            let score = self.doubt()?;
            levels.push(self.interpolate(table, &score));
        }
        let mut total = self.builder.scalar(0.0);
        for level in levels {
            total = self.builder.node("Add", &[&total, &level], &[]);
        }
        Ok(total)
    }

    /// Minus the logarithm of the largest softmax probability, `[1, 1]`.
    fn doubt(&mut self) -> Result<String, ExportError> {
        self.features.shape("logits")?;
        if self.file.fitted_for.classes > 1 {
            return Ok(self.doubt_of_many());
        }
        let magnitude = self.builder.node("Abs", &["logits"], &[]);
        let negative = self.builder.node("Neg", &[&magnitude], &[]);
        let power = self.builder.node("Exp", &[&negative], &[]);
        Ok(self.ln_above_one(&power))
    }

    /// `ln(1 + sum exp(z - top))` over all logits but the largest, `[1, 1]`.
    fn doubt_of_many(&mut self) -> String {
        let classes = self.file.fitted_for.classes as i64;
        let count = self.builder.initializer_i64(&[1], &[classes]);
        let (values, indices) = (self.builder.fresh("ranked"), self.builder.fresh("ranks"));
        let axis = ("axis", Attribute::Int(1));
        self.builder.node_into("TopK", &["logits", &count], &[axis], &[&values, &indices]);
        let [first, second, end] =
            [0, 1, classes].map(|place| self.builder.initializer_i64(&[1], &[place]));
        // Bounds and axis are lists of one, the axis is 1.
        let top = self.builder.node("Slice", &[&values, &first, &second, &second], &[]);
        let others = self.builder.node("Slice", &[&values, &second, &end, &second], &[]);
        let shifted = self.builder.node("Sub", &[&others, &top], &[]);
        let powers = self.builder.node("Exp", &[&shifted], &[]);
        let sum = self.builder.reduce("ReduceSum", &powers, &[1], true);
        self.ln_above_one(&sum)
    }

    /// `ln(1 + x)`, accurate for small x, too, as in the engine.
    fn ln_above_one(&mut self, x: &str) -> String {
        let one = self.builder.scalar(1.0);
        let sum = self.builder.node("Add", &[&one, x], &[]);
        let over = self.builder.node("Sub", &[&sum, &one], &[]);
        let ratio = self.builder.node("Div", &[x, &over], &[]);
        let logarithm = self.builder.node("Log", &[&sum], &[]);
        let value = self.builder.node("Mul", &[&logarithm, &ratio], &[]);
        let lost = self.builder.node("Equal", &[&sum, &one], &[]);
        self.builder.node("Where", &[&lost, x, &value], &[])
    }

    /// Level on the straight lines between the knots, constant outside: the first level plus each
    /// line's share, `sum_i rise_i * clip((score - knot_i) / width_i, 0, 1)`. `[1, 1]`
    fn interpolate(&mut self, table: &TableArrays, score: &str) -> String {
        let lines = table.scores.len().saturating_sub(1);
        let first = self.builder.scalar(table.levels.first().copied().unwrap_or(0.0));
        if lines == 0 {
            // Times zero, so that NaN survives.
            let zero = self.builder.scalar(0.0);
            let nothing = self.builder.node("Mul", &[score, &zero], &[]);
            return self.builder.node("Add", &[&first, &nothing], &[]);
        }
        let pairs =
            |values: &[f32]| -> Vec<f32> { values.windows(2).map(|w| w[1] - w[0]).collect() };
        let shape = [1, lines];
        let knots = self.builder.initializer_f32("knots", &shape, &table.scores[..lines]);
        let widths = self.builder.initializer_f32("widths", &shape, &pairs(&table.scores));
        let rises = self.builder.initializer_f32("rises", &shape, &pairs(&table.levels));
        let (zero, one) = (self.builder.scalar(0.0), self.builder.scalar(1.0));
        let offset = self.builder.node("Sub", &[score, &knots], &[]);
        let share = self.builder.node("Div", &[&offset, &widths], &[]);
        let share = self.builder.node("Clip", &[&share, &zero, &one], &[]);
        let parts = self.builder.node("Mul", &[&share, &rises], &[]);
        let sum = self.builder.reduce("ReduceSum", &parts, &[1], true);
        self.builder.node("Add", &[&first, &sum], &[])
    }
}

/// A lower triangle by rows as a full matrix.
fn square(triangle: &[f32], n: usize) -> Vec<f32> {
    let mut full = vec![0.0; n * n];
    let mut rest = triangle;
    for (row, place) in full.chunks_exact_mut(n.max(1)).enumerate() {
        let Some((values, after)) = rest.split_at_checked(row + 1) else { break };
        place[..values.len()].copy_from_slice(values);
        rest = after;
    }
    full
}

#[cfg(test)]
mod tests {
    #[test]
    fn triangles_become_squares() {
        assert_eq!(
            super::square(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 3),
            [1.0, 0.0, 0.0, 2.0, 3.0, 0.0, 4.0, 5.0, 6.0]
        );
    }
}
