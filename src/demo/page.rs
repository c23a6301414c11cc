//! The demo app's pages: one layout, three results, no script and nothing from elsewhere.
//!
//! Invariant: whatever came from a caller or an API passes [`escape`] before it stands in the page.

use serde_json::{Value, json};

use super::client::Trouble;

/// The page loads nothing and sends its form only home; its style is its own.
pub(super) const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

const STYLE: &str = include_str!("page.css");

/// The tabs: path and label.
const TABS: [(&str, &str); 3] = [("/", "Chatbot"), ("/items", "Learning"), ("/measurements", "IoT")];

/// What to try, one utterance for each kind of answer.
const EXAMPLES: [&str; 4] =
    ["hello", "will it rain tomorrow?", "where is my order?", "colourless green ideas"];

/// The result of a plain request, or the words for why there is none.
type Outcome<'a> = Result<&'a Value, &'a Trouble>;

/// The form, and the intent of the utterance if one was sent.
pub(super) fn intent(url: &str, utterance: &str, outcome: Option<Outcome<'_>>) -> String {
    let shown = match outcome {
        None => String::new(),
        Some(Err(trouble)) => failure(trouble),
        Some(Ok(result)) => match result["intent"].as_str() {
            Some(slug) => {
                let percent = (result["confidence"].as_f64().unwrap_or(0.0) * 100.0).round();
                format!(
                    "<p class=\"say\">&ldquo;{}&rdquo;</p><p class=\"slug\">{}</p><p class=\"soft\">The bot is {percent} % sure.</p>",
                    escape(utterance),
                    escape(slug)
                )
            }
            None => format!(
                "<p class=\"say\">&ldquo;{}&rdquo;</p><p class=\"slug none\">no intent</p><p class=\"soft\">The bot did not understand that.</p>",
                escape(utterance)
            ),
        },
    };
    let examples: String = EXAMPLES
        .iter()
        .map(|text| format!("<li><a href=\"/?text={}\">{}</a></li>", text.replace(' ', "+"), escape(text)))
        .collect();
    let form = format!(
        "<form action=\"/\" method=\"get\" role=\"search\"><label for=\"text\">Say something to the bot</label>\
         <div class=\"line\"><input id=\"text\" name=\"text\" value=\"{}\" placeholder=\"hello\" maxlength=\"500\" \
         autocomplete=\"off\" required autofocus><button>Ask</button></div></form>\
         <ul class=\"try\" aria-label=\"Examples\">{examples}</ul>",
        escape(utterance)
    );
    let result = if shown.is_empty() { String::new() } else { card(&shown) };
    let said = if utterance.is_empty() { "hello" } else { utterance };
    let body = json!({ "text": said, "language": "en" }).to_string();
    let command =
        format!("curl {url} \\\n  -H 'Content-Type: application/json' \\\n  -d {}", shell_quote(&body));
    layout("/", "Which intent is it?", &format!("{form}{result}"), &command)
}

/// The items that Learning has.
pub(super) fn items(url: &str, outcome: Outcome<'_>) -> String {
    let columns = [("itemID", "Item"), ("itemTypeID", "Type"), ("itemTitle", "Title")];
    let shown = match outcome {
        Err(trouble) => failure(trouble),
        Ok(result) => table("What acme teaches", &columns, &result["value"]),
    };
    layout("/items", "What is there to learn?", &card(&shown), &format!("curl {url}"))
}

/// The last measurements of the turbine.
pub(super) fn measurements(url: &str, outcome: Outcome<'_>) -> String {
    let columns = [
        ("_time", "Time"),
        ("Oil_Level", "Oil level"),
        ("Inflow_Temperature", "Inflow \u{b0}C"),
        ("Bearing_Temperature", "Bearing \u{b0}C"),
    ];
    let shown = match outcome {
        Err(trouble) => failure(trouble),
        Ok(result) => table("A turbine, once a minute", &columns, &result["Values"]),
    };
    layout("/measurements", "How is the turbine?", &card(&shown), &format!("curl {url}"))
}

fn card(content: &str) -> String {
    format!("<section class=\"card\" role=\"status\">{content}</section>")
}

fn failure(trouble: &Trouble) -> String {
    let detail = trouble.detail.as_deref().map(|text| format!("<p class=\"soft\">{}</p>", escape(text)));
    format!("<p class=\"trouble\">{}</p>{}", escape(&trouble.headline), detail.unwrap_or_default())
}

fn table(caption: &str, columns: &[(&str, &str)], rows: &Value) -> String {
    let Some(rows) = rows.as_array() else {
        return "<p class=\"trouble\">The answer is not what this app understands</p>".to_owned();
    };
    let head: String =
        columns.iter().map(|(_, label)| format!("<th scope=\"col\">{}</th>", escape(label))).collect();
    let body: String = rows
        .iter()
        .map(|row| {
            let cells: String = columns.iter().map(|(key, _)| cell(&row[*key])).collect();
            format!("<tr>{cells}</tr>")
        })
        .collect();
    format!(
        "<div class=\"wide\"><table><caption>{}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>",
        escape(caption)
    )
}

fn cell(value: &Value) -> String {
    match value {
        Value::String(text) => format!("<td>{}</td>", escape(text)),
        Value::Null => "<td></td>".to_owned(),
        Value::Number(number) => format!("<td class=\"number\">{:.1}</td>", number.as_f64().unwrap_or(0.0)),
        other => format!("<td>{}</td>", escape(&other.to_string())),
    }
}

fn layout(path: &str, title: &str, content: &str, command: &str) -> String {
    let tabs: String = TABS
        .iter()
        .map(|(target, label)| {
            let current = if *target == path { " aria-current=\"page\"" } else { "" };
            format!("<a href=\"{target}\"{current}>{label}</a>")
        })
        .collect();
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>{title} &ndash; sidepass demo</title><style>{STYLE}</style></head><body>\
         <header><p class=\"brand\">The app that can&rsquo;t do OAuth</p><nav aria-label=\"Systems\">{tabs}</nav></header>\
         <main><h1>{title}</h1>{content}\
         <section class=\"how\"><h2>What this app sends</h2><pre tabindex=\"0\">{}</pre>\
         <p class=\"soft\">No token, no client secret: sidepass puts the token on while the request passes.</p></section></main>\
         </body></html>\n",
        escape(command)
    )
}

/// Text that may stand in HTML, in an element or in a quoted attribute.
fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

/// One word of a POSIX shell, so that the line shown can be pasted.
fn shell_quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;

    const EVIL: &str = "\"><script>alert('1')</script>&";

    #[test]
    fn whatever_comes_from_outside_is_escaped() {
        let result = json!({ "intent": EVIL, "confidence": 0.5 });
        let trouble =
            Trouble { status: StatusCode::BAD_GATEWAY, headline: EVIL.into(), detail: Some(EVIL.into()) };
        let rows = json!({ "value": [{ "itemID": EVIL, "itemTypeID": { "x": EVIL } }], "Values": [{ "_time": EVIL }] });
        for page in [
            intent("http://x", EVIL, Some(Ok(&result))),
            intent("http://x", EVIL, Some(Err(&trouble))),
            items("http://x", Ok(&rows)),
            measurements("http://x", Ok(&rows)),
            items(EVIL, Err(&trouble)),
        ] {
            assert!(!page.contains("<script") && !page.contains(EVIL), "{page}");
            assert!(page.contains("&lt;script&gt;"), "{page}");
        }
    }

    #[test]
    fn the_command_can_be_pasted_into_a_shell() {
        assert_eq!(shell_quote("it's"), r"'it'\''s'");
    }

    #[test]
    fn an_answer_of_another_shape_is_said_so() {
        assert!(items("http://x", Ok(&json!([]))).contains("not what this app understands"));
        assert!(intent("http://x", "hi", Some(Ok(&json!({ "intent": null })))).contains("no intent"));
    }
}
