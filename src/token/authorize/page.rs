//! What a browser is shown at the loopback redirect: one sentence, without scripts, links or anything from elsewhere.

/// A page, with its status.
#[derive(Clone, Debug)]
pub(super) struct Page {
    status: u16,
    title: &'static str,
    text: String,
}

impl Page {
    /// It worked.
    pub(super) fn done(text: &str) -> Self {
        Self { status: 200, title: "Authorized", text: format!("{text} You can close this window.") }
    }

    /// It did not, and it is over.
    pub(super) fn failed(text: &str) -> Self {
        let text = format!("{text}. Run `sidepass authorize` again once that is put right.");
        Self { status: 400, title: "Not authorized", text }
    }

    /// This request is not for us.
    pub(super) fn refused(status: u16, text: &str) -> Self {
        Self { status, title: "Not understood", text: text.to_owned() }
    }

    /// As it goes over the wire; the connection ends behind it.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let (title, text) = (self.title, escape(&self.text));
        let body = format!(
            "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>sidepass: {title}</title>\
             <h1>{title}</h1><p>{text}</p></html>\n"
        );
        let reason = match self.status {
            200 => "OK",
            404 => "Not Found",
            405 => "Method Not Allowed",
            421 => "Misdirected Request",
            _ => "Bad Request",
        };
        // The address of this page holds the code: it must not be kept, nor told to anybody.
        format!(
            "HTTP/1.1 {} {reason}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\n\
             Cache-Control: no-store\r\nReferrer-Policy: no-referrer\r\nX-Content-Type-Options: nosniff\r\n\
             Content-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\nConnection: close\r\n\r\n{body}",
            self.status,
            body.len(),
        )
        .into_bytes()
    }
}

/// A text that stays text in HTML.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_service_says_stays_text() {
        let page = String::from_utf8(Page::failed("<script>alert('x')</script> & \"y\"").to_bytes()).unwrap();
        assert!(
            page.contains("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &amp; &quot;y&quot;"),
            "{page}"
        );
        let (head, body) = page.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())));
    }
}
