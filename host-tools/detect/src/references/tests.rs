//! Means and factors against plain sums; the file comes back and hostile ones are refused.

use super::*;
use crate::random::Random;

fn layers() -> Vec<LayerShape> {
    let layer = |parameter: &str, outputs, groups, inputs| LayerShape {
        parameter: parameter.into(),
        outputs,
        groups,
        inputs,
    };
    vec![layer("conv.weight", 6, 2, 9), layer("fc.weight", 3, 1, 4)]
}

/// Gradients around a direction of their class, of lengths that differ by orders of magnitude.
fn gradients(random: &mut Random, class: usize) -> Vec<Vec<f32>> {
    let size = (2.0 * random.normal()).exp();
    let gradient = |layer: LayerShape, random: &mut Random| {
        let shape = |at: usize| if (at + class).is_multiple_of(3) { 1.0 } else { -0.5 };
        let value = |at: usize| (size * (shape(at) + 0.3 * random.normal())) as f32;
        (0..layer.elements()).map(value).collect()
    };
    layers().into_iter().map(|layer| gradient(layer, random)).collect()
}

fn fitted() -> References {
    let mut random = Random::new(4, "references");
    let mut fit = ReferenceFit::new(layers(), 4);
    for class in [0, 0, 0, 1, 1, 3, 3, 3, 3] {
        fit.add(class, &gradients(&mut random, class)).unwrap();
    }
    let (layers, counts, _) = fit.finish().unwrap();
    let fitted_for = ReferencesFor {
        model_digest: "aa".into(),
        label: "ones".into(),
        preprocessing: "range=0,1".into(),
    };
    References { fitted_for, frames: "normal".into(), counts, seen: vec![7, -1, 3], layers }
}

#[test]
fn every_frame_weighs_the_same_and_a_class_without_frames_has_the_mean_of_all() {
    let mut random = Random::new(9, "references");
    let frames: Vec<(usize, Vec<Vec<f32>>)> =
        [0, 0, 2, 2, 2].map(|class| (class, gradients(&mut random, class))).to_vec();
    let mut fit = ReferenceFit::new(layers(), 3);
    frames.iter().for_each(|(class, gradients)| fit.add(*class, gradients).unwrap());
    let (references, counts, fits) = fit.finish().unwrap();
    assert_eq!(counts, [2, 0, 3]);
    for (layer, reference) in references.iter().enumerate() {
        let shape = &reference.shape;
        let mean = |class: usize| -> Vec<f64> {
            let members: Vec<&Vec<f32>> =
                frames.iter().filter(|(c, _)| *c == class).map(|(_, g)| &g[layer]).collect();
            let length = |g: &[f32]| g.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
            let at = |i: usize| {
                let parts = members.iter().map(|g| f64::from(g[i]) / length(g));
                parts.sum::<f64>() / members.len() as f64
            };
            (0..shape.elements()).map(at).collect()
        };
        let means = [mean(0), mean(2)];
        let common: Vec<f64> = means[0].iter().zip(&means[1]).map(|(a, b)| a + b).collect();
        for (class, mean) in [(0, &means[0]), (1, &common), (2, &means[1])] {
            let expected = rank_one(mean, shape.outputs, shape.groups).unwrap();
            let row = |x: &[f32], length: usize| x[class * length..][..length].to_vec();
            let wide = |x: &[f64]| x.iter().map(|x| *x as f32).collect::<Vec<f32>>();
            assert_eq!(row(&reference.u, shape.outputs), wide(&expected.u), "{class}");
            assert_eq!(row(&reference.v, shape.groups * shape.inputs), wide(&expected.v));
        }
        let fit = &fits[layer];
        assert!((0.5..=1.0).contains(&fit.agreement) && (0.5..=1.0).contains(&fit.kept), "{fit:?}");
    }
}

#[test]
fn gradients_that_cannot_be_used_are_refused() {
    let mut random = Random::new(1, "references");
    let good = gradients(&mut random, 1);
    let mut fit = ReferenceFit::new(layers(), 2);
    fit.add(1, &good).unwrap();
    assert!(fit.add(0, &good).is_err(), "out of order");
    assert!(fit.add(2, &good).is_err(), "no such class");
    assert!(fit.add(1, &good[..1]).is_err());
    let mut bad = good.clone();
    bad[1][2] = f32::NAN;
    let error = fit.add(1, &bad).unwrap_err().to_string();
    assert!(error.contains("fc.weight"), "{error}");
    let mut none = ReferenceFit::new(layers(), 2);
    let dead = vec![vec![0.0; 54], vec![1.0; 12]];
    none.add(0, &dead).unwrap();
    let error = none.finish().unwrap_err().to_string();
    assert!(error.contains("conv.weight"), "{error}");
}

#[test]
fn what_is_written_comes_back_and_equal_frames_give_equal_bytes() {
    let references = fitted();
    let bytes = references.to_bytes().unwrap();
    assert_eq!(References::from_bytes(&bytes).unwrap(), references);
    assert_eq!(fitted().to_bytes().unwrap(), bytes);
    let read = References::from_bytes(&bytes).unwrap();
    assert_eq!(read.digest().unwrap(), references.digest().unwrap());
}

#[test]
fn references_for_something_else_are_refused() {
    let references = fitted();
    let good = references.fitted_for.clone();
    references.check_for(&good).unwrap();
    type Change = (&'static str, fn(&mut ReferencesFor));
    let changes: [Change; 3] = [
        ("model", |f| f.model_digest = "bb".into()),
        ("label", |f| f.label = "zeros".into()),
        ("preprocessing", |f| f.preprocessing = "range=-1,1".into()),
    ];
    for (what, change) in changes {
        let mut other = good.clone();
        change(&mut other);
        let error = references.check_for(&other).unwrap_err().to_string();
        assert!(error.contains(what) && error.contains("gradgate references"), "{error}");
    }
}

#[test]
fn hostile_files_are_refused() {
    type Change = fn(&mut References);
    let changes: [Change; 9] = [
        |r| r.layers.clear(),
        |r| r.counts.truncate(1),
        |r| r.counts[2] = -1,
        |r| r.layers[0].u.truncate(5),
        |r| r.layers[1].v.push(0.0),
        |r| r.layers[1].v[0] = f32::NAN,
        |r| r.layers[0].u[3] = f32::INFINITY,
        |r| r.layers[0].shape.parameter = "a,b".into(),
        |r| r.layers[0].shape.inputs = usize::MAX,
    ];
    for (index, change) in changes.iter().enumerate() {
        let mut bad = fitted();
        change(&mut bad);
        assert!(bad.to_bytes().is_err(), "{index}");
    }
    let bytes = fitted().to_bytes().unwrap();
    let replaced = |from: &str, to: &str| {
        let at = bytes.windows(from.len()).position(|window| window == from.as_bytes());
        let at = at.unwrap_or_else(|| panic!("no {from} in the file"));
        let mut changed = bytes.clone();
        changed[at..at + from.len()].copy_from_slice(to.as_bytes());
        References::from_bytes(&changed).unwrap_err().to_string()
    };
    for (from, to, wanted) in [
        ("references 1", "references 2", "references 2"),
        ("\"label\"", "\"lobel\"", "\"label\" is missing"),
        ("\"counts\"", "\"caunts\"", "\"counts\" is missing"),
        ("\"fc.weight.u\"", "\"fc.weight.w\"", "\"fc.weight.u\" is missing"),
        ("\"groups\":\"2,1\"", "\"groups\":\"5,1\"", "do not divide"),
        ("\"groups\":\"2,1\"", "\"groups\":\"0,1\"", "do not divide"),
        ("\"groups\":\"2,1\"", "\"groups\":\"2;1\"", "differ in number"),
        ("\"shape\":[4,6]", "\"shape\":[3,8]", "does not fit 4 rows"),
    ] {
        let error = replaced(from, to);
        assert!(error.contains(wanted), "{wanted}: {error}");
    }
    let header = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    for length in [0, 7, 8, 100, header, bytes.len() - 1] {
        assert!(References::from_bytes(&bytes[..length]).is_err(), "{length}");
    }
    let mut nan = bytes.clone();
    let last = nan.len() - 4;
    nan[last..].copy_from_slice(&f32::NAN.to_le_bytes());
    assert!(References::from_bytes(&nan).is_err());
}
