//! The file comes back bit for bit; what does not fit is refused; bundle and file give the same
//! bits.

use gradgate_bundle::detector::{Detector, DetectorError, FeatureShape};
use gradgate_engine::detector::{DetectorView, check, evaluate};

use super::*;
use crate::FeatureSet;
use crate::features::FrameBuffer;
use crate::features::tests::synthetic;
use crate::fit::{Anomalous, HeadKind, fit};

fn fitted(kind: HeadKind) -> (FeatureSet, DetectorFile) {
    let normal = synthetic(600, 0.0, 1, 1);
    let other = Anomalous { name: "planted".into(), set: synthetic(200, 1.5, 2, 1) };
    let caution_rate = Some(0.3);
    let options = FitOptions {
        head: Some(kind),
        epochs: 20,
        resamples: 10,
        caution_rate,
        ..FitOptions::default()
    };
    let report = fit(&normal, &[other], &options).unwrap();
    (normal, report.detector)
}

/// The blobs' floats, as a device sees them.
fn floats(blobs: &[u8]) -> Vec<f32> {
    let (chunks, rest) = blobs.as_chunks::<4>();
    assert!(rest.is_empty());
    chunks.iter().map(|chunk| f32::from_le_bytes(*chunk)).collect()
}

fn view<'a>(
    detector: &Detector,
    network: &FeatureShape,
    pool: &'a [f32],
) -> Result<DetectorView<'a>, DetectorError> {
    DetectorView::new(detector, network, &mut |at| {
        let start = at.offset as usize / 4;
        pool.get(start..start.checked_add(at.elements as usize)?)
    })
}

#[test]
fn bundle_and_file_score_the_same_bits() {
    for (kind, name) in HeadKind::NAMES {
        let (normal, file) = fitted(kind);
        let back = DetectorFile::from_json(&file.to_json().unwrap()).unwrap();
        assert_eq!(back, file, "{name}");
        assert_eq!(back.digest().unwrap(), file.digest().unwrap());
        let frames: Vec<usize> = (0..normal.len()).collect();
        let scorer = Scorer::new(&file.detector, normal.shape()).unwrap();
        let wanted = scorer.judge(&normal, &frames).unwrap();
        // Something else lies in the blobs already, of an odd length.
        let mut blobs = vec![7u8; 37];
        let detector = back.to_bundle(&mut blobs);
        blobs.resize(blobs.len().next_multiple_of(4), 0);
        let pool = floats(&blobs);
        assert_eq!(detector.mean.offset % 16, 0);
        let view = view(&detector, &normal.shape(), &pool).unwrap();
        let mut scratch = vec![f32::NAN; detector.scratch_elements().unwrap()];
        let mut buffer = FrameBuffer::default();
        for (frame, wanted) in frames.iter().zip(wanted) {
            normal.load(*frame, &mut buffer);
            let got = evaluate(&view, &buffer.view(), &mut scratch).unwrap();
            assert_eq!(got.score.to_bits(), wanted.score.to_bits(), "{name} frame {frame}");
            assert_eq!(got, wanted);
        }
    }
}

#[test]
fn files_that_do_not_fit_are_refused() {
    let (_, file) = fitted(HeadKind::Composite);
    type Change = (&'static str, fn(&mut DetectorFile));
    let changes: [Change; 9] = [
        ("version 2", |f| f.format = 2),
        ("mean", |f| f.detector.mean.truncate(1)),
        ("inverse_std", |f| f.detector.inverse_std[0] = -1.0),
        ("mean", |f| f.fitted_for.parameters.truncate(1)),
        ("p_values", |f| f.detector.p_values.levels.truncate(1)),
        ("p_values", |f| f.detector.p_values.scores.reverse()),
        ("caution", |f| f.detector.caution = Some(f.detector.threshold + 1.0)),
        ("Empty", |f| f.detector.head = HeadArrays::Composite(Default::default())),
        ("confidence", |f| f.options.confidence = 1.5),
    ];
    for (wanted, change) in changes {
        let mut other = file.clone();
        change(&mut other);
        let error = DetectorFile::from_json(&other.to_json().unwrap()).unwrap_err().to_string();
        assert!(error.contains(wanted), "{wanted}: {error}");
    }
    let mut other = file.clone();
    other.detector.mean[0] = f32::NAN;
    assert!(other.to_json().is_err());
    let text = file.to_json().unwrap();
    let extra = text.replacen("{\"format\":1,", "{\"format\":1,\"surprise\":1,", 1);
    assert!(DetectorFile::from_json(&extra).unwrap_err().to_string().contains("surprise"));
    let future = text.replacen("{\"format\":1,", "{\"format\":7,\"surprise\":1,", 1);
    assert!(DetectorFile::from_json(&future).unwrap_err().to_string().contains("version 7"));
    assert!(DetectorFile::from_json("{}").is_err());
}

#[test]
fn every_array_length_is_checked_at_load() {
    for (kind, name) in HeadKind::NAMES {
        let (normal, file) = fitted(kind);
        let mut pool = vec![];
        let mut refs = vec![];
        let shape = normal.shape();
        file.detector.to_wire(shape, &mut |values| {
            let at = BlobRef { offset: 4 * pool.len() as u32, elements: values.len() as u32 };
            pool.extend_from_slice(values);
            refs.push(at);
            at
        });
        for broken in 0..refs.len() {
            for (elements, offset) in [(1, 0i64), (-1, 0), (0, 1 << 30)] {
                let mut index = 0;
                let detector = file.detector.to_wire(shape, &mut |_| {
                    let mut at = refs[index];
                    if index == broken {
                        at.elements = at.elements.wrapping_add_signed(elements);
                        at.offset = (i64::from(at.offset) + offset) as u32;
                    }
                    index += 1;
                    at
                });
                assert!(view(&detector, &shape, &pool).is_err(), "{name} {broken} {elements}");
            }
            let mut bad = pool.clone();
            bad[refs[broken].offset as usize / 4] = f32::NAN;
            let detector = wire(&file, &refs);
            assert!(view(&detector, &shape, &bad).is_err(), "{name} {broken} NaN");
            assert!(view(&detector, &shape, &pool).is_ok());
        }
        check_other_networks(&file, &refs, &pool, shape);
    }
}

fn wire(file: &DetectorFile, refs: &[BlobRef]) -> Detector {
    let mut next = refs.iter();
    file.detector.to_wire(file.fitted_for.shape(), &mut |_| *next.next().unwrap())
}

fn check_other_networks(file: &DetectorFile, refs: &[BlobRef], pool: &[f32], shape: FeatureShape) {
    let fits = |network: FeatureShape| view(&wire(file, refs), &network, pool).err();
    assert_eq!(fits(FeatureShape { classes: 5, ..shape }), Some(DetectorError::Shape));
    if file.detector.inputs.has(Inputs::NORM) {
        assert_eq!(fits(FeatureShape { norms: 7, ..shape }), Some(DetectorError::Shape));
    }
    for bad in [f32::NAN, f32::INFINITY] {
        let mut detector = wire(file, refs);
        detector.threshold = bad;
        let mut blob =
            |at: BlobRef| pool.get(at.offset as usize / 4..)?.get(..at.elements as usize);
        assert_eq!(check(&detector, &shape, &mut blob), Err(DetectorError::Value("threshold")));
        let mut detector = wire(file, refs);
        detector.caution = Some(bad);
        assert_eq!(check(&detector, &shape, &mut blob), Err(DetectorError::Value("caution")));
    }
    let mut detector = wire(file, refs);
    detector.inputs = Inputs(8);
    assert_eq!(view(&detector, &shape, pool).err(), Some(DetectorError::Inputs));
}

#[test]
fn features_of_another_kind_are_refused() {
    let (normal, file) = fitted(HeadKind::Energy);
    file.check_features(&normal.metadata).unwrap();
    let mut other = normal.metadata.clone();
    other.preprocessing = "range=-1,1".into();
    let text = file.check_features(&other).unwrap_err().to_string();
    assert!(text.contains("preprocessing") && text.contains("range=-1,1"), "{text}");
}

/// Every single input of every head, every bad value: no judgement, so never PASS.
#[test]
fn no_bad_value_gets_a_score() {
    for (kind, name) in HeadKind::NAMES {
        let (normal, file) = fitted(kind);
        let scorer = Scorer::new(&file.detector, normal.shape()).unwrap();
        let good = FeatureSet::concat(vec![normal]).unwrap();
        assert!(scorer.judge(&good, &[0]).is_ok());
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for at in 0..6 {
                let mut set = good.clone();
                set.squared_norms[at] = f64::from(bad);
                assert!(scorer.judge(&set, &[0]).is_err(), "{name} norm {at} {bad}");
            }
            for at in 0..3 {
                let mut set = good.clone();
                set.activation_norms[at] = f64::from(bad);
                assert!(scorer.judge(&set, &[0]).is_err(), "{name} activation {at} {bad}");
            }
            for at in 0..4 {
                let mut set = good.clone();
                set.logits[at] = bad;
                assert!(scorer.judge(&set, &[0]).is_err(), "{name} logit {at} {bad}");
            }
            for at in 0..8 {
                let mut set = good.clone();
                set.penultimate[at] = bad;
                assert!(scorer.judge(&set, &[0]).is_err(), "{name} penultimate {at} {bad}");
            }
        }
    }
}
