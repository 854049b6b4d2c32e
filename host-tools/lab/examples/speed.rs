//! Times of one model on the CPU: `speed MODEL.onnx FRAMES`.
use gradgate_lab::{Array, Device, device};
use std::sync::Arc;
use std::time::Instant;
fn main() {
    let mut args = std::env::args().skip(1);
    let path = args.next().expect("MODEL.onnx");
    let frames: usize = args.next().map_or(64, |n| n.parse().expect("a number"));
    let imported =
        gradgate_graph::import::import_file(std::path::Path::new(&path), &Default::default())
            .expect("a model");
    let graph = Arc::new(imported.graph);
    let classifier = device::open(graph.clone(), Device::Cpu).expect("a classifier");
    let mut shape = graph.shape(graph.input.unwrap()).to_vec();
    shape[0] = frames;
    let n = shape.iter().product::<usize>();
    let images = Array::new(shape, (0..n).map(|i| (i % 255) as f32 / 255.0).collect());
    for _ in 0..4 {
        let start = Instant::now();
        classifier.logits(&images).unwrap();
        let forward = start.elapsed();
        let start = Instant::now();
        classifier
            .gradient(&images, &[graph.logits.unwrap()], &mut |v| {
                vec![Array::new(v[0].shape(), vec![1.0; v[0].data().len()])]
            })
            .unwrap();
        println!("{frames} frames: forward {forward:?}, gradient {:?}", start.elapsed());
    }
}
