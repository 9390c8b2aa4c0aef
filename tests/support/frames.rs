//! Comparing frames: everything exactly, but timestamps by their form.

use serde_json::Value;

/// What stands for a timestamp of the right form.
pub const TIME: &str = "@time";

/// The value with every well-formed timestamp replaced by [`TIME`].
pub fn masked(value: Value) -> Value {
    match value {
        Value::String(text) if is_timestamp(&text) => Value::String(TIME.into()),
        Value::Array(items) => items.into_iter().map(masked).collect(),
        Value::Object(fields) => fields.into_iter().map(|(name, field)| (name, masked(field))).collect(),
        other => other,
    }
}

/// RFC 3339 with microseconds and `+00:00`, as the old stack wrote it.
pub fn is_timestamp(text: &str) -> bool {
    let form = "0000-00-00T00:00:00.000000+00:00";
    text.len() == form.len()
        && text
            .bytes()
            .zip(form.bytes())
            .all(|(got, want)| if want == b'0' { got.is_ascii_digit() } else { got == want })
}

/// Microseconds since 1970 of such a timestamp.
pub fn micros(text: &str) -> i64 {
    assert!(is_timestamp(text), "{text} is no timestamp");
    let number = |range: std::ops::Range<usize>| text[range].parse::<i64>().expect("digits");
    let (year, month, day) = (number(0..4), number(5..7), number(8..10));
    // Days since 1970, after Hinnant's `days_from_civil`.
    let y = if month <= 2 { year - 1 } else { year };
    let year_of_era = y.rem_euclid(400);
    let day_of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    let days =
        y.div_euclid(400) * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468;
    let seconds = days * 86_400 + number(11..13) * 3_600 + number(14..16) * 60 + number(17..19);
    seconds * 1_000_000 + number(20..26)
}
