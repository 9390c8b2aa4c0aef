//! A page of the old stack, unchanged: `new WebSocket(url)` with a cookie or `?token=`, ids out of `dataset`, a
//! heartbeat everywhere. And what else a browser may say in its handshake, on every endpoint.

mod support;

use reqwest::header::{HeaderName, HeaderValue};
use serde_json::{Value, json};
use support::{ALICE, Api, Options, PATHS, ROOT, Server, Socket};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_tungstenite::tungstenite::{client::IntoClientRequest, handshake::client::Request};

/// A handshake as a browser makes it: no `Authorization`, always an `Origin`.
fn browser(server: &Server, path: &str, headers: &[(&str, &str)]) -> Request {
    let mut request = format!("ws://{}{path}", server.address()).into_client_request().expect("a URL");
    let own = format!("http://{}", server.address());
    let mut add = |name: &str, value: &str| {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
        request.headers_mut().append(name, HeaderValue::from_str(value).expect("ASCII"));
    };
    add("origin", &own);
    for (name, value) in headers {
        add(name, value);
    }
    request
}

/// The status of a handshake, and the subprotocol that was selected. Byte for byte, since a client library would judge
/// the answer itself.
async fn answer(request: Request) -> (u16, Option<String>) {
    let uri = request.uri();
    let mut text = format!("GET {} HTTP/1.1\r\n", uri.path_and_query().expect("a path"));
    for (name, value) in request.headers() {
        text += &format!("{name}: {}\r\n", value.to_str().expect("ASCII"));
    }
    text += "\r\n";
    let mut stream = TcpStream::connect(uri.authority().expect("an address").as_str()).await.expect("a connection");
    stream.write_all(text.as_bytes()).await.expect("sent");
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        head.push(stream.read_u8().await.expect("a whole head").into());
    }
    let status = head[9..12].parse().expect("a status");
    let selected = head.lines().filter_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("sec-websocket-protocol").then(|| value.to_owned())
    });
    let selected: Vec<_> = selected.collect();
    assert!(selected.len() <= 1, "{head}");
    (status, selected.into_iter().next())
}

/// What it is, its query and headers, the status, the selected subprotocol.
type Case<'a> = (&'a str, &'a str, Vec<(&'a str, &'a str)>, u16, Option<&'a str>);

#[tokio::test]
async fn a_page_is_let_in_by_cookie_query_or_subprotocol_and_is_selected_what_it_offered() {
    let server = Server::dev();
    let token = ROOT.token();
    let (cookie, query) = (format!("theme=dark; carillon_token={token}; sessionid=x"), format!("?token={token}"));
    let carried = format!("carillon.token.{token}");
    let v0_and_token = format!("carillon.v0, {carried}");
    let foreign_v0_token = format!("graphql-ws, {carried},carillon.v0 , chat");
    let cookie = ("cookie", cookie.as_str());
    let offer = "sec-websocket-protocol";
    let v0 = Some("carillon.v0");
    // What the page sends, what it is answered, and what is selected. Offered and not selected: a browser gives up.
    let table: [Case; 13] = [
        ("a cookie", "", vec![cookie], 101, None),
        ("a query", &query, vec![], 101, None),
        ("a query among others", &format!("?v=2&token={token}&t=1"), vec![], 101, None),
        ("a cookie and carillon.v0", "", vec![cookie, (offer, "carillon.v0")], 101, v0),
        ("a cookie and a foreign protocol", "", vec![cookie, (offer, "chat")], 101, None),
        ("a foreign protocol beside ours", "", vec![cookie, (offer, "chat, carillon.v0")], 101, v0),
        ("the same in two headers", "", vec![cookie, (offer, "chat"), (offer, "carillon.v0")], 101, v0),
        ("a token beside carillon.v0", "", vec![(offer, &v0_and_token)], 101, v0),
        ("the same among others", "", vec![(offer, &foreign_v0_token)], 101, v0),
        ("a token alone", "", vec![(offer, &carried)], 403, None),
        ("nothing", "", vec![], 403, None),
        ("another cookie", "", vec![("cookie", "sessionid=x")], 403, None),
        ("an empty query", "?token=", vec![], 403, None),
    ];
    for path in PATHS {
        for (what, query, headers, status, selected) in &table {
            let got = answer(browser(&server, &format!("{path}{query}"), headers)).await;
            assert_eq!((got.0, got.1.as_deref()), (*status, *selected), "{what} on {path}");
        }
    }
}

#[tokio::test]
async fn in_production_a_query_is_read_only_where_that_is_switched_on() {
    for (setting, status) in [("false", 403), ("true", 101)] {
        let key = format!(r#"[{{id = "dev", secret = "{}"}}]"#, "s".repeat(32));
        let options = Options::default().set("AUTH__QUERY_TOKEN", setting).set("AUTH__JWT", key).production();
        let server = options.set("AUTH__ALLOWED_ORIGINS", r#"["app.example.org"]"#).start();
        let token = ALICE.token_signed_with("dev", "s".repeat(32).as_bytes());
        let request = |headers: &[(&str, &str)], query: &str| {
            let mut request = browser(&server, &format!("/ws/dashboard/{query}"), headers);
            request.headers_mut().insert("origin", HeaderValue::from_static("https://app.example.org"));
            request
        };
        let query = format!("?token={token}");
        assert_eq!(answer(request(&[], &query)).await.0, status, "query_token = {setting}");
        let cookie = format!("carillon_token={token}");
        assert_eq!(answer(request(&[("cookie", &cookie)], "")).await.0, 101, "a cookie is always read");
    }
}

/// What the old page's script does on one endpoint: says nothing of itself, listens, beats.
async fn open(server: &Server, path: &str) -> (Socket, Vec<Value>) {
    let cookie = format!("carillon_token={}", ROOT.token());
    let request = browser(server, path, &[("cookie", &cookie)]);
    let mut socket = Socket::open(request, path, ROOT).await.expect("let in");
    let greeting = socket.skip_greeting().await;
    (socket, greeting)
}

async fn beat(api: &Api, socket: &mut Socket, path: &str) {
    // Hours of it, as far as the server can tell; each 30 s there.
    for nth in 0..20 {
        socket.send(&json!({"type": "heartbeat", "timestamp": 1_764_000_000_000_u64 + nth})).await;
        if path == "/ws/dashboard/" {
            let response = json!({"type": "heartbeat_response", "timestamp": 1_764_000_000_000_u64 + nth});
            socket.expect(response).await;
        }
    }
    socket.expect_nothing(api).await;
}

#[tokio::test]
async fn a_page_with_all_six_sockets_is_served_and_comes_back_after_a_reload() {
    let server = Server::dev();
    let api = server.api();
    let mut sockets = Vec::new();
    for path in PATHS {
        let (mut socket, greeting) = open(&server, path).await;
        let wanted: &[&str] = match path {
            "/ws/notifications/" => &["connection_established", "unread_count"],
            "/ws/presence/" => &["online_users", "user_online"],
            path if path.contains("admin") => &["admin_connection_established"],
            _ => &["connection_established"],
        };
        let types: Vec<_> = greeting.iter().map(|frame| frame["type"].as_str().expect("a type")).collect();
        assert_eq!(types, wanted, "{path}");
        beat(&api, &mut socket, path).await;
        sockets.push(socket);
    }
    // `event.target.dataset.notificationId` is a string, and so is what comes back.
    let notifications = &mut sockets[4];
    let id = api.notify("3", "t").await;
    assert_eq!(notifications.next().await["data"]["id"], id);
    notifications.expect(json!({"type": "unread_count", "count": 1})).await;
    let from_dataset = id.to_string();
    notifications.send(&json!({"type": "mark_as_read", "notification_id": from_dataset})).await;
    notifications.expect(json!({"type": "notification_marked_read", "notification_id": from_dataset})).await;
    assert_eq!(notifications.ask("request_notifications").await["data"][0]["is_read"], true);
    // What a page without a dataset sends: JSON.stringify leaves `undefined` out.
    notifications.send(&json!({"type": "mark_as_read"})).await;
    notifications.expect(json!({"type": "notification_marked_read", "notification_id": null})).await;
    // A reload: all are closed without a word, and come back.
    drop(sockets);
    for path in PATHS {
        let (mut socket, _) = open(&server, path).await;
        beat(&api, &mut socket, path).await;
    }
}
