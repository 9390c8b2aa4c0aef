//! What the backend says of a user outweighs what older tokens say, and goes on to when the user is erased.

mod support;

use serde_json::json;
use support::{Options, ROOT, Server, socket};

const ADMIN: &str = "/ws/dashboard/admin/";
const ORDINARY: &str = "/ws/notifications/";

async fn status(server: &Server, path: &str, token: &str) -> u16 {
    socket::status(socket::request(server.address(), path, Some(token))).await
}

#[tokio::test]
async fn staff_rights_that_were_taken_away_do_not_come_back_when_the_user_is_erased() {
    // Clocks may differ by a minute, so that this test has newer tokens without waiting for any.
    let mut server = Options::default().set("AUTH__LEEWAY_SECONDS", 60).start();
    let (old, new) = (ROOT.token(), ROOT.token_issued_in(30, 3_600));
    assert_eq!(status(&server, ADMIN, &old).await, 101);
    let demoted = json!({"username": "root", "is_staff": false});
    server.api().put("/users/3", &demoted).await.ok();
    assert_eq!(status(&server, ADMIN, &old).await, 403);
    for _ in 0..2 {
        server.api().delete("/users/3").await.ok();
        assert_eq!(status(&server, ADMIN, &old).await, 403, "erased");
        assert_eq!(status(&server, ORDINARY, &old).await, 101, "nothing else was taken away");
        assert_eq!(status(&server, ADMIN, &old).await, 403, "in the directory again, by that token");
    }
    server.api().delete("/users/3").await.ok();
    server.kill_and_restart();
    assert_eq!(status(&server, ADMIN, &old).await, 403, "after a restart");
    assert_eq!(status(&server, ADMIN, &new).await, 101, "the app says anew that it is staff");
}

#[tokio::test]
async fn who_was_locked_out_and_erased_is_not_let_in_by_an_old_token_when_the_backend_states_the_user_again() {
    let server = Options::default().set("AUTH__LEEWAY_SECONDS", 60).start();
    let (old, new) = (ROOT.token(), ROOT.token_issued_in(30, 3_600));
    assert_eq!(status(&server, ORDINARY, &old).await, 101);
    server.api().post("/users/3/disconnect", &json!({"revoke": true})).await.ok();
    server.api().delete("/users/3").await.ok();
    assert_eq!(server.api().get("/users/3").await.body["error"]["code"], "not_found");
    server.api().put("/users/3", &ROOT.profile()).await.ok();
    assert_eq!(status(&server, ORDINARY, &old).await, 403);
    assert_eq!(status(&server, ORDINARY, &new).await, 101);
}
