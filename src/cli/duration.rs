//! Durations as people write them: `90s`, `15m`, `1h`, `7d`.

/// Ten years: longer than anything should be trusted.
const SECONDS_MAX: u64 = 3_650 * 86_400;

/// Whole seconds, at least one.
///
/// # Errors
/// A sentence that says what would be right.
pub(super) fn parse_seconds(text: &str) -> Result<u64, String> {
    let right = || "write a number and s, m, h or d, like 90s, 15m, 1h or 7d, at most 3650d".to_owned();
    let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(right()),
    };
    let count: u64 = digits.parse().map_err(|_| right())?;
    count.checked_mul(seconds).filter(|total| (1..=SECONDS_MAX).contains(total)).ok_or_else(right)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_number_and_a_unit() {
        for (text, seconds) in [("90s", 90), ("15m", 900), ("1h", 3_600), ("7d", 604_800), ("3650d", SECONDS_MAX)] {
            assert_eq!(parse_seconds(text), Ok(seconds), "{text}");
        }
        for text in ["", "h", "1", "0s", "-1h", "+1h", "1.5h", "1h30m", "1 h", "1H", "3651d", "99999999999999999999d"] {
            assert!(parse_seconds(text).is_err(), "{text}");
        }
    }
}
