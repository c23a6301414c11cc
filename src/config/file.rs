//! proxy.yaml as written: from texts to one tree, and from the tree to the configuration as meant.
//!
//! Invariant: a mistake never hides another; what hangs on something broken stays silent.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::diagnostic::{ConfigErrors, Diagnostic, Place};
use super::expand::{expand_tree, join};
use super::form::{self, Kind};
use super::names::Names;
use super::node::{Entry, Map, Node, Value};
use super::reader::{At, Broken, Context, Fields, Keys, Read};
use super::route::{PathMatch, RouteConfig};
use super::source::explain;
use super::{
    AdminConfig, Config, ListenAddress, Name, ProxyConfig, SecretSource, first_profiles, layers,
    profile_file, route_file, server_file, yaml,
};

const KEYS: Keys = Keys {
    known: &["proxy", "admin", "log", "profiles", "secure_parameters", "routes"],
    aliases: &[
        ("server", "proxy"),
        ("listen", "it stands under `proxy`: proxy: { listen: localhost:4080 }"),
        ("security_material", "profiles"),
        ("credentials", "profiles"),
        ("oauth2", "profiles"),
        ("clients", "profiles"),
        ("secrets", "secure_parameters"),
        ("parameters", "secure_parameters"),
        ("upstreams", "routes"),
        ("locations", "routes"),
        ("services", "routes"),
        ("endpoints", "routes"),
        ("logging", "log"),
        ("logs", "log"),
        ("management", "admin"),
        ("version", "there is no version to write"),
    ],
};

/// A configuration file as read; a test or the demo makes one from text.
#[derive(Clone)]
pub struct ConfigFile {
    /// Where it stands: relative paths in it start from its directory, and messages name it.
    pub path: PathBuf,
    /// What stands in it.
    pub text: String,
}

impl ConfigFile {
    /// Reads a file.
    pub fn read(path: &Path) -> Result<Self, ConfigErrors> {
        let file: Arc<Path> = Arc::from(path);
        let fail = |message: String, hint: Option<&str>| {
            let place = Place::WholeFile(Arc::clone(&file));
            let hint = hint.map(str::to_owned);
            ConfigErrors::new(vec![Diagnostic { place, key: String::new(), message, hint }], &[])
        };
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(fail(
                    "the configuration file does not exist".into(),
                    Some("name it: --config PATH"),
                ));
            }
            Err(error) => return Err(fail(explain(path, &error), None)),
        };
        if bytes.len() > yaml::MAX_BYTES {
            return Err(fail("the file is larger than 1 MiB".into(), Some("is it a proxy.yaml?")));
        }
        let text = String::from_utf8(bytes)
            .map_err(|_| fail("the file is not UTF-8 text".into(), Some("save it as UTF-8")))?;
        Ok(Self { path: path.to_owned(), text })
    }
}

/// The tree of all files, variables filled in. A syntax error ends it, after all files were looked at.
pub(crate) fn tree(files: &[ConfigFile], paths: &[Arc<Path>], cx: &Context<'_>) -> Read<Node> {
    let mut problems = Vec::new();
    let mut entries = Vec::new();
    let mut sound = Ok(());
    for (file, path) in files.iter().zip(paths) {
        let text = file.text.strip_prefix('\u{feff}').unwrap_or(&file.text);
        match yaml::parse(text, path, &mut problems) {
            Err(fatal) => {
                problems.push(*fatal);
                sound = Err(Broken);
            }
            Ok(None) => {}
            Ok(Some(mut node)) => {
                expand_tree(&mut node, "", cx.env, &mut problems);
                match node.value {
                    Value::Map(map) => unite(&mut entries, map.entries, "", &mut problems),
                    Value::Scalar(scalar) if scalar.is_null() => {}
                    _ => {
                        let message = "a configuration is a map of sections, and this is none".into();
                        let hint = Some(format!("the sections are: {}", KEYS.known.join(", ")));
                        problems.push(Diagnostic { place: node.place, key: String::new(), message, hint });
                        sound = Err(Broken);
                    }
                }
            }
        }
    }
    cx.report_all(problems);
    sound?;
    let place = paths.first().map_or(Place::Default, |path| Place::WholeFile(Arc::clone(path)));
    Ok(Node { place, value: Value::Map(Map { entries, ..Map::default() }) })
}

/// Adds the entries of a further file; what names something (a profile, a setting) may stand in one file only.
fn unite(into: &mut Vec<Entry>, from: Vec<Entry>, path: &str, problems: &mut Vec<Diagnostic>) {
    for entry in from {
        let below = join(path, &entry.key);
        let Some(first) = into.iter_mut().find(|first| first.key == entry.key) else {
            into.push(entry);
            continue;
        };
        let named = below.split('.').count() > 1;
        let setting = ["proxy", "admin", "log"].iter().any(|section| below.starts_with(section));
        let Entry { key, place, value } = entry;
        match (&mut first.value.value, value.value) {
            (Value::Map(first), Value::Map(map)) if setting || !named => {
                unite(&mut first.entries, map.entries, &below, problems);
            }
            (Value::Scalar(nothing), value) if !named && nothing.is_null() => {
                *first = Entry { key, place: place.clone(), value: Node { place, value } };
            }
            (_, Value::Scalar(nothing)) if !named && nothing.is_null() => {}
            _ => {
                let message = format!("this stands in two files; first at {}", first.place);
                let hint = Some("keep one of them".into());
                problems.push(Diagnostic { place, key: below, message, hint });
            }
        }
    }
}

/// Where the admin listener is.
pub(crate) fn admin_addresses(cx: &Context<'_>, root: &Node) -> Read<Vec<ListenAddress>> {
    let settings = layers::settings(cx, root);
    let sections = At::root(cx, &settings).entries()?;
    sections.iter().find(|at| at.key == "admin").ok_or(Broken).and_then(server_file::admin_listen)
}

/// The configuration as meant; nothing, if anything was reported.
pub(crate) fn config(cx: &Context<'_>, root: &Node) -> Read<Config> {
    let settings = layers::settings(cx, root);
    let settings = At::root(cx, &settings);
    let sections = settings.entries()?;
    let section = |key: &str| sections.iter().find(|at| at.key == key).ok_or(Broken);
    let proxy = section("proxy").and_then(server_file::proxy);
    let admin = section("admin").and_then(server_file::admin);
    let log = section("log").and_then(server_file::log);
    let listeners = listeners(&sections, &proxy, &admin);

    let fields = At::root(cx, root).fields(&KEYS)?;
    let profiles = Names::of(&fields, "profiles");
    let parameters = Names::of(&fields, "secure_parameters");
    let secure_parameters =
        named(&fields, "secure_parameters", |at, name| Ok((name, form::source(at, Kind::Secret)?)));
    let sources = secure_parameters.iter().flatten().flatten().cloned().collect();
    let profiles_around = profile_file::Around {
        listeners: &listeners,
        profiles: &profiles,
        parameters: (&parameters, &sources),
    };
    let mut profile_configs =
        named(&fields, "profiles", |at, name| profile_file::profile(at, name, &profiles_around));
    if let Ok(profiles) = &mut profile_configs {
        first_profiles::fill_in(&fields, profiles);
    }
    let sound: Vec<_> = profile_configs.iter().flatten().filter_map(|read| read.as_ref().ok()).collect();
    let around = route_file::Around {
        profiles: &profiles,
        sound: &sound,
        parameters: &parameters,
        listeners: &listeners,
    };
    let routes = named(&fields, "routes", |at, name| route_file::route(at, name, &around));
    if let Ok(routes) = &routes {
        distinct(&fields, routes);
    }
    if Names::of(&fields, "routes").is_empty() {
        cx.warn(Diagnostic {
            place: root.place.clone(),
            key: "routes".into(),
            message: "there is no route: every request gets 404".into(),
            hint: Some("add routes: { NAME: { upstream: https://… } }".into()),
        });
    }
    Ok(Config {
        proxy: proxy?,
        admin: admin?,
        log: log?,
        profiles: all(profile_configs)?,
        secure_parameters: all(secure_parameters)?
            .into_iter()
            .collect::<std::collections::BTreeMap<Name, SecretSource>>(),
        routes: all(routes)?,
    })
}

/// All addresses we listen on; two that clash are a mistake.
fn listeners(
    sections: &[At<'_>],
    proxy: &Read<ProxyConfig>,
    admin: &Read<AdminConfig>,
) -> Vec<ListenAddress> {
    let mut all: Vec<(&str, ListenAddress)> = Vec::new();
    let proxy = proxy.iter().flat_map(|proxy| &proxy.listen).map(|listener| ("proxy", &listener.address));
    let admin = admin.iter().flat_map(|admin| &admin.listen).map(|address| ("admin", address));
    for (section, address) in proxy.chain(admin) {
        if let Some((other_section, other)) = all.iter().find(|(_, other)| other.clashes(address)) {
            let at = |section| {
                let entries = sections.iter().find(|at| at.key == section)?.entries().ok()?;
                entries.into_iter().find(|at| at.key == "listen")
            };
            // Whoever moved one onto the other's default wants to hear of what they wrote.
            let (mine, other_at) = (at(section), at(other_section));
            let written = mine.filter(|at| at.node.place != Place::Default).or(other_at);
            if let Some(at) = written {
                at.error_hint(
                    format!("{section} cannot listen on {address}: {other_section} listens on {other}"),
                    "choose another port for one of them",
                );
            }
        }
        all.push((section, address.clone()));
    }
    all.into_iter().map(|(_, address)| address).collect()
}

/// Reads every entry of a section whose keys are names; each stands or falls by itself.
fn named<'a, T>(
    fields: &Fields<'a>,
    section: &str,
    read: impl Fn(&At<'a>, Name) -> Read<T>,
) -> Read<Vec<Read<T>>> {
    let Some(at) = fields.get(section) else { return Ok(Vec::new()) };
    let read_one = |entry: &At<'a>| {
        // What stands below a bad name is read all the same, for its own mistakes.
        let name = name(entry);
        let stand_in = || Name::new("x").ok_or(Broken);
        let value = read(entry, name.clone().or_else(|_| stand_in())?);
        name.and(value)
    };
    Ok(at.entries()?.iter().map(read_one).collect())
}

/// All of them, if all are sound.
fn all<T>(items: Read<Vec<Read<T>>>) -> Read<Vec<T>> {
    items?.into_iter().collect()
}

fn name(at: &At<'_>) -> Read<Name> {
    if matches!(at.key, "token" | "claim") {
        return Err(at.key_error(
            format!("the name `{}` is reserved for templates", at.key),
            Some("choose another".into()),
        ));
    }
    Name::new(at.key).ok_or_else(|| {
        at.key_error(
            "this is not a name that can be used",
            Some("letters, digits, `_` and `-`, at most 150 of them".into()),
        )
    })
}

/// No two routes may take the same requests with the same right.
fn distinct(fields: &Fields<'_>, routes: &[Read<RouteConfig>]) {
    let Some(Ok(entries)) = fields.get("routes").map(At::entries) else { return };
    let sound: Vec<(&At<'_>, &RouteConfig)> =
        entries.iter().zip(routes).filter_map(|(at, route)| Some((at, route.as_ref().ok()?))).collect();
    for (index, (at, route)) in sound.iter().enumerate() {
        if let Some((first, _)) = sound[..index].iter().find(|(_, other)| equal(other, route)) {
            at.key_error(
                format!(
                    "this route matches the same as `{}` at {}: {}",
                    first.key,
                    first.key_place,
                    described(route)
                ),
                Some("tell them apart by host, path_prefix or methods, or remove one".into()),
            );
        }
    }
}

fn equal(a: &RouteConfig, b: &RouteConfig) -> bool {
    let (a, b) = (&a.matches, &b.matches);
    let methods = (a.methods.is_empty() && b.methods.is_empty())
        || a.methods.iter().any(|method| b.methods.contains(method));
    a.host == b.host && a.path == b.path && methods
}

fn described(route: &RouteConfig) -> String {
    let host = route.matches.host.as_deref().map_or_else(String::new, |host| format!(" of host {host}"));
    match &route.matches.path {
        PathMatch::Any => format!("every path{host}"),
        PathMatch::Exact(path) => format!("the path `{path}`{host}"),
        PathMatch::Prefix(path) => format!("everything below `{path}`{host}"),
    }
}
