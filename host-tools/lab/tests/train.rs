//! Whole runs on small frames: resumed anywhere, they end alike.

use std::ops::ControlFlow;
use std::path::Path;

use gradgate_graph::import::{ImportOptions, import_file};
use gradgate_lab::train::{Recipe, Run, Trained};
use gradgate_lab::{Array, Device, LabError, device};

/// 8 x 8 pixels in two classes, light above or light below, with noise.
fn frames(folder: &Path, count: usize) {
    use gradgate_frames::{Frame, Pixels, write_images_safetensors};
    let mut random = gradgate_lab::random::Random::new(1, "frames", 0);
    let frames: Vec<Frame> = (0..count)
        .map(|index| {
            let label = index % 2;
            let pixel = |n: usize| {
                let light = (n / 24 < 4) == (label == 0);
                (random.below(100) + if light { 110 } else { 30 }) as u8
            };
            Frame {
                pixels: Pixels::U8((0..192).map(pixel).collect()),
                label: Some(label as i64),
                source: index as i64 / 4,
                name: String::new(),
                time_ns: None,
                picture: [8, 8],
            }
        })
        .collect();
    write_images_safetensors(&folder.join("train.safetensors"), &frames, [8, 8, 3])
        .expect("writes");
}

fn recipe() -> Recipe {
    Recipe::parse(
        "name = 'small'\nepochs = 3\nbatch = 16\nlabel_smoothing = 0.1\n\
         [network]\narchitecture = 'resnet8'\nclasses = 2\nimage = [3, 8, 8]\n\
         [data]\ntrain = ['train.safetensors']\ntest = ['train.safetensors']\nvalidation = 0.25\n\
         [schedule]\nrate = 0.05\nwarm_up = 1.0\n\
         [augmentation]\ncrop = 1\nflip = true\nbrightness = 0.1\nmixup = 0.2\n",
    )
    .expect("a recipe")
}

/// Trains until `stop` steps are made.
fn train(recipe: &Recipe, data: &Path, folder: &Path, stop: usize) -> (Run, Trained) {
    let mut run = Run::open(recipe.clone(), data, Device::Cpu, folder).expect("opens");
    let trained = run
        .train(&mut |progress| match progress.step >= stop {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        })
        .expect("trains");
    (run, trained)
}

fn bits(run: &Run) -> Vec<(String, Vec<u32>)> {
    let mut state = run.state().expect("a state");
    state.sort_by(|a, b| a.0.cmp(&b.0));
    let bits = |array: &Array| array.data().iter().map(|x| x.to_bits()).collect();
    state.iter().map(|(name, array)| (name.clone(), bits(array))).collect()
}

#[test]
fn a_run_resumed_anywhere_ends_with_the_same_bits() {
    let data = tempfile::tempdir().expect("a folder");
    frames(data.path(), 64);
    let whole = tempfile::tempdir().expect("a folder");
    let (run, trained) = train(&recipe(), data.path(), whole.path(), usize::MAX);
    assert_eq!(run.steps(), 9);
    let Trained::Finished(finished) = trained else { panic!("stopped") };
    let files = ["model.onnx", "card.toml", "curves.json", "curves.svg", "recipe.toml"];
    let contents = |folder: &Path| files.map(|name| std::fs::read(folder.join(name)).expect(name));
    for stops in [&[1][..], &[2, 5], &[3], &[8]] {
        let folder = tempfile::tempdir().expect("a folder");
        for &stop in stops {
            let (_, trained) = train(&recipe(), data.path(), folder.path(), stop);
            assert_eq!(trained, Trained::Stopped { step: stop });
        }
        let (resumed, _) = train(&recipe(), data.path(), folder.path(), usize::MAX);
        assert_eq!(bits(&resumed), bits(&run), "stopped at {stops:?}");
        assert_eq!(contents(folder.path()), contents(whole.path()), "stopped at {stops:?}");
    }
    // Killed after a checkpoint: steps made since are made again.
    let folder = tempfile::tempdir().expect("a folder");
    train(&recipe(), data.path(), folder.path(), 2);
    let checkpoint = folder.path().join("checkpoint.safetensors");
    let old = std::fs::read(&checkpoint).expect("reads");
    train(&recipe(), data.path(), folder.path(), 7);
    std::fs::write(&checkpoint, old).expect("writes");
    let (resumed, _) = train(&recipe(), data.path(), folder.path(), usize::MAX);
    assert_eq!(bits(&resumed), bits(&run), "killed");
    assert_eq!(finished.card.steps, 9);
    assert!(finished.card.test.as_ref().expect("a test part").accuracy > 0.9, "{finished:?}");
}

#[test]
fn the_model_file_is_the_network_that_was_trained() {
    let data = tempfile::tempdir().expect("a folder");
    frames(data.path(), 64);
    let folder = tempfile::tempdir().expect("a folder");
    let (run, trained) = train(&recipe(), data.path(), folder.path(), usize::MAX);
    let Trained::Finished(finished) = trained else { panic!("stopped") };
    let imported = import_file(&finished.model, &ImportOptions::default()).expect("imports");
    assert_eq!(imported.graph.parameters.len(), 34, "BatchNorm is kept");
    let classifier = device::open(std::sync::Arc::new(imported.graph), Device::Cpu).expect("opens");
    let test = &run.parts().test;
    let logits = classifier.logits(&test.images(0..test.len())).expect("logits");
    let right = |frame: usize| (logits.frame(frame)[1] > logits.frame(frame)[0]) as usize;
    let correct = (0..test.len()).filter(|&n| right(n) == test.labels[n]).count();
    assert_eq!(Some(correct), finished.card.test.map(|part| part.correct));
}

#[test]
fn a_model_from_a_file_is_trained_on() {
    let data = tempfile::tempdir().expect("a folder");
    frames(data.path(), 64);
    train(&recipe(), data.path(), &data.path().join("first"), usize::MAX);
    let mut tuned = recipe();
    tuned.network.architecture = None;
    tuned.network.model = Some("first/model.onnx".to_owned());
    tuned.schedule.rate = 0.001;
    let folder = data.path().join("second");
    let (run, _) = train(&tuned, data.path(), &folder, 1);
    assert_eq!(run.state().expect("a state").len(), 34 * 2 + 7 * 2);
    tuned.network.classes = 3;
    let error = Run::open(tuned, data.path(), Device::Cpu, &folder).err().expect("refused");
    assert!(error.to_string().contains("has 2 classes"), "{error}");
}

#[test]
fn what_cannot_go_on_is_refused_and_the_checkpoint_stays() {
    let data = tempfile::tempdir().expect("a folder");
    frames(data.path(), 64);
    let folder = tempfile::tempdir().expect("a folder");
    train(&recipe(), data.path(), folder.path(), 2);
    let open = |recipe: Recipe| Run::open(recipe, data.path(), Device::Cpu, folder.path());
    let error = open(Recipe { seed: 9, ..recipe() }).err().expect("another recipe").to_string();
    assert!(error.contains("another recipe"), "{error}");
    let mut wide = recipe();
    wide.network.image = [3, 12, 12];
    frames(data.path(), 60);
    let error = open(recipe()).err().expect("other frames").to_string();
    assert!(error.contains("other frames"), "{error}");

    let folder = tempfile::tempdir().expect("a folder");
    let mut wild = recipe();
    wild.schedule.rate = 1e30;
    wild.schedule.warm_up = 0.0;
    let mut run = Run::open(wild, data.path(), Device::Cpu, folder.path()).expect("opens");
    let error = run.train(&mut |_| ControlFlow::Continue(())).expect_err("diverges");
    assert!(matches!(error, LabError::NotFinite(_)), "{error}");
    assert!(error.to_string().contains("lower schedule.rate"), "{error}");
    assert!(!folder.path().join("checkpoint.safetensors").exists());

    let file = data.path().join("a-file");
    std::fs::write(&file, "x").expect("writes");
    let error = Run::open(recipe(), data.path(), Device::Cpu, &file).err().expect("no folder");
    assert!(error.to_string().contains("cannot write"), "{error}");
}
