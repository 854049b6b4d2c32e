//! A fixed sequence of telemetry, and what is seen of it.

use super::*;
use gradgate_link::message::Event;

fn judged(frame: u32, verdict: Verdict, score: f32) -> Telemetry {
    let reason = match verdict {
        Verdict::Pass => 0,
        Verdict::Block => 2,
        Verdict::Unknown => 1,
    };
    let time_us = 1_000_000 + u64::from(frame) * 100_000;
    Telemetry::Judged(Judged { frame, time_us, class: 3, verdict, reason, score, p_value: 0.5 })
}

fn status() -> Status {
    Status {
        time_us: 3_000_000,
        name: "dock-7".to_owned(),
        provisioned: true,
        key_id: [0; 8],
        boots: 2,
        reset: 1,
        open: false,
        reason: 2,
        enforce: true,
        threshold: 1.5,
        frame_period_us: 100_000,
        verdict_us: 42_000,
        rehashes: 5,
        stack_bytes: 16_384,
        stack_used: 4096,
    }
}

fn watched() -> Monitor {
    let mut monitor = Monitor::new("tcp://127.0.0.1:4444");
    monitor.met(Identity {
        board: "mps2-an500".to_owned(),
        firmware: "0.1.0".to_owned(),
        serial: [0xAB; 16],
        device_class: 3,
        container_version: 1,
        arena_bytes: 0,
        slot_bytes: 0,
        security_counter: 0,
    });
    let open = Status { open: true, reason: 0, ..status() };
    monitor.polled(open, Counters { passed: 9, link_bad: 1, ..Counters::default() });
    let frames = [
        judged(0, Verdict::Pass, 0.5),
        judged(1, Verdict::Pass, 1.0),
        judged(2, Verdict::Block, 4.0),
        judged(3, Verdict::Unknown, f32::NAN),
        judged(4, Verdict::Block, 3.0),
    ];
    frames.iter().zip(0..).for_each(|(told, number)| monitor.hear(number, told));
    // Two are lost before this one.
    monitor.hear(7, &Telemetry::Gate { time_us: 1_400_000, open: false, reason: 2 });
    monitor.hear(8, &Telemetry::Logged(Event { time_us: 1_400_100, code: 6, value: 2 }));
    let counters =
        Counters { passed: 11, blocked: 2, unknown: 1, closed: 1, ..Counters::default() };
    monitor.polled(status(), Counters { link_bad: 1, ..counters });
    monitor
}

#[test]
fn the_view_of_a_fixed_sequence() {
    let wanted = "\
dock-7  tcp://127.0.0.1:4444  mps2-an500 0.1.0  chip abababababa
gate      CLOSED (BLOCKS)  (enforce)

verdicts                                                   ..B?B
          newest at the right: . PASS, B BLOCK, ? UNKNOWN
4.000                                                        o

                                                               o


1.500     ------------------------------------------------------
                                                            o
0.500                                                      o
          o score, - threshold: above it is BLOCK

seen      5 verdicts, 12.5 a second: PASS 40.0 %, BLOCK 40.0 %,
          gate closed 1 times, 9000.0 an hour; telemetry lost 2,
device    up 3 s, 2 starts, the last for power; PASS 11 BLOCK 2
          verdict 42.0 ms of 100.0 ms, rehashes 5, stack 4096 of
          frames missed 0; link good 0 bad 1 refused 0, telemetr

1.400 s  gate CLOSED (BLOCKS)
1.400 s  log: gate closed (2)";
    let found = watched().view(64, 30);
    let trimmed: Vec<&str> = found.iter().map(|line| line.trim_end()).collect();
    assert_eq!(trimmed.join("\n"), wanted, "\n{}", trimmed.join("\n"));
    for (width, height) in [(0, 0), (1, 1), (5, 3), (500, 200)] {
        let lines = watched().view(width, height);
        assert!(lines.len() <= height && lines.iter().all(|line| line.chars().count() <= width));
    }
}

#[test]
fn plain_lines_and_json() {
    let monitor = watched();
    let rows = [
        (
            judged(2, Verdict::Block, 4.0),
            "      1.200 s  BLOCK    frame 2  class 3  score 4.0000  threshold 1.5000  p 0.500  \
             SHIFT",
            concat!(
                r#"{"class":3,"frame":2,"p_value":0.5,"reason":2,"score":4.0,"#,
                r#""time_us":1200000,"type":"verdict","verdict":"BLOCK"}"#
            ),
        ),
        (
            Telemetry::Gate { time_us: 1, open: true, reason: 0 },
            "      0.000 s  gate OPEN",
            r#"{"gate":"OPEN","reason":null,"time_us":1,"type":"gate"}"#,
        ),
        (
            Telemetry::Logged(Event { time_us: 0, code: 200, value: 5 }),
            "      0.000 s  log: code 200 (5)",
            r#"{"code":200,"time_us":0,"type":"log","value":5,"what":"code 200"}"#,
        ),
        (
            Telemetry::Dropped { count: 3 },
            "telemetry that the device dropped: 3",
            r#"{"count":3,"type":"dropped"}"#,
        ),
    ];
    for (telemetry, line, json) in rows {
        assert_eq!(monitor.line(&telemetry), line);
        assert_eq!(monitor.json(&telemetry), json);
    }
    let unknown = monitor.json(&judged(3, Verdict::Unknown, f32::NAN));
    assert!(unknown.contains("\"score\":null"), "{unknown}");
    let health = monitor.health_line();
    assert!(health.contains("gate BLOCKS, up 3 s, 2 starts (power)"), "{health}");
    assert!(monitor.health_json().contains("\"link_bad\":1"));
}

#[test]
fn losses_and_restarts_are_told() {
    let mut monitor = watched();
    monitor.lose("no answer in 8.0 s");
    monitor.lose("no answer in 8.0 s");
    let view = monitor.view(120, 40).join("\n");
    assert!(view.contains("LINK LOST no answer in 8.0 s"), "{view}");
    assert!(view.contains("link lost 1 times"), "{view}");
    assert!(monitor.health_json().contains("\"type\":\"lost\""));
    // It answers again after a restart: its clock is at its beginning, and time adds up.
    monitor.polled(status(), Counters::default());
    let Telemetry::Judged(first) = judged(0, Verdict::Pass, 0.1) else { panic!("a verdict") };
    for time_us in [50_000, 650_000] {
        monitor.hear(0, &Telemetry::Judged(Judged { time_us, ..first }));
    }
    assert!((monitor.hours() * 3600.0 - 1.0).abs() < 1e-9, "0.4 s before and 0.6 s after");
    assert_eq!(monitor.lost(), None);
}
