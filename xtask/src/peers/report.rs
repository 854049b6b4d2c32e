//! What was measured, as the text and tables of docs/performance.md.

use super::features::Scaling;
use super::ratio::{RATIOS, Spread, line};
use super::{Measured, Role, machine};
use crate::page::{heading, row};

/// Threads should bring this much to `features`, from one to two.
const FEATURES_GAIN: f64 = 1.9;

/// The whole generated part. `load` is what the machine had to do before.
pub fn generated(measured: &[Measured], scaling: Option<Scaling>, load: &str) -> String {
    let mut versions: Vec<&str> = measured
        .iter()
        .flat_map(|measured| &measured.peers)
        .map(|peer| peer.greeting.version.as_str())
        .collect();
    versions.sort_unstable();
    versions.dedup();
    let kernels = measured.iter().find_map(|m| m.peer(Role::Fast)?.greeting.kernels.clone());
    let kernels = kernels.map(|name| format!(", our kernels: {name}")).unwrap_or_default();
    let mut text = format!(
        "Command: `cargo xtask bench-peers`, {}.\n\n\
         Machine: {}{kernels}; load average before {load}, after {}.\n\n\
         Versions: {}; {}.\n",
        machine::commit(),
        machine::describe(),
        machine::load(),
        versions.join(", "),
        machine::compiler(),
    );
    text += &format!("\n{}", tables(measured));
    text += "\n| goal | limit | measured | |\n| --- | --- | --- | --- |\n";
    for ratio in &RATIOS {
        ratio.goals(measured).iter().for_each(|line| text += &format!("{line}\n"));
    }
    if let Some(Scaling { one, two, gain }) = scaling {
        let name = "`features`, resnet20, 1 thread / 2 threads";
        text += &format!("{}\n", line(name, "goal", ">=", FEATURES_GAIN, Some(gain)));
        text += &format!(
            "\n`gradgate features`, resnet20: {:.0} frames/s by one thread, {:.0} by two.\n",
            one.median, two.median
        );
    }
    text
}

/// Times, ratios and sizes, a network a row.
pub fn tables(measured: &[Measured]) -> String {
    let mut text = heading("ms a frame", &Role::ALL.map(Role::name));
    for measured in measured {
        let cells = Role::ALL.map(|role| {
            let spread = measured.peer(role).and_then(|peer| Spread::of(peer.rounds.clone()));
            spread.map(|spread| format!("{:.3} ({:.3})", spread.median, spread.min))
        });
        text += &row(measured.network.name, &cells);
    }
    text += &format!("\n{}", heading("ratio", &RATIOS.each_ref().map(|ratio| ratio.name)));
    for measured in measured {
        let cells = RATIOS.each_ref().map(|ratio| Some(ratio.of(measured)?.to_string()));
        text += &row(measured.network.name, &cells);
    }
    let columns = ["MACs forward", "MACs verdict", "arena bytes", "parameters", "rounds"];
    text += &format!("\n{}", heading("size", &columns));
    for measured in measured {
        let verdict = measured.peer(Role::Exact);
        let greeting = verdict.map(|peer| &peer.greeting);
        let macs = |role| Some(measured.peer(role)?.greeting.macs?.to_string());
        text += &row(
            measured.network.name,
            &[
                macs(Role::Forward),
                macs(Role::Exact),
                greeting.and_then(|greeting| Some(greeting.arena_bytes?.to_string())),
                greeting.map(|greeting| greeting.norms.len().to_string()),
                verdict.map(|peer| peer.rounds.len().to_string()),
            ],
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::{NETWORKS, Peer, agree::Greeting};
    use super::*;

    #[test]
    fn absent_peers_leave_a_dash() {
        let line = r#"{"version": "x 1", "logits": [1], "macs": 7, "arena_bytes": 4096}"#;
        let greeting = Greeting::parse(line).expect("a greeting");
        let peers = vec![Peer { role: Role::Exact, greeting, rounds: vec![2.0, 1.0] }];
        let text = tables(&[Measured { network: &NETWORKS[0], peers }]);
        assert!(text.contains("| resnet8 | - | - | - | - | 1.500 (1.000) | - | - |"), "{text}");
        assert!(text.contains("| resnet8 | - | 7 | 4096 | 0 | 2 |"), "{text}");
        assert!(text.lines().all(|line| line.is_empty() || line.starts_with('|')), "{text}");
    }
}
