//! `gradgate demo`: a drive without any file.

use crate::support::Bench;

#[test]
fn a_drive_is_judged_without_any_file() {
    let bench = Bench::new();
    let before = bench.names();
    let told = bench.good("demo");
    for part in
        ["unknown sign    ####", "known signs     ....", "MISSED", "anomalous frames stopped"]
    {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert_eq!(told, bench.good("demo --seed 0"), "a seed draws one drive");
    assert_ne!(told, bench.good("demo --seed 1"));
    assert_eq!(bench.names(), before, "nothing is written");
    let lines = bench.good("demo --json");
    let frames: Vec<serde_json::Value> =
        lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(frames.len(), 15 * 50);
    let share = |normal: bool| {
        let of: Vec<_> = frames.iter().filter(|frame| frame["normal"] == normal).collect();
        let stopped = of.iter().filter(|frame| frame["verdict"] != "PASS").count();
        stopped as f64 / of.len() as f64
    };
    // Frames of a drawn track are alike, so that a stretch may stop as a whole.
    assert!(share(true) < 0.1 && share(false) > 0.6, "{} {}", share(true), share(false));
    assert!(bench.bad("demo --seed x").contains("--seed"));
}
