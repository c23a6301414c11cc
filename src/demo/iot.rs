//! Leonardo IoT: the time series API of SAP IoT Application Enablement.
//!
//! Invariant: it answers only to a bearer token that its token service signed and that is not expired.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::call::{Answer, Call, allow, json as json_answer, not_found};
use super::jwt::since_epoch;
use super::xsuaa::{Client, Xsuaa};

/// The tenant's client.
pub(super) const CLIENT: Client = Client {
    id: "sb-f1c7a1e0-4f0c-4a3e-9d55-2f8f7f4b7a10!b40102|iotae_service!b940",
    service: "iotae_service!b940",
    scopes: &["uaa.resource", "iotae_service!b940.thing.r"],
};

/// A turbine measures once a minute; the last this many are answered.
const MEASUREMENTS: u64 = 5;
const EVERY: Duration = Duration::from_secs(60);

/// The API.
pub(super) struct LeonardoIot {
    token_service: Arc<Xsuaa>,
}

impl LeonardoIot {
    /// An API that takes the tokens of this service.
    pub(super) fn new(token_service: Arc<Xsuaa>) -> Self {
        Self { token_service }
    }

    /// Answers one request to the API.
    pub(super) fn answer(&self, call: &Call) -> Answer {
        if call.path != "/Timeseries/v1/Measurements" {
            return not_found(call);
        }
        if let Err(refusal) = self.token_service.check_bearer(call) {
            return *refusal;
        }
        if !matches!(call.method, Method::GET | Method::HEAD) {
            let body = json!({ "status": 405, "message": "The sandbox only reads measurements" });
            return allow(json_answer(StatusCode::METHOD_NOT_ALLOWED, &body), "GET, HEAD");
        }
        json_answer(StatusCode::OK, &measurements(SystemTime::now()))
    }
}

/// The shape in which the real API takes measurements: tags, and values by time.
fn measurements(now: SystemTime) -> Value {
    let minute = since_epoch(now).as_secs() / EVERY.as_secs();
    let values: Vec<Value> = (0..MEASUREMENTS)
        .map(|ago| {
            let at =
                SystemTime::UNIX_EPOCH + Duration::from_secs(minute.saturating_sub(ago) * EVERY.as_secs());
            // A slow wave, so that two looks differ and a plot of many looks like a machine.
            let phase = f64::from(u32::try_from(minute.saturating_sub(ago) % 360).unwrap_or(0)).to_radians();
            json!({
                "_time": humantime::format_rfc3339_seconds(at).to_string(),
                "Oil_Level": tenths(78.9 + 2.0 * phase.cos()),
                "Inflow_Temperature": tenths(47.3 + 5.0 * phase.sin()),
                "Bearing_Temperature": tenths(60.4 + 8.0 * (2.0 * phase).sin()),
            })
        })
        .collect();
    json!({
        "Tags": {
            "objectId": "384109E0F2534A6A382501",
            "equipmentId": "384109E0F2534A6A382501",
            "indicatorGroupId": "E10100304AEFE7A616005E02C64AE811",
            "modelId": "FC3BE38F63334009958761B997859710",
        },
        "Values": values,
    })
}

fn tenths(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}
