//! Makes other people's words fit for our logs: what a token service writes into an error may echo a secret.

use zeroize::Zeroizing;

use super::form;
use crate::secret::Secret;

/// A run of token characters of this length is taken for a token; a UUID has 36.
const TOKEN_LENGTH: usize = 40;

/// What stands where a secret stood.
const REDACTED: &str = "[redacted]";

/// The texts that must not be shown, in every form that they are sent in.
#[derive(Clone, Debug, Default)]
pub struct Redactor(Vec<Secret>);

impl Redactor {
    /// Hides this text and its twins: encoded for a form and for a URL, and as a page of HTML shows it. An empty text
    /// hides nothing.
    pub fn hide(&mut self, secret: &Secret) {
        let text = secret.expose();
        if text.is_empty() {
            return;
        }
        let form = Zeroizing::new(form::encode(text));
        let url = Zeroizing::new(form.replace('+', "%20"));
        let html = Zeroizing::new(text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;"));
        let quoted = Zeroizing::new(html.replace('"', "&quot;").replace('\'', "&#39;"));
        let mut twins: Vec<&str> = vec![text, &form, &url, &html, &quoted];
        twins.sort_unstable();
        twins.dedup();
        self.0.extend(twins.into_iter().map(|twin| Secret::new(twin.to_owned())));
        // The longest first, so that no part of a longer one stays behind.
        self.0.sort_by_key(|secret| std::cmp::Reverse(secret.expose().len()));
    }

    /// Whether the text holds anything to hide.
    pub fn finds(&self, text: &str) -> bool {
        self.0.iter().any(|secret| text.contains(secret.expose())) || longest_run(text) >= TOKEN_LENGTH
    }

    /// The text on one line, without control characters, secrets, and what looks like a token; at most `limit` characters.
    pub fn clean(&self, text: &str, limit: usize) -> String {
        let mut text = text.to_owned();
        for secret in &self.0 {
            text = text.replace(secret.expose(), REDACTED);
        }
        let line: String = text.chars().map(|c| if is_printable(c) { c } else { ' ' }).collect();
        let words: Vec<_> = line.split_whitespace().map(without_tokens).collect();
        words.join(" ").chars().take(limit).collect()
    }
}

/// Printable, and no character that changes how its neighbours are shown.
fn is_printable(c: char) -> bool {
    !c.is_control()
        && !matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

fn is_token_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-_.~+/=%$".contains(c)
}

fn longest_run(text: &str) -> usize {
    text.split(|c| !is_token_character(c)).map(str::len).max().unwrap_or(0)
}

fn without_tokens(word: &str) -> String {
    word.split_inclusive(|c| !is_token_character(c))
        .map(|part| if longest_run(part) >= TOKEN_LENGTH { REDACTED } else { part })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redactor(secrets: &[&str]) -> Redactor {
        let mut redactor = Redactor::default();
        for secret in secrets {
            redactor.hide(&Secret::new((*secret).to_owned()));
        }
        redactor
    }

    #[test]
    fn hides_secrets_raw_and_encoded() {
        let redactor = redactor(&["a b+c", "", "hunter2", "hunter2-longer"]);
        assert_eq!(
            redactor.clean("bad 'a b+c' or a+b%2Bc, hunter2-longer!", 200),
            "bad '[redacted]' or [redacted], [redacted]!"
        );
        assert!(redactor.finds("xhunter2x") && !redactor.finds("invalid_client"));
    }

    #[test]
    fn hides_secrets_as_pages_and_urls_spell_them() {
        let redactor = redactor(&["p&s <w>\"q\"'d'"]);
        for echo in [
            "p&amp;s &lt;w&gt;\"q\"'d'",
            "p&amp;s &lt;w&gt;&quot;q&quot;&#39;d&#39;",
            "p%26s%20%3Cw%3E%22q%22%27d%27",
            "p%26s+%3Cw%3E%22q%22%27d%27",
        ] {
            assert_eq!(redactor.clean(&format!("not {echo}!"), 200), "not [redacted]!", "{echo}");
        }
    }

    #[test]
    fn hides_what_looks_like_a_token_and_keeps_trace_ids() {
        let token = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl";
        let text = format!("token={token}: trace 0f0e0d0c-0b0a-0908-0706-050403020100");
        assert_eq!(redactor(&[]).clean(&text, 200), "[redacted] trace 0f0e0d0c-0b0a-0908-0706-050403020100");
    }

    #[test]
    fn gives_one_short_printable_line() {
        assert_eq!(redactor(&[]).clean("a\r\nb\u{1b}[31m\u{202e}c   d", 200), "a b [31m c d");
        assert_eq!(redactor(&[]).clean(&"ä ".repeat(300), 5), "ä ä ä");
    }
}
