//! Values as Django writes them, and as it should not.

use super::*;

fn read(reading: &Reading, text: &str) -> Result<ImportRecord, String> {
    let row = Row::parse(text)?;
    let kind = reading.kind_of(&row.model).ok_or("skipped")?;
    reading.record(kind, &row)
}

fn plain(text: &str) -> Result<ImportRecord, String> {
    read(&Reading::default(), text)
}

const NOTIFICATION: &str = r#"{"model": "inbox.notification", "pk": 7, "fields": {"user": 3, "title": "T", "message": "M",
    "level": "WARNING", "is_read": true, "created_at": "2024-03-01T10:00:00.250+01:00", "data": {"n": 1.50, "x": [1]}}}"#;

#[test]
fn a_notification_is_taken_over_digit_by_digit() {
    let expected = ImportNotification {
        key: 7,
        user: UserId::new("3").expect("an id"),
        title: "T".into(),
        message: "M".into(),
        level: "warning".into(),
        data: r#"{"n": 1.50, "x": [1]}"#.into(),
        is_read: true,
        created_at: Timestamp::parse("2024-03-01T09:00:00.25Z").expect("a time"),
    };
    assert_eq!(plain(NOTIFICATION), Ok(ImportRecord::Notification(expected)));
}

#[test]
fn other_names_of_fields_are_understood() {
    let text = r#"{"model": "n.Notification", "pk": 1, "fields": {"recipient": "ab-1", "subject": "T", "body": "", "type": "danger",
        "unread": false, "timestamp": "2024-03-01 10:00:00", "data": "{\"a\": 1}"}}"#;
    let reading = Reading { levels: vec![("danger".into(), "error".into())], ..Reading::default() };
    let Ok(ImportRecord::Notification(read)) = read(&reading, text) else { panic!("{:?}", read(&reading, text)) };
    assert_eq!((read.user.as_str(), &*read.level, read.is_read, &*read.data), ("ab-1", "error", true, r#"{"a": 1}"#));
    assert_eq!(read.created_at.to_string(), "2024-03-01T10:00:00.000000+00:00");
}

#[test]
fn users_and_presence_are_taken_over_without_what_is_secret() {
    let text = r#"{"model": "auth.user", "pk": 3, "fields": {"password": "pbkdf2$x", "username": "eve", "first_name": "E",
        "last_name": "V", "email": "e@example.org", "is_active": false, "is_staff": true, "groups": []}}"#;
    let Ok(record @ ImportRecord::User(_)) = plain(text) else { panic!("{:?}", plain(text)) };
    let json = record.to_json();
    assert!(!json.contains("pbkdf2") && !json.contains("example.org"), "{json}");
    assert!(json.contains(r#""is_active":false,"is_staff":true"#), "{json}");
    for presence in [r#""pk": 9, "fields": {"user": 3, "#, r#""pk": 3, "fields": {"#] {
        let text = format!(
            r#"{{"model": "chat.userpresence", {presence}"is_online": true, "last_seen": "2024-03-01T10:00:00Z", "last_activity": null}}}}"#
        );
        let Ok(ImportRecord::Presence(read)) = plain(&text) else { panic!("{:?}", plain(&text)) };
        assert_eq!((read.user.as_str(), read.last_activity), ("3", None));
    }
}

#[test]
fn what_is_wrong_is_said_with_what_would_be_right() {
    let with = |from: &str, to: &str| NOTIFICATION.replacen(from, to, 1);
    let long = with("\"T\"", &format!("\"{}\"", "x".repeat(201)));
    let large = with("\"M\"", &format!("\"{}\"", "x".repeat(17_000)));
    let deep = with("1.50", &format!("{}{}", "[".repeat(70), "]".repeat(70)));
    let table = [
        ("[]".to_owned(), "a record must be"),
        (r#"{"pk": 1, "fields": {}}"#.into(), "a record must be"),
        (with(r#""pk": 7"#, r#""pk": "0a3f""#), "pk is \"0a3f\": ids of notifications are integers"),
        (with(r#""pk": 7"#, r#""pk": 0"#), "from 1 to"),
        (with(r#""pk": 7,"#, ""), "pk is null"),
        (with(r#""user": 3,"#, ""), "\"user\" is missing"),
        (with(r#""user": 3"#, r#""user": ["eve"]"#), "without --natural-foreign"),
        (with(r#""user": 3"#, r#""user": -3"#), "\"user\":"),
        (with("\"T\"", "5"), "\"title\" must be a string, not 5"),
        (with("\"T\"", "\"\""), "1 to 200 characters, not 0"),
        (long, "1 to 200 characters, not 201"),
        (large, "bytes as sockets get it"),
        (deep, "nested too deep"),
        (with("WARNING", "danger"), "one of info, success, warning, error, not \"danger\""),
        (with("true", "1"), "\"is_read\" must be true or false, not 1"),
        (with("2024-03-01T10:00:00.250+01:00", "1 March"), "must be a time like"),
        (with(r#"{"n": 1.50, "x": [1]}"#, "[1]"), "data must be a JSON object, not [1]"),
        (with(r#"{"n": 1.50, "x": [1]}"#, r#""free text""#), "data is not JSON"),
        (with("1.50", r#""\ud800""#), "data is not JSON"),
        (with(r#""fields": {"#, r#""fields": 5, "x": {"#), "must be a JSON object"),
    ];
    for (text, said) in table {
        let error = plain(&text).expect_err(&text);
        assert!(error.contains(said), "{text}: {error}");
    }
}

#[test]
fn models_are_found_by_name_unless_they_are_named() {
    let usual = Reading::default();
    for (model, kind) in [
        ("auth.user", Some(Kind::User)),
        ("accounts.User", Some(Kind::User)),
        ("a.notification", Some(Kind::Notification)),
        ("a.userpresence", Some(Kind::Presence)),
        ("a.presence", Some(Kind::Presence)),
        ("a.notificationsetting", None),
        ("notification.setting", None),
        ("sessions.session", None),
    ] {
        assert_eq!(usual.kind_of(model), kind, "{model}");
    }
    let named = Reading { models: [Some("accounts.member".into()), None, None], ..Reading::default() };
    assert_eq!((named.kind_of("accounts.Member"), named.kind_of("auth.user")), (Some(Kind::User), None));
}
