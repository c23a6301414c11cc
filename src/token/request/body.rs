//! The body of a token request: a form, or a flat JSON object, written straight into one buffer that is wiped later.

use serde_json::{Map, Value};

use crate::config::profile::ContentType;
use crate::secret::Secret;
use crate::token::form;

/// Enough for nearly every token request, so that the buffer does not grow and leave copies of a secret behind.
pub(in crate::token) const ROOM: usize = 4096;

pub(super) struct Body {
    content_type: ContentType,
    text: String,
}

impl Body {
    pub(super) fn new(content_type: ContentType) -> Self {
        let mut text = String::with_capacity(ROOM);
        if content_type == ContentType::Json {
            text.push('{');
        }
        Self { content_type, text }
    }

    /// A member that is a string.
    pub(super) fn text(&mut self, key: &str, value: &str) {
        match self.content_type {
            ContentType::Form => {
                self.separate();
                form::encode_into(key, &mut self.text);
                self.text.push('=');
                form::encode_into(value, &mut self.text);
            }
            ContentType::Json => {
                self.key(key);
                self.string(value);
            }
        }
    }

    /// A member that is left out if it is empty.
    pub(super) fn optional(&mut self, key: &str, value: &Secret) {
        if !value.expose().is_empty() {
            self.text(key, value.expose());
        }
    }

    /// One value is a string; several repeat the key in a form, and are an array in JSON.
    pub(super) fn list(&mut self, key: &str, values: &[Secret]) {
        if self.content_type == ContentType::Form || values.len() == 1 {
            values.iter().for_each(|value| self.text(key, value.expose()));
            return;
        }
        self.key(key);
        self.text.push('[');
        for (index, value) in values.iter().enumerate() {
            if index > 0 {
                self.text.push(',');
            }
            self.string(value.expose());
        }
        self.text.push(']');
    }

    /// A member that is a JSON object; the body must be JSON.
    pub(super) fn object(&mut self, key: &str, object: &Map<String, Value>) {
        self.key(key);
        self.text.push_str(&Value::Object(object.clone()).to_string());
    }

    pub(super) fn finish(mut self) -> Secret {
        if self.content_type == ContentType::Json {
            self.text.push('}');
        }
        Secret::new(self.text)
    }

    fn separate(&mut self) {
        let (first, separator) = match self.content_type {
            ContentType::Form => (self.text.is_empty(), '&'),
            ContentType::Json => (self.text.ends_with('{'), ','),
        };
        if !first {
            self.text.push(separator);
        }
    }

    fn key(&mut self, key: &str) {
        self.separate();
        self.string(key);
        self.text.push(':');
    }

    fn string(&mut self, text: &str) {
        push_json_string(text, &mut self.text);
    }
}

/// Writes a JSON string (RFC 8259 §7).
pub(in crate::token) fn push_json_string(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() && c.is_ascii() => {
                let digit = |value: u32| char::from_digit(value, 16).unwrap_or('0');
                out.push_str("\\u00");
                out.extend([digit(u32::from(c) >> 4), digit(u32::from(c) & 15)]);
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_text_survives_json(key in any::<String>(), value in any::<String>()) {
            let mut body = Body::new(ContentType::Json);
            body.text(&key, &value);
            let parsed: Map<String, Value> = serde_json::from_str(body.finish().expose()).unwrap();
            prop_assert_eq!(parsed.get(&key).and_then(Value::as_str), Some(value.as_str()));
        }
    }
}
