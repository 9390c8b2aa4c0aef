//! What the backend says of a user outweighs what older tokens say, and goes on to when the user is erased.

mod support;

use serde_json::json;
use support::{ROOT, Server, socket, until};

const ADMIN: &str = "/ws/dashboard/admin/";
const ORDINARY: &str = "/ws/notifications/";

async fn status(server: &Server, path: &str, token: &str) -> u16 {
    socket::status(socket::request(server.address(), path, Some(token))).await
}

#[tokio::test]
async fn staff_rights_that_were_taken_away_do_not_come_back_when_the_user_is_erased() {
    let mut server = Server::dev();
    let old = ROOT.token();
    assert_eq!(status(&server, ADMIN, &old).await, 101);
    let demoted = json!({"username": "root", "is_staff": false});
    server.api().put("/users/3", &demoted).await.ok();
    assert_eq!(status(&server, ADMIN, &old).await, 403);
    for _ in 0..2 {
        server.api().delete("/users/3").await.ok();
        assert_eq!(status(&server, ADMIN, &old).await, 403, "erased");
        assert_eq!(status(&server, ORDINARY, &old).await, 403, "what was issued before the erasure opens nothing");
        until("a newer token brings the user back", || newer_is_let_in(&server, ORDINARY)).await;
        assert_eq!(status(&server, ADMIN, &old).await, 403, "in the directory again, by a newer token");
    }
    server.api().delete("/users/3").await.ok();
    server.kill_and_restart();
    assert_eq!(status(&server, ADMIN, &old).await, 403, "after a restart");
    until("the app says anew that it is staff", || newer_is_let_in(&server, ADMIN)).await;
}

#[tokio::test]
async fn who_was_locked_out_and_erased_is_not_let_in_by_an_old_token_when_the_backend_states_the_user_again() {
    let server = Server::dev();
    let old = ROOT.token();
    assert_eq!(status(&server, ORDINARY, &old).await, 101);
    server.api().post("/users/3/disconnect", &json!({"revoke": true})).await.ok();
    server.api().delete("/users/3").await.ok();
    assert_eq!(server.api().get("/users/3").await.body["error"]["code"], "not_found");
    server.api().put("/users/3", &ROOT.profile()).await.ok();
    assert_eq!(status(&server, ORDINARY, &old).await, 403);
    until("a newer token counts", || newer_is_let_in(&server, ORDINARY)).await;
}

/// A token of this second counts once it is newer than what was done, whose second may be the same.
async fn newer_is_let_in(server: &Server, path: &str) -> Option<()> {
    (status(server, path, &ROOT.token()).await == 101).then_some(())
}
