//! Numbers with names and units; the median of several runs.

/// What one run measured, in the order in which it is shown.
#[derive(Default)]
pub(crate) struct Report(Vec<(String, f64, &'static str)>);

impl Report {
    /// One number. The unit stands beside it in the table and in the key of the JSON.
    pub(crate) fn add(&mut self, name: impl Into<String>, value: f64, unit: &'static str) {
        self.0.push((name.into(), value, unit));
    }
}

/// Prints the median of each number over all runs.
pub(crate) fn print(runs: &[Report], json: bool) {
    let Some(first) = runs.first() else { return };
    let median = |nth: usize| {
        let mut values: Vec<f64> = runs.iter().filter_map(|run| run.0.get(nth)).map(|(_, value, _)| *value).collect();
        percentile(&mut values, 50.0)
    };
    let rows = first.0.iter().enumerate().map(|(nth, (name, _, unit))| (name, median(nth), *unit));
    if json {
        let object: serde_json::Map<_, _> =
            rows.map(|(name, value, unit)| (format!("{name} [{unit}]"), value.into())).collect();
        println!("{}", serde_json::Value::Object(object));
        return;
    }
    for (name, value, unit) in rows {
        println!("{name:<58} {value:>14.2} {unit}");
    }
}

/// The value below which `p` percent lie (nearest rank); 0 of nothing.
pub(crate) fn percentile(values: &mut [f64], p: f64) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
    let at = (values.len() as f64 * p / 100.0).ceil() as usize;
    values.get(at.saturating_sub(1)).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let mut values = [5.0, 1.0, 3.0, 2.0, 4.0];
        for (p, want) in [(0.0, 1.0), (50.0, 3.0), (99.0, 5.0), (100.0, 5.0), (20.0, 1.0)] {
            assert_eq!(percentile(&mut values, p).to_bits(), f64::to_bits(want), "{p}");
        }
        assert_eq!(percentile(&mut [], 50.0).to_bits(), 0.0_f64.to_bits());
    }
}
