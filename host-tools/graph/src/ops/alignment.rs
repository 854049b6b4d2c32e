//! Cosine of a weight gradient and the reference direction of the predicted class.
//!
//! The direction is kept as rank-1 factors: u over output channels, v over inputs, for each channel
//! group of its own (a depthwise convolution's direction is then kept whole). With x the input, g
//! the cotangent of the output and c the predicted class,
//! `cos = sum over pixels and groups of (u_c . g) (v_c . x) / sqrt(norm)`, because the factors of a
//! class have length 1 together: the sum over groups of `|u|^2 |v|^2` is 1. A gradient of length 0
//! has cosine 0; whatever is not finite gives NaN. There is no gradient rule.

use super::{Conv, arity, conv, expect_shape};

/// Reference directions for so many logits: a single one tells two classes apart.
pub fn rows(classes: usize) -> usize {
    if classes == 1 { 2 } else { classes }
}

/// Shape rule: x, g, u `[rows, O]`, v `[rows, C, kh, kw]`, logits, norm.
pub fn conv_shape(conv: &Conv, s: &[&[usize]]) -> Result<Vec<usize>, String> {
    arity(s, 6, 6)?;
    let (&[_, channels, ..], &[_, out, ..]) = (s[0], s[1]) else {
        return Err("operands are not of rank 4".into());
    };
    let &[_, _, kh, kw] = s[3] else { return Err("v is not of rank 4".into()) };
    let weight = [out, channels / conv.groups.max(1), kh, kw];
    expect_shape("cotangent", s[1], &conv::shape(conv, &[s[0], &weight])?)?;
    let rows = self::rows(classes(s[4])?);
    expect_shape("u", s[2], &[rows, out])?;
    expect_shape("v", s[3], &[rows, channels, kh, kw])?;
    norm(s[5])
}

/// Shape rule: x `[1,..,K]`, g `[1,..,N]`, u `[rows, N]`, v `[rows, K]`, logits, norm.
pub fn gemm_shape(s: &[&[usize]]) -> Result<Vec<usize>, String> {
    arity(s, 6, 6)?;
    let (Some((k, x)), Some((n, g))) = (s[0].split_last(), s[1].split_last()) else {
        return Err("operand of rank 0".into());
    };
    expect_shape("cotangent without its last axis", g, x)?;
    let rows = self::rows(classes(s[4])?);
    expect_shape("u", s[2], &[rows, *n])?;
    expect_shape("v", s[3], &[rows, *k])?;
    norm(s[5])
}

fn classes(logits: &[usize]) -> Result<usize, String> {
    match logits {
        &[1, classes] => Ok(classes),
        _ => Err(format!("logits of shape {logits:?}")),
    }
}

fn norm(shape: &[usize]) -> Result<Vec<usize>, String> {
    expect_shape("norm", shape, &[1])?;
    Ok(vec![1])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interp::{Operand, evaluate};
    use crate::ops::Op;
    use crate::ops::check::Rng;

    /// Random values of a shape.
    struct Random(Vec<usize>, Vec<f64>);

    impl Random {
        fn new(rng: &mut Rng, shape: &[usize]) -> Self {
            let data = (0..shape.iter().product()).map(|_| rng.unit()).collect();
            Self(shape.to_vec(), data)
        }

        fn operand(&self) -> Operand<'_> {
            Operand { shape: &self.0, data: &self.1 }
        }
    }

    /// `<D, u v>` from the gradient itself, `[O, C/g, taps]`, and the factors of one class.
    fn product(d: &[f64], u: &[f64], v: &[f64], [out, inner, taps]: [usize; 3]) -> f64 {
        let groups = v.len() / (inner * taps);
        let each = out / groups;
        let mut sum = 0.0;
        for (o, row) in d.chunks(inner * taps).enumerate() {
            let v = &v[o / each * inner * taps..][..inner * taps];
            sum += u[o] * row.iter().zip(v).map(|(d, v)| d * v).sum::<f64>();
        }
        sum
    }

    /// Class, the operands u, v, logits and norm, and the op's result for them.
    fn outcome(op: &Op, x: &Random, g: &Random, rest: [&Random; 4]) -> f64 {
        let [u, v, logits, norm] = rest.map(Random::operand);
        let operands = [x.operand(), g.operand(), u, v, logits, norm];
        let shapes: Vec<&[usize]> = operands.iter().map(|o| o.shape).collect();
        let shape = match op {
            Op::ConvAlignment(conv) => conv_shape(conv, &shapes),
            _ => gemm_shape(&shapes),
        };
        assert_eq!(shape, Ok(vec![1]));
        evaluate(op, &operands, &[1])[0]
    }

    fn largest(logits: &[f64]) -> usize {
        if let &[single] = logits {
            return usize::from(single > 0.0);
        }
        let best = logits.iter().copied().fold(f64::MIN, f64::max);
        logits.iter().position(|&z| z == best).unwrap()
    }

    #[test]
    fn convolutions_equal_the_product_with_the_gradient_itself() {
        let mut rng = Rng(71);
        println!("seed 71");
        let mut tried = 0;
        while tried < 200 {
            let groups = rng.pick(&[1, 1, 2, 3]);
            let (inner, each) = (rng.range(1, 3), rng.range(1, 3));
            let conv = Conv {
                strides: [rng.range(1, 2), rng.range(1, 3)],
                pads: [rng.range(0, 2), rng.range(0, 1), rng.range(0, 1), rng.range(0, 2)],
                dilations: [rng.range(1, 2), rng.range(1, 2)],
                groups,
            };
            let image = [1, groups * inner, rng.range(1, 6), rng.range(1, 6)];
            let weight = [groups * each, inner, rng.range(1, 3), rng.range(1, 3)];
            let Ok(output) = conv::shape(&conv, &[&image, &weight]) else { continue };
            tried += 1;
            let (x, g) = (Random::new(&mut rng, &image), Random::new(&mut rng, &output));
            let classes = rng.range(1, 4);
            let rows = rows(classes);
            let u = Random::new(&mut rng, &[rows, output[1]]);
            let v = Random::new(&mut rng, &[rows, image[1], weight[2], weight[3]]);
            let logits = Random::new(&mut rng, &[1, classes]);
            let gradient =
                Op::ConvWeightGradient { conv: conv.clone(), kernel_hw: [weight[2], weight[3]] };
            let whole = [&[1], weight.as_slice()].concat();
            let d = evaluate(&gradient, &[x.operand(), g.operand()], &whole);
            let norm = Random(vec![1], vec![d.iter().map(|d| d * d).sum()]);
            let class = largest(&logits.1);
            let taps = weight[2] * weight[3];
            let row = |r: &Random| r.1[class * r.1.len() / rows..][..r.1.len() / rows].to_vec();
            let expected = product(&d, &row(&u), &row(&v), [weight[0], inner, taps]);
            let expected = if norm.1[0] == 0.0 { 0.0 } else { expected / norm.1[0].sqrt() };
            let found = outcome(&Op::ConvAlignment(conv), &x, &g, [&u, &v, &logits, &norm]);
            assert!((found - expected).abs() < 1e-12, "{tried}: {found} {expected}");
        }
    }

    #[test]
    fn products_equal_the_product_with_the_gradient_itself() {
        let mut rng = Rng(72);
        for _ in 0..100 {
            let (k, n, classes) = (rng.range(1, 5), rng.range(1, 5), rng.range(1, 4));
            let lead = if rng.range(0, 1) == 0 { vec![1] } else { vec![1, rng.range(1, 3)] };
            let of = |rng: &mut Rng, width| Random::new(rng, &[lead.as_slice(), &[width]].concat());
            let (x, g) = (of(&mut rng, k), of(&mut rng, n));
            let rows = rows(classes);
            let (u, v) = (Random::new(&mut rng, &[rows, n]), Random::new(&mut rng, &[rows, k]));
            let logits = Random::new(&mut rng, &[1, classes]);
            let gradient = Op::GemmWeightGradient { transpose_b: true };
            let d = evaluate(&gradient, &[x.operand(), g.operand()], &[1, n, k]);
            let norm = Random(vec![1], vec![d.iter().map(|d| d * d).sum()]);
            let class = largest(&logits.1);
            let (u_row, v_row) = (&u.1[class * n..][..n], &v.1[class * k..][..k]);
            let expected = product(&d, u_row, v_row, [n, k, 1]) / norm.1[0].sqrt();
            let found = outcome(&Op::GemmAlignment, &x, &g, [&u, &v, &logits, &norm]);
            assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        }
    }

    #[test]
    fn lengths_and_logits_that_say_nothing_are_never_hidden() {
        let one = |x: f64| Random(vec![1, 1], vec![x]);
        let (u, v) = (Random(vec![2, 1], vec![1.0, 1.0]), Random(vec![2, 1], vec![1.0, 0.5]));
        let cosine = |x, logit, norm| {
            let norm = Random(vec![1], vec![norm]);
            outcome(&Op::GemmAlignment, &one(x), &one(2.0), [&u, &v, &one(logit), &norm])
        };
        assert_eq!(cosine(2.0, -1.0, 16.0), 1.0);
        assert_eq!(cosine(2.0, 1.0, 16.0), 0.5);
        assert_eq!(cosine(0.0, -1.0, 0.0), 0.0);
        let (nan, infinite) = (f64::NAN, f64::INFINITY);
        for (x, logit, norm) in [
            (nan, -1.0, 16.0),
            (nan, -1.0, 0.0),
            (infinite, -1.0, 0.0),
            (2.0, nan, 16.0),
            (2.0, infinite, 16.0),
            (2.0, -1.0, nan),
            (2.0, -1.0, infinite),
        ] {
            assert!(cosine(x, logit, norm).is_nan(), "{x} {logit} {norm}");
        }
    }

    #[test]
    fn refuses_what_does_not_fit() {
        let shapes = |change: usize, to: &[usize]| {
            let mut s: Vec<Vec<usize>> =
                vec![vec![1, 4], vec![1, 3], vec![5, 3], vec![5, 4], vec![1, 5], vec![1]];
            s[change] = to.to_vec();
            let s: Vec<&[usize]> = s.iter().map(Vec::as_slice).collect();
            gemm_shape(&s).is_ok()
        };
        assert!(shapes(0, &[1, 4]));
        for (change, to) in [
            (0, &[1, 2, 4][..]),
            (1, &[1, 2]),
            (2, &[4, 3]),
            (3, &[5, 3]),
            (4, &[5]),
            (4, &[1, 1]),
            (5, &[2]),
        ] {
            assert!(!shapes(change, to), "{change} {to:?}");
        }
    }
}
