//! The settings of profiles, for commands that show them.

use crate::config::profile::describe::{Setting, settings};
use crate::config::{Config, ProfileConfig};

/// A profile in full: every setting, and whence it has come.
pub(super) fn full(profile: &ProfileConfig) -> String {
    let mut text = format!("profile   {}\n", profile.name);
    for setting in settings(profile) {
        text.push_str(&format!("  {setting}\n"));
    }
    let Some(preset) = profile.written.preset() else { return text };
    text.push_str(&format!("preset    {}: {}, {}\n", preset.name, preset.title, preset.page));
    for (name, value) in &preset.route {
        text.push_str(&format!("routes    need under headers:  {name}: \"{value}\"\n"));
    }
    text
}

/// What a shorthand filled in, a line each.
pub(super) fn filled(profile: &ProfileConfig) -> Vec<String> {
    let filled = settings(profile).into_iter().filter(Setting::is_filled);
    filled.map(|setting| format!("profiles.{}.{setting}", profile.name)).collect()
}

/// What presets say that routes need, and routes do not have.
pub(super) fn missing_headers(config: &Config) -> Vec<String> {
    let mut missing = Vec::new();
    for route in &config.routes {
        let profile = config.profiles.iter().find(|profile| Some(&profile.name) == route.profile.as_ref());
        let Some(preset) = profile.and_then(|profile| profile.written.preset()) else { continue };
        for (name, value) in &preset.route {
            if !route.headers.iter().any(|header| header.name.as_str().eq_ignore_ascii_case(name)) {
                missing.push(format!(
                    "routes.{}: {} wants a header {name} of its requests\n    hint: headers: {{ {name}: \"{value}\" }}",
                    route.name, preset.title
                ));
            }
        }
    }
    missing
}
