//! `POST /batch`: up to 1,000 calls in one body, by the names of the backend's functions, answered in order.
//!
//! Each call succeeds or fails alone. All of them are started in order and then awaited: those that are stored share
//! one log entry or few; those that are only told are told at once, before the others are on disk.

use super::{functions, run::counting_ends};
use crate::{
    config::limits::BATCH_CALLS_MAX,
    http::{
        ApiError,
        answer::Answer,
        openapi::{Field, Kind, Operation},
        request::Request,
    },
};
use serde::Serialize;
use serde_json::value::RawValue;

/// `POST /batch`
pub(in crate::http) const BATCH: Operation = Operation::stores(
    "batch",
    "Up to 1,000 calls by the names of the backend's functions, answered in order. Each succeeds or fails alone.",
)
.takes(Kind::Arguments(&[Field::required(
    "calls",
    Kind::Many { of: &Kind::OneOf(&[functions::CALL, Kind::Any]), min: 0, max: BATCH_CALLS_MAX, distinct: false },
    "Anything that is no call is answered with an error of its own.",
)]))
.answers(
    200,
    Kind::Record(&[Field::required(
        "results",
        Kind::Many {
            of: &Kind::Record(&[
                Field::required("status", Kind::Integer { min: 200, max: 599 }, "As the call alone would be answered."),
                Field::required("body", Kind::Object, "As the call alone would be answered."),
                Field::optional(
                    "replayed",
                    Kind::Bool,
                    "`true` when this is the answer of the first call with this key.",
                ),
            ]),
            min: 0,
            max: BATCH_CALLS_MAX,
            distinct: false,
        },
        "In the order of the calls.",
    )]),
);

#[derive(Serialize)]
struct Results {
    results: Vec<One>,
}

#[derive(Serialize)]
struct One {
    status: u16,
    body: Box<RawValue>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    replayed: bool,
}

impl One {
    fn of(outcome: Result<Answer, ApiError>) -> Self {
        let (status, body, replayed) = match outcome {
            Ok(answer) => (answer.status, answer.body, answer.is_replay),
            Err(error) => (error.status().as_u16(), error.body(), false),
        };
        // Every answer is JSON.
        Self { status, body: RawValue::from_string(body).unwrap_or_default(), replayed }
    }
}

/// `POST /batch` `{calls: [{call, args}…]}` → `{results: [{status, body, replayed?}…]}`
pub(in crate::http) async fn batch(request: Request) -> Result<Answer, ApiError> {
    let mut object = request.object()?;
    let calls = object.array("calls")?;
    object.finish()?;
    let (api, tenant) = (&request.api, &request.tenant);
    let mut started = Vec::with_capacity(calls.len());
    for (place, call) in calls.iter().enumerate() {
        let key = request.retry.as_ref().map(|retry| retry.part(place));
        started.push(functions::read(call).and_then(|task| api.start(tenant, task, key)));
    }
    let mut settled = Vec::with_capacity(started.len());
    for one in started {
        settled.push(match one {
            Ok(started) => started.settle().await,
            Err(error) => Err(error),
        });
    }
    let (mut results, until) = (Vec::with_capacity(settled.len()), counting_ends());
    let mut last = None;
    for one in settled {
        let outcome = match one {
            Ok(settled) => crate::http::Api::finish(settled, until).await,
            Err(error) => Err(error),
        };
        last = last.max(outcome.as_ref().ok().and_then(|answer| answer.stored_at));
        results.push(One::of(outcome));
    }
    Ok(Answer::ok(&Results { results }).stored_at(last))
}
