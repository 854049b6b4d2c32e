//! `--executor tract`: the same verdicts by tolerance, or a clear word where the build lacks it.

use crate::support::Bench;

#[cfg(not(feature = "tract"))]
#[test]
fn a_build_without_tract_says_so() {
    let bench = Bench::new();
    bench.bundle();
    for command in [
        "bench tiny.gate --executor tract",
        "run tiny.gate normal.bin --executor tract",
        "features tiny.onnx normal.bin -o new --executor tract",
    ] {
        let error = bench.bad(command);
        assert!(error.contains("--features tract"), "{command}: {error}");
    }
}

#[cfg(feature = "tract")]
mod built {
    use super::*;
    use serde_json::Value;

    fn lines(text: &str) -> Vec<Value> {
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn verdicts_agree_with_the_engine() {
        let bench = Bench::new();
        bench.bundle();
        let engine = lines(&bench.good("run tiny.gate normal.bin --json"));
        let tract = lines(&bench.good("run tiny.gate normal.bin --json --executor tract"));
        assert_eq!(engine.len(), tract.len());
        for (engine, tract) in engine.iter().zip(&tract) {
            assert_eq!(engine["class"], tract["class"], "{engine} {tract}");
            let score = |line: &Value| line["score"].as_f64().unwrap();
            let (ours, theirs) = (score(engine), score(tract));
            // As `SCORE_TOLERANCE` of the whole-path tests: levels rise steeply at near quantiles.
            assert!((ours - theirs).abs() <= 5e-2 * ours.abs().max(1.0), "{engine} {tract}");
        }
    }

    #[test]
    fn features_and_bench_name_the_executor() {
        let bench = Bench::new();
        bench.bundle();
        bench.good("features tiny.gate normal.bin -o new --executor tract");
        let file = bench.read("new");
        assert!(String::from_utf8_lossy(&file[..4096.min(file.len())]).contains("tract"));
        let text = bench.good("bench tiny.gate --executor tract --json");
        let figures: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(figures["executor"], "tract");
        assert!(figures["heap_bytes_max"].as_u64().is_some_and(|bytes| bytes > 0), "{text}");
        assert!(figures["forward_ms_min"].as_f64() <= figures["verdict_ms_min"].as_f64());
    }
}
