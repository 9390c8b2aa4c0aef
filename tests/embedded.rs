//! The server inside another program: its own routes, and the calls of the API without HTTP.

use carillon::{
    app::Server,
    config::Config,
    http::{
        ApiError,
        calls::{Broadcast, ChangeInbox, InboxChange, PutUser, Receivers, SendNotification, Update, UpdateKind},
    },
    protocol::{Tenant, UserId},
    records::Reply,
};
use serde_json::value::RawValue;
use tokio::sync::oneshot;

fn user(id: &str) -> UserId {
    UserId::new(id).expect("an id")
}

fn json(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.into()).expect("JSON")
}

fn hello(title: &str) -> SendNotification {
    SendNotification {
        to: Receivers::Many(vec![user("1"), user("2")]),
        title: title.into(),
        message: "m".into(),
        level: "info".into(),
        data: json("{}"),
    }
}

#[tokio::test]
async fn a_program_sends_without_http_and_serves_routes_of_its_own() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut config = Config::default();
    config.server.listen = ([127, 0, 0, 1], 0).into();
    config.server.data_dir = directory.path().join("data");
    config.drain.seconds = 0;
    let own = axum::Router::new()
        .route("/mine", axum::routing::get(|| async { "mine" }))
        .route("/api/v1/stats", axum::routing::get(|| async { "never" }));
    let server = Server::start(config, own).await.expect("started");
    let (api, address, tenant) = (server.api().clone(), server.address(), Tenant::default());
    let (stop, stopped) = oneshot::channel::<()>();
    let running = tokio::spawn(server.run_until(async {
        let _ = stopped.await;
    }));

    let get = async |path: &str| {
        let response = reqwest::get(format!("http://{address}{path}")).await.expect("answered");
        (response.status().as_u16(), response.text().await.expect("text"))
    };
    assert_eq!(get("/mine").await, (200, "mine".into()));
    assert_eq!(get("/api/v1/stats").await.0, 401, "Carillon's own path wins");

    let sent = api.send_notification(&tenant, hello("t")).await.expect("committed");
    let Reply::Created { notifications, .. } = sent.reply else { panic!("{sent:?}") };
    assert_eq!(notifications, [(user("1"), 1), (user("2"), 2)]);
    let read = ChangeInbox { user: user("1"), change: InboxChange::Read(1) };
    let read = api.change_inbox(&tenant, read).await.expect("committed");
    assert_eq!(read.reply, Reply::Inbox { found: true, changed: true, unread: 0 });
    let update = Update { kind: UpdateKind::Dashboard, user: user("1"), data: json(r#"{"a":1}"#) };
    api.update(&tenant, update).await.expect("committed");
    let told = Broadcast { message: "m".into(), level: "info".into(), groups: None };
    assert_eq!(api.broadcast(&tenant, told).await.expect("told").recipients.count, 0);

    // The same checks as over HTTP.
    let field = |error: ApiError| (error.status().as_u16(), error.field().map(str::to_owned));
    let refused = api.send_notification(&tenant, hello("")).await.expect_err("no title");
    assert_eq!(field(refused), (422, Some("title".into())));
    let update = Update { kind: UpdateKind::Dashboard, user: user("1"), data: json("[]") };
    assert_eq!(field(api.update(&tenant, update).await.expect_err("no object")), (422, Some("data".into())));
    let nobody = PutUser {
        user: user("1"),
        username: String::new(),
        first_name: None,
        last_name: None,
        is_active: None,
        is_staff: None,
    };
    assert_eq!(field(api.put_user(&tenant, nobody).await.expect_err("no name")), (422, Some("username".into())));

    stop.send(()).expect("still running");
    running.await.expect("no panic").expect("stopped");
}
