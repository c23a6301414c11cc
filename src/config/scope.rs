//! `scope:` as written: a text, a list, or an object, also as CPI exports it, an object in a text.
//!
//! Invariant: what a variable brings stays a string of its own; it never becomes JSON syntax.

use serde_json::{Map as JsonMap, Value as Json};

use super::SecretSource;
use super::form::{self, Kind};
use super::node::{Extent, Map, Origin, Scalar, Style, Value};
use super::profile::{ContentType, Scope};
use super::reader::{At, Broken, Read};
use crate::secret::Secret;

/// Reads a scope; a blank one is none.
pub(crate) fn scope(at: &At<'_>, content_type: Read<ContentType>, separator: &str) -> Read<Option<Scope>> {
    let scope = match &at.node.value {
        Value::Scalar(scalar) if scalar.is_null() || scalar.text().trim().is_empty() => return Ok(None),
        Value::Scalar(scalar) => from_text(at, scalar)?,
        Value::List(_) => Scope::Text(SecretSource::Literal(Secret::new(list(at, separator)?))),
        Value::Map(map) if is_form(map) => Scope::Text(form::source(at, Kind::Plain)?),
        Value::Map(map) => Scope::Object(object(at, map)?),
        Value::Broken => return Err(Broken),
    };
    if let (Scope::Object(_), Ok(ContentType::Form)) = (&scope, content_type) {
        return Err(at.error_hint(
            "a scope that is an object can only go out as JSON, and this profile sends a form",
            "set content_type: application/json",
        ));
    }
    Ok(Some(scope))
}

/// `{ env: X }` and its kin, which no known scope object looks like.
pub(crate) fn is_form(map: &Map) -> bool {
    match map.entries.as_slice() {
        [only] => matches!(only.key.as_str(), "env" | "file" | "systemd_credential"),
        [file, more] => file.key == "file" && more.key == "pointer",
        _ => false,
    }
}

fn list(at: &At<'_>, separator: &str) -> Read<String> {
    let items = at.items();
    let texts: Vec<Read<String>> = items
        .iter()
        .map(|item| {
            let text = item.text()?;
            if text.is_empty() || text.contains(char::is_whitespace) {
                return Err(item.error("each item of a scope list is one word"));
            }
            Ok(text)
        })
        .collect();
    let texts = texts.into_iter().collect::<Read<Vec<_>>>()?;
    if texts.is_empty() {
        return Err(at.error_hint("the list is empty", "leave `scope` out to ask for none"));
    }
    Ok(texts.join(separator))
}

fn from_text(at: &At<'_>, scalar: &Scalar) -> Read<Scope> {
    let starts_as_object = scalar.pieces.first().is_some_and(|piece| {
        !matches!(piece.origin, Origin::Variable(_)) && piece.text.trim_start().starts_with('{')
    });
    form::refuse_placeholder(at, scalar)?;
    if starts_as_object {
        return parse_object(scalar).map(Scope::Object).ok_or_else(|| {
            at.error_hint(
                "the scope begins with `{` but is not a JSON object",
                "a variable in it must stand inside the quotes of a string",
            )
        });
    }
    Ok(Scope::Text(form::source(at, Kind::Plain)?))
}

/// A JSON object in a text. A variable becomes one character while JSON is read, and its value afterwards.
fn parse_object(scalar: &Scalar) -> Option<JsonMap<String, Json>> {
    const FIRST: u32 = 0xF_0000;
    let private = |c: char| (0xF_0000..=0xF_FFFD).contains(&u32::from(c));
    let mut text = String::new();
    let mut values = Vec::new();
    for piece in &scalar.pieces {
        if matches!(piece.origin, Origin::Variable(_)) {
            text.push(char::from_u32(FIRST + u32::try_from(values.len()).ok()?).filter(|c| private(*c))?);
            values.push(piece.text.as_str());
        } else if piece.text.contains(private) {
            return None;
        } else {
            text.push_str(&piece.text);
        }
    }
    let Ok(Json::Object(mut map)) = serde_json::from_str(&text) else { return None };
    let fill = |text: &str| -> String {
        text.chars().fold(String::new(), |mut filled, c| {
            let value = u32::from(c).checked_sub(FIRST).and_then(|at| values.get(usize::try_from(at).ok()?));
            match value {
                Some(value) => filled.push_str(value),
                None => filled.push(c),
            }
            filled
        })
    };
    for value in map.values_mut() {
        fill_in(value, &fill);
    }
    map.keys().all(|key| !key.contains(private)).then_some(map)
}

fn fill_in(json: &mut Json, fill: &impl Fn(&str) -> String) {
    match json {
        Json::String(text) => *text = fill(text),
        Json::Array(items) => items.iter_mut().for_each(|item| fill_in(item, fill)),
        Json::Object(map) => map.values_mut().for_each(|value| fill_in(value, fill)),
        Json::Null | Json::Bool(_) | Json::Number(_) => {}
    }
}

/// A map as a JSON object, by the rules of a scope: what is written plain and JSON spells the same is that literal.
pub(crate) fn json_object(at: &At<'_>) -> Read<JsonMap<String, Json>> {
    match &at.node.value {
        Value::Map(map) => object(at, map),
        Value::Broken => Err(Broken),
        _ => Err(at.error("a map (`name: value`) is needed")),
    }
}

fn object(at: &At<'_>, map: &Map) -> Read<JsonMap<String, Json>> {
    if map.extent == Extent::Gaps {
        return Err(Broken);
    }
    if map.entries.is_empty() {
        return Err(at.error_hint("the object is empty", "leave `scope` out to ask for none"));
    }
    let below = at.entries()?;
    let values: Vec<Read<(String, Json)>> =
        below.iter().map(|entry| Ok((entry.key.to_owned(), value(entry)?))).collect();
    values.into_iter().collect()
}

fn value(at: &At<'_>) -> Read<Json> {
    match &at.node.value {
        Value::Scalar(scalar) => {
            form::refuse_placeholder(at, scalar)?;
            Ok(json_scalar(scalar))
        }
        Value::List(_) => at.items().iter().map(value).collect::<Read<Vec<_>>>().map(Json::Array),
        Value::Map(map) if is_form(map) => {
            let secret = form::source(at, Kind::Plain)?.read().map_err(|error| at.error(error.0))?;
            Ok(Json::String(secret.expose().to_owned()))
        }
        Value::Map(map) => object(at, map).map(Json::Object),
        Value::Broken => Err(Broken),
    }
}

/// A plain scalar that JSON spells the same is that literal; everything else is a string, as written.
pub(crate) fn json_scalar(scalar: &Scalar) -> Json {
    let text = scalar.text();
    let plain = scalar.style == Style::Plain && scalar.written_text().is_some();
    if plain {
        match serde_json::from_str::<Json>(&text) {
            Ok(json @ (Json::Null | Json::Bool(_) | Json::Number(_)))
                if json.to_string().as_str() == text =>
            {
                return json;
            }
            _ if scalar.is_null() => return Json::Null,
            _ => {}
        }
    }
    Json::String(text)
}

#[cfg(test)]
mod tests {
    use super::super::Environment;
    use super::super::expand::expand;
    use super::*;

    fn scalar(text: &str, style: Style, env: &[(&str, &str)]) -> Scalar {
        let env: Environment = env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Scalar { style, pieces: expand(text, &env).unwrap() }
    }

    #[test]
    fn plain_scalars_that_json_spells_the_same_stay_literals() {
        let json = |text| json_scalar(&scalar(text, Style::Plain, &[("N", "1")])).to_string();
        for literal in ["true", "null", "12.5", "7", "-3"] {
            assert_eq!(json(literal), literal);
        }
        for text in ["007", "1e3", "0x10", "no", "True", "12345678901234567890123"] {
            assert_eq!(json(text), format!("\"{text}\""));
        }
        assert_eq!(json("${N}"), "\"1\"");
        assert_eq!(json_scalar(&scalar("7", Style::Quoted, &[])).to_string(), "\"7\"");
    }

    #[test]
    fn a_variable_in_a_json_text_cannot_break_out() {
        let evil = "x\",\"userType\":\"admin";
        let object =
            parse_object(&scalar("{\"userId\": \"${U}\", \"n\": [\"${U}\"]}", Style::Quoted, &[("U", evil)]))
                .unwrap();
        assert_eq!(object["userId"], evil);
        assert_eq!(object["n"][0], evil);
        assert_eq!(object.len(), 2);
        assert!(parse_object(&scalar("{\"a\": ${U}}", Style::Quoted, &[("U", "1")])).is_none());
        assert!(parse_object(&scalar("{\"${U}\": 1}", Style::Quoted, &[("U", "1")])).is_none());
        assert!(parse_object(&scalar("{\"a\": 1", Style::Quoted, &[])).is_none());
    }

    proptest::proptest! {
        #[test]
        fn what_a_variable_brings_is_never_json(value in "[{}\\[\\]\":,a-z\\\\]{1,24}") {
            let text = scalar("{\"a\": \"${U}\"}", Style::Quoted, &[("U", &value)]);
            let object = parse_object(&text).unwrap();
            proptest::prop_assert_eq!(object.len(), 1);
            proptest::prop_assert_eq!(object["a"].as_str(), Some(value.as_str()));
        }
    }
}
