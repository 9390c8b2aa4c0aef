//! A program with Carillon inside: a route of its own beside Carillon's, and a notification sent without HTTP.
//!
//! ```text
//! cargo run --example embed
//! curl -X POST http://127.0.0.1:8000/orders/7/ship        # then look at http://127.0.0.1:8000/?as=alice
//! ```

use axum::{
    Router,
    extract::{Path, State},
    http::StatusCode,
    routing::post,
};
use carillon::{
    app::Server,
    config::Config,
    http::{
        Api,
        calls::{Receivers, SendNotification},
    },
    protocol::{Tenant, UserId},
};
use serde_json::value::to_raw_value;
use std::{error::Error, sync::OnceLock};

/// Routes are given to the server before it starts, and its API is there once it has: this cell joins the two.
static CARILLON: OnceLock<Api> = OnceLock::new();

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut config = Config::default();
    config.server.dev = true; // this machine only, a key that everybody knows; a real program loads its settings
    if let Some(dir) = std::env::args().nth(1) {
        config.server.data_dir = dir.into();
    }

    let routes = Router::new().route("/orders/{order}/ship", post(ship)).with_state(&CARILLON);
    let server = Server::start(config, routes).await?;
    let _ = CARILLON.set(server.api().clone());
    println!("open http://{0}/?as=alice, then: curl -X POST http://{0}/orders/7/ship", server.address());

    // Drains, flushes and returns.
    server.run_until(async { tokio::signal::ctrl_c().await.unwrap_or_default() }).await?;
    Ok(())
}

/// Tells alice that her order is on its way. Returns once that is on disk.
async fn ship(
    State(carillon): State<&'static OnceLock<Api>>,
    Path(order): Path<u64>,
) -> Result<String, (StatusCode, String)> {
    let api = carillon.get().ok_or((StatusCode::SERVICE_UNAVAILABLE, "starting".to_owned()))?;
    let failed = |error: String| (StatusCode::INTERNAL_SERVER_ERROR, error);
    let notification = SendNotification {
        to: Receivers::One(UserId::new("1").map_err(|error| failed(error.to_string()))?),
        title: format!("Order {order} is on its way"),
        message: "It arrives tomorrow.".to_owned(),
        level: "success".to_owned(),
        data: to_raw_value(&serde_json::json!({"order": order})).map_err(|error| failed(error.to_string()))?,
    };
    let done = api.send_notification(&Tenant::default(), notification).await;
    let done = done.map_err(|error| failed(error.to_string()))?;
    Ok(format!("order {order} is shipped; {} windows saw it\n", done.recipients.count))
}
