//! How a route talks to its upstream, as written: protocol, upgrades, connections, timeouts.

use std::time::Duration;

use super::reader::{At, Fields, Keys, Read};
use super::route::{Http2, PoolConfig, Timeouts};
use super::suggest::fold;
use super::url::Scheme;

const TIMEOUTS: Keys = Keys {
    known: &["connect", "response_head", "body_idle", "total", "upgrade_idle"],
    aliases: &[
        ("proxy_connect_timeout", "connect"),
        ("connect_timeout", "connect"),
        ("read", "response_head"),
        ("response", "response_head"),
        ("request", "response_head"),
        ("proxy_read_timeout", "response_head"),
        ("read_timeout", "response_head"),
        ("response_header_timeout", "response_head"),
        ("idle", "body_idle"),
        ("send", "body_idle"),
        ("proxy_send_timeout", "body_idle"),
        ("stream_idle_timeout", "body_idle"),
        ("max", "total"),
        ("overall", "total"),
        ("deadline", "total"),
        ("max_stream_duration", "total"),
        ("request_timeout", "total"),
        ("tunnel", "upgrade_idle"),
        ("websocket", "upgrade_idle"),
        ("upgrade", "upgrade_idle"),
        ("pool_idle", "it stands under `pool`: pool: { idle_timeout: 15s }"),
        ("keepalive_timeout", "it stands under `pool`: pool: { idle_timeout: 15s }"),
    ],
};

const POOL: Keys = Keys {
    known: &["size", "idle_timeout", "max_age", "streams"],
    aliases: &[
        ("keepalive", "size"),
        ("max_idle", "size"),
        ("max_idle_connections", "size"),
        ("max_idle_conns_per_host", "size"),
        ("pool_size", "size"),
        ("connections", "size"),
        ("idle", "idle_timeout"),
        ("keepalive_timeout", "idle_timeout"),
        ("upstream_keepalive_idle_timeout", "idle_timeout"),
        ("keepalive_time", "max_age"),
        ("max_lifetime", "max_age"),
        ("max_connection_age", "max_age"),
        ("max_connection_duration", "max_age"),
        ("max_concurrent_streams", "streams"),
        ("max_streams", "streams"),
    ],
};

/// Reads `http2`. `true` means HTTP/2 in whichever way the scheme has: by ALPN in TLS, without asking in clear text.
pub(crate) fn http2(at: &At<'_>, scheme: Option<Scheme>) -> Read<Http2> {
    use Http2::{Auto, Off, PriorKnowledge};
    let wanted = if scheme == Some(Scheme::Http) { PriorKnowledge } else { Auto };
    let words = [
        ("auto", Auto),
        ("prior_knowledge", PriorKnowledge),
        ("off", Off),
        ("true", wanted),
        ("on", wanted),
        ("yes", wanted),
        ("h2", wanted),
        ("alpn", Auto),
        ("h2c", PriorKnowledge),
        ("always", PriorKnowledge),
        ("only", PriorKnowledge),
        ("grpc", PriorKnowledge),
        ("false", Off),
        ("no", Off),
        ("never", Off),
        ("http/1.1", Off),
        ("1.1", Off),
        ("h1", Off),
    ];
    at.choice(&words, "`auto`, `prior_knowledge` or `off`")
}

/// Reads `upgrades`: tokens of RFC 9110 §7.8 in lower case; an empty list is none.
pub(crate) fn upgrades(at: &At<'_>, http2: Option<Http2>) -> Read<Vec<String>> {
    if at.is_null() {
        return Err(at.error_hint("a list is needed, but nothing is there", "write `[]` for none"));
    }
    let read: Vec<Read<String>> = at.items().iter().map(upgrade).collect();
    let mut upgrades = read.into_iter().collect::<Read<Vec<_>>>()?;
    upgrades.sort();
    upgrades.dedup();
    if !upgrades.is_empty() && http2 == Some(Http2::PriorKnowledge) {
        at.warn(
            "upgrades need HTTP/1.1, and `http2: prior_knowledge` speaks HTTP/2 only",
            "write `upgrades: []`, or give what is upgraded a route of its own with `http2: off`",
        );
    }
    Ok(upgrades)
}

fn upgrade(at: &At<'_>) -> Read<String> {
    const WRITE: &str = "write `[websocket]`, or `[]` for none";
    let text = at.text()?;
    let token = text.trim().to_ascii_lowercase();
    match fold(&token).as_str() {
        "h2c" | "h2" | "http2" | "http/2" | "http/2.0" => Err(at.error_hint(
            "HTTP/2 is not switched to by an upgrade (RFC 9113 §3.1)",
            "leave it out: callers begin with HTTP/2 at once, and for the upstream there is `http2: prior_knowledge`",
        )),
        "true" | "false" | "none" | "on" | "off" | "yes" | "no" | "*" => {
            Err(at.error_hint("the names of protocols are needed", WRITE))
        }
        "ws" | "wss" | "websockets" => {
            Err(at.error_hint(format!("{} is no upgrade token", at.quoted()), "write `websocket`"))
        }
        _ if is_token(&token) => Ok(token),
        _ => Err(at.error_hint("this is no upgrade token (RFC 9110 §7.8)", WRITE)),
    }
}

/// token (RFC 9110 §5.6.2)
fn is_token(text: &str) -> bool {
    let token_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.len() <= 60 && text.bytes().all(token_byte)
}

/// Reads `pool`.
pub(crate) fn pool(fields: &Fields<'_>) -> Read<PoolConfig> {
    let default = PoolConfig {
        size: 256,
        idle_timeout: Duration::from_secs(15),
        max_age: Duration::from_secs(300),
        streams: 100,
    };
    let Some(at) = fields.get("pool") else { return Ok(default) };
    let fields = at.fields(&POOL)?;
    let size = fields.or("size", default.size, |at| at.count(0, 100_000));
    let idle_timeout = fields.or("idle_timeout", default.idle_timeout, At::some_time);
    let max_age = fields.or("max_age", default.max_age, At::some_time);
    let streams = fields.or("streams", default.streams, |at| at.count(1, 100_000));
    if let (Some(at), Ok(idle), Ok(age)) = (fields.get("idle_timeout"), &idle_timeout, &max_age)
        && idle > age
    {
        at.warn("no connection is idle for so long: `max_age` ends it before", "make it less than `max_age`");
    }
    Ok(PoolConfig { size: size?, idle_timeout: idle_timeout?, max_age: max_age?, streams: streams? })
}

/// Reads `timeouts`.
pub(crate) fn timeouts(fields: &Fields<'_>) -> Read<Timeouts> {
    let default = Timeouts {
        connect: Duration::from_secs(5),
        response_head: Duration::from_secs(60),
        body_idle: Duration::from_secs(300),
        total: Duration::ZERO,
        upgrade_idle: Duration::ZERO,
    };
    let Some(at) = fields.get("timeouts") else { return Ok(default) };
    let fields = at.fields(&TIMEOUTS)?;
    let connect = fields.or("connect", default.connect, At::duration);
    let response_head = fields.or("response_head", default.response_head, At::duration);
    let body_idle = fields.or("body_idle", default.body_idle, At::duration);
    let total = fields.or("total", default.total, At::duration);
    let upgrade_idle = fields.or("upgrade_idle", default.upgrade_idle, At::duration);
    for (key, part) in [("connect", &connect), ("response_head", &response_head), ("body_idle", &body_idle)] {
        if let (Some(at), Ok(part), Ok(total)) = (fields.get(key), part, &total)
            && !total.is_zero()
            && part > total
        {
            at.warn("this is never reached: `total` ends the exchange before", "make it less than `total`");
        }
    }
    Ok(Timeouts {
        connect: connect?,
        response_head: response_head?,
        body_idle: body_idle?,
        total: total?,
        upgrade_idle: upgrade_idle?,
    })
}
