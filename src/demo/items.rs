//! Learning's item search: what a company teaches, as OData v4.
//!
//! Invariant: a query option that the sandbox does not know is refused, never ignored (OData v4 part 1, section 11.2.1).

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::call::{Answer, Call, allow, json as json_answer};

/// The item search of the real API.
pub(super) const PATH: &str = "/learning/odatav4/public/admin/searchItem/v1/Items";

/// The base path of the route's upstream (`LMS_API_URL`), and so no part of what an app asks for.
pub(super) const BASE: &str = "/learning";

/// What an app asks for, below its route's prefix.
pub(super) fn path_below_base() -> &'static str {
    PATH.trim_start_matches(BASE)
}

/// Id, type, title, revision (milliseconds since 1970).
const ITEMS: [(&str, &str, &str, u64); 4] = [
    ("COMP-101", "COURSE", "Code of Conduct", 1_767_225_600_000),
    ("SEC-204", "COURSE", "Handling Secrets & Tokens", 1_772_323_200_000),
    ("LEAD-310", "SEMINAR", "Leading Without Authority", 1_775_001_600_000),
    ("SAFE-007", "VIDEO", "Forklift Safety", 1_751_328_000_000),
];

/// Answers a request that has proved its right to the items.
pub(super) fn answer(call: &Call) -> Answer {
    if !matches!(call.method, Method::GET | Method::HEAD) {
        let answer = refuse(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", "Items can only be read");
        return allow(answer, "GET, HEAD");
    }
    let Some(pairs) = call.query_pairs() else {
        return refuse(StatusCode::BAD_REQUEST, "BAD_REQUEST", "The query is malformed");
    };
    let (mut top, mut count) = (ITEMS.len(), false);
    for (name, value) in &pairs {
        match (name.as_str(), value.as_str()) {
            ("$format", "json") => {}
            ("$count", "true") => count = true,
            ("$count", "false") => count = false,
            ("$top", number) => match number.parse::<usize>() {
                Ok(number) => top = number,
                Err(_) => return refuse(StatusCode::BAD_REQUEST, "BAD_REQUEST", "$top must be a number"),
            },
            _ => {
                let text = "The sandbox knows the query options $top, $count and $format=json";
                return refuse(StatusCode::NOT_IMPLEMENTED, "NOT_IMPLEMENTED", text);
            }
        }
    }
    json_answer(StatusCode::OK, &page(top, count))
}

fn page(top: usize, count: bool) -> Value {
    let value: Vec<Value> = ITEMS
        .iter()
        .take(top)
        .map(|(id, kind, title, revision)| {
            json!({
                "itemID": id,
                "itemTypeID": kind,
                "itemTitle": title,
                "revisionDate": revision,
                "sourceID": "ACME",
            })
        })
        .collect();
    let mut page = json!({ "@odata.context": "$metadata#Items", "value": value });
    if count {
        page["@odata.count"] = json!(ITEMS.len());
    }
    page
}

fn refuse(status: StatusCode, code: &str, message: &str) -> Answer {
    json_answer(status, &json!({ "error": { "code": code, "message": message } }))
}
