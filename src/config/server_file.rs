//! `proxy:`, `admin:` and `log:` after the layers are merged.

use std::num::NonZeroUsize;

use ipnet::IpNet;

use super::form::{self, Kind};
use super::node::{Extent, Value};
use super::reader::{At, Broken, Fields, Keys, Read, fold_value};
use super::route_match::host_name;
use super::server::{
    Access, AccessRules, AdminConfig, Listener, LogConfig, LogFormat, LogLevel, ProxyConfig, ShutdownConfig,
    Via, Workers,
};
use super::{ListenAddress, headers, limits_file};

const PROXY: Keys = Keys {
    known: &["listen", "hosts", "access", "workers", "limits", "via", "shutdown"],
    aliases: &[
        ("bind", "listen"),
        ("address", "listen"),
        ("http_address", "listen"),
        ("port", "listen"),
        ("host", "hosts"),
        ("server_name", "hosts"),
        ("allowed_hosts", "hosts"),
        ("allow", "access"),
        ("auth", "access"),
        ("threads", "workers"),
        ("worker_processes", "workers"),
        ("concurrency", "workers"),
        ("drain", "shutdown"),
        ("add_via", "via"),
        ("via_header", "via"),
        ("timeouts", "a route has `timeouts`, and `limits` has header_timeout and idle_timeout"),
    ],
};

const SHUTDOWN: Keys = Keys {
    known: &["delay", "deadline"],
    aliases: &[
        ("grace_period", "deadline"),
        ("timeout", "deadline"),
        ("drain", "deadline"),
        ("wait", "delay"),
    ],
};

const LISTENER: Keys = Keys {
    known: &["address", "access"],
    aliases: &[("listen", "address"), ("bind", "address"), ("port", "address")],
};

const ACCESS: Keys = Keys {
    known: &["allow_from", "header"],
    aliases: &[
        ("allow", "allow_from"),
        ("from", "allow_from"),
        ("cidr", "allow_from"),
        ("cidrs", "allow_from"),
        ("allowed_cidrs", "allow_from"),
        ("networks", "allow_from"),
        ("headers", "header"),
        ("require_header", "header"),
    ],
};

const ADMIN: Keys = Keys {
    known: &["listen", "access"],
    aliases: &[("bind", "listen"), ("address", "listen"), ("port", "listen")],
};

const LOG: Keys = Keys {
    known: &["level", "format"],
    aliases: &[("verbosity", "level"), ("severity", "level"), ("output", "format"), ("type", "format")],
};

const PRIVATE: [&str; 8] = [
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "169.254.0.0/16",
    "127.0.0.0/8",
    "fc00::/7",
    "fe80::/10",
    "::1/128",
];

const BOTH_WAYS: &str = "say who may: access: { allow_from: [private] }, or { header: { X-Key: { env: NAME } } }; or, if \
     really anybody may use your credentials: access: open";

/// Reads `proxy:`.
pub(crate) fn proxy(at: &At<'_>) -> Read<ProxyConfig> {
    let fields = at.fields(&PROXY)?;
    let access = fields.or("access", Access::Local, access);
    let listen = match &access {
        Ok(access) => fields.required("listen", |at| listeners(at, access)),
        // Every listener would complain about a rule that is there, only broken.
        Err(Broken) => fields.required("listen", |at| listeners(at, &Access::Open)),
    };
    let hosts = fields.or("hosts", Vec::new(), hosts);
    let workers = fields.required("workers", workers);
    let limits = fields.required("limits", limits_file::limits);
    let via = fields.required("via", via);
    let shutdown = fields.required("shutdown", |at| {
        let fields = at.fields(&SHUTDOWN)?;
        let delay = fields.required("delay", At::duration);
        let deadline = fields.required("deadline", At::duration);
        Ok(ShutdownConfig { delay: delay?, deadline: deadline? })
    });
    access?;
    Ok(ProxyConfig {
        listen: listen?,
        hosts: hosts?,
        workers: workers?,
        limits: limits?,
        via: via?,
        shutdown: shutdown?,
    })
}

/// Reads `admin:`. Elsewhere than on this machine it shows probes and metrics only, so it needs no rule.
pub(crate) fn admin(at: &At<'_>) -> Read<AdminConfig> {
    let access = at.fields(&ADMIN)?.or("access", Access::Local, access);
    Ok(AdminConfig { listen: admin_listen(at)?, access: access? })
}

/// Reads `admin.listen` alone.
pub(crate) fn admin_listen(at: &At<'_>) -> Read<Vec<ListenAddress>> {
    at.fields(&ADMIN)?.required("listen", |at| each(at, address))
}

/// Reads `log:`.
pub(crate) fn log(at: &At<'_>) -> Read<LogConfig> {
    use LogLevel::{Debug, Error, Info, Trace, Warn};
    let fields = at.fields(&LOG)?;
    let levels = [
        ("error", Error),
        ("warn", Warn),
        ("warning", Warn),
        ("info", Info),
        ("debug", Debug),
        ("trace", Trace),
    ];
    let level =
        fields.required("level", |at| at.choice(&levels, "`error`, `warn`, `info`, `debug` or `trace`"));
    let formats = [("auto", LogFormat::Auto), ("text", LogFormat::Text), ("json", LogFormat::Json)];
    let format = fields.required("format", |at| at.choice(&formats, "`auto`, `text` or `json`"));
    Ok(LogConfig { level: level?, format: format? })
}

/// Every item of a list that is not empty; all mistakes are reported.
fn each<'a, T>(at: &At<'a>, read: impl Fn(&At<'a>) -> Read<T>) -> Read<Vec<T>> {
    let items = at.items();
    if items.is_empty() {
        return Err(at.error("the list is empty"));
    }
    let read: Vec<Read<T>> = items.iter().map(read).collect();
    read.into_iter().collect()
}

fn listeners(at: &At<'_>, default: &Access) -> Read<Vec<Listener>> {
    each(at, |at| listener(at, default))
}

fn listener(at: &At<'_>, default: &Access) -> Read<Listener> {
    let listener = if let Value::Map(_) = &at.node.value {
        let fields: Fields<'_> = at.fields(&LISTENER)?;
        let address = fields.required("address", address);
        let access = fields.or("access", default.clone(), access);
        Listener { address: address?, access: access? }
    } else {
        Listener { address: address(at)?, access: default.clone() }
    };
    if matches!(listener.access, Access::Local) && !listener.address.is_local() {
        return Err(at.error_hint(
            format!(
                "{} can be reached from other machines, and no access rule says who may use it",
                listener.address
            ),
            BOTH_WAYS,
        ));
    }
    Ok(listener)
}

fn address(at: &At<'_>) -> Read<ListenAddress> {
    if let Value::List(_) = &at.node.value {
        return Err(at.error_hint(
            "an address is needed, but a list stands here",
            "an address with brackets needs quotes: \"[::]:4080\"",
        ));
    }
    let text = at.text()?;
    ListenAddress::parse(text.trim()).map_err(|(message, hint)| at.error_hint(message, hint))
}

fn hosts(at: &At<'_>) -> Read<Vec<String>> {
    let read: Vec<Read<String>> = at
        .items()
        .iter()
        .map(|item| host_name(&item.text()?).map_err(|(message, hint)| item.error_hint(message, hint)))
        .collect();
    read.into_iter().collect()
}

fn via(at: &At<'_>) -> Read<Via> {
    let words = [
        ("true", Via::Add),
        ("false", Via::Omit),
        ("on", Via::Add),
        ("off", Via::Omit),
        ("yes", Via::Add),
        ("no", Via::Omit),
    ];
    at.choice(&words, "`true` or `false`")
}

fn workers(at: &At<'_>) -> Read<Workers> {
    if fold_value(&at.text()?) == "auto" {
        return Ok(Workers::Auto);
    }
    let wrong =
        || at.error_hint("a number of threads from 1 to 1024 is needed", "write 1, another number, or auto");
    let number: usize = at.text()?.trim().parse().map_err(|_| wrong())?;
    NonZeroUsize::new(number).filter(|n| n.get() <= 1024).map(Workers::Count).ok_or_else(wrong)
}

fn access(at: &At<'_>) -> Read<Access> {
    const WAYS: &str = "write `open`, or { allow_from: [private], header: { X-Key: { env: NAME } } }";
    if let Value::Map(_) = &at.node.value {
        let fields = at.fields(&ACCESS)?;
        let allow_from = fields.optional("allow_from", |at| each(at, networks));
        let header = fields.optional("header", access_header);
        let rules = AccessRules {
            allow_from: allow_from?.unwrap_or_default().into_iter().flatten().collect(),
            header: header?,
        };
        if rules.allow_from.is_empty() && rules.header.is_none() {
            if fields.extent == Extent::Gaps {
                return Err(Broken);
            }
            return Err(at.error_hint("this rule allows nobody and everybody: it is empty", WAYS));
        }
        return Ok(Access::Rules(rules));
    }
    match at.text()?.trim() {
        open if open.eq_ignore_ascii_case("open") => Ok(Access::Open),
        _ => Err(at.error_hint(format!("{} is no access rule", at.quoted()), WAYS)),
    }
}

fn access_header(at: &At<'_>) -> Read<(http::HeaderName, super::SecretSource)> {
    let entries = at.entries()?;
    match entries.as_slice() {
        [one] => {
            let name = headers::name(one);
            let source = form::source(one, Kind::Secret);
            Ok((name?, source?))
        }
        _ => Err(at.error_hint("exactly one header is needed", "write header: { X-Key: { env: NAME } }")),
    }
}

fn networks(at: &At<'_>) -> Read<Vec<IpNet>> {
    let text = at.text()?;
    let text = text.trim();
    if text.eq_ignore_ascii_case("private") {
        return Ok(PRIVATE.iter().filter_map(|net| net.parse().ok()).collect());
    }
    let net = text.parse::<IpNet>().or_else(|_| text.parse::<std::net::IpAddr>().map(IpNet::from));
    match net {
        Ok(net) => Ok(vec![net.trunc()]),
        Err(_) => Err(at.error_hint(
            format!("{} is neither an address nor a network", at.quoted()),
            "write private, 10.0.0.0/8 or 10.1.2.3; an IPv6 one needs quotes",
        )),
    }
}
