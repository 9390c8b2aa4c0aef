//! How far a long command is: one line that moves on a terminal, a plain line now and then elsewhere.

use std::{
    io::{IsTerminal, Write},
    time::{Duration, Instant},
};

const ON_TERMINAL: Duration = Duration::from_millis(100);
const ELSEWHERE: Duration = Duration::from_secs(10);
const BAR_CHARS: usize = 24;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Bytes,
    Records,
}

/// Prints to standard error.
pub(super) struct Progress {
    doing: &'static str,
    unit: Unit,
    total: u64,
    begun: Instant,
    shown: Instant,
    is_terminal: bool,
}

impl Progress {
    pub(super) fn new(doing: &'static str, unit: Unit, total: u64) -> Self {
        let now = Instant::now();
        Self { doing, unit, total, begun: now, shown: now, is_terminal: std::io::stderr().is_terminal() }
    }

    /// So much is done; shown if the last showing is long enough ago.
    pub(super) fn at(&mut self, done: u64) {
        let pause = if self.is_terminal { ON_TERMINAL } else { ELSEWHERE };
        if self.shown.elapsed() >= pause {
            self.shown = Instant::now();
            self.show(&line(self.doing, self.unit, (done, self.total), self.begun.elapsed()));
        }
    }

    fn show(&self, line: &str) {
        let mut out = std::io::stderr();
        // Nobody is there to be told.
        let _ = if self.is_terminal { write!(out, "\r\x1b[K{line}") } else { writeln!(out, "{line}") };
        let _ = out.flush();
    }

    /// Makes room for other lines.
    pub(super) fn clear(&self) {
        if self.is_terminal {
            self.show("");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

/// `backup [=====>   ]  42 %  12.0 MiB of 28.4 MiB, 5.1 MiB/s, 3 s left`
fn line(doing: &str, unit: Unit, (done, total): (u64, u64), spent: Duration) -> String {
    let part = if total == 0 { 1.0 } else { (done as f64 / total as f64).min(1.0) };
    let rate = done as f64 / spent.as_secs_f64().max(0.001);
    let filled = (part * BAR_CHARS as f64) as usize;
    let left = total.saturating_sub(done) as f64 / rate.max(0.001);
    format!(
        "{doing} [{}{}] {:3.0} %  {} of {}, {}/s, {} left",
        "=".repeat(filled),
        " ".repeat(BAR_CHARS - filled),
        part * 100.0,
        amount(unit, done as f64),
        amount(unit, total as f64),
        amount(unit, rate),
        seconds(left),
    )
}

/// A number of the unit, short.
pub(super) fn amount(unit: Unit, number: f64) -> String {
    const MIB: f64 = 1_048_576.0;
    match unit {
        Unit::Bytes => format!("{:.1} MiB", number / MIB),
        Unit::Records => grouped(number),
    }
}

/// With commas between thousands.
fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (nth, digit) in digits.chars().enumerate() {
        if nth > 0 && (digits.len() - nth).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn seconds(left: f64) -> String {
    const LONG: f64 = 90.0;
    match left {
        left if left < LONG => format!("{left:.0} s"),
        left if left < LONG * 60.0 => format!("{:.0} min", left / 60.0),
        left => format!("{:.1} h", left / 3_600.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_far_how_fast_and_how_long_yet() {
        assert_eq!(
            line("import", Unit::Records, (25_000, 1_000_000), Duration::from_secs(1)),
            "import [                        ]   2 %  25,000 of 1,000,000, 25,000/s, 39 s left"
        );
        assert_eq!(
            line("backup", Unit::Bytes, (3 << 20, 3 << 20), Duration::from_secs(2)),
            "backup [========================] 100 %  3.0 MiB of 3.0 MiB, 1.5 MiB/s, 0 s left"
        );
        assert_eq!(seconds(600.0), "10 min");
    }
}
