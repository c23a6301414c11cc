//! Names: of profiles, parameters and routes, and of the variables and files that their secrets come from.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::Name;

/// Names that were given out, each once.
#[derive(Debug, Default)]
pub(super) struct Names {
    taken: BTreeSet<String>,
    /// The next number to try behind a name that is taken.
    next: BTreeMap<String, u32>,
}

impl Names {
    /// A name made of what the source calls it; other than that where a character does not fit, or it is taken.
    pub(super) fn name(&mut self, wanted: &str) -> String {
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        let mut name = String::new();
        for c in wanted.trim().chars() {
            if fits(c) {
                name.push(c);
            } else if !name.ends_with('_') {
                name.push('_');
            }
        }
        if !wanted.trim().ends_with('_') {
            name.truncate(name.trim_end_matches('_').len());
        }
        if name.is_empty() || !wanted.contains(fits) {
            name = "imported".into();
        }
        // `token` and `claim` mean something in templates.
        if matches!(name.as_str(), "token" | "claim") {
            name.push_str("_1");
        }
        self.unique(&name, Name::MAX_LENGTH, "")
    }

    /// The name of a variable: `CRM_CLIENT_SECRET`. It never holds `__`, which would make it one of sidepass's settings.
    pub(super) fn variable(&mut self, name: &str, what: &str) -> String {
        let mut variable = String::new();
        for c in [name, what].join("_").trim_end_matches('_').chars() {
            let c = if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
            if !(c == '_' && (variable.is_empty() || variable.ends_with('_'))) {
                variable.push(c);
            }
        }
        if variable.trim_matches('_').is_empty() {
            variable = "CREDENTIAL".into();
        }
        // `{ env: NULL }` names nothing in YAML.
        if variable.starts_with(|c: char| c.is_ascii_digit()) || variable == "NULL" {
            variable.insert_str(0, "P_");
        }
        self.unique(&variable, 200, "")
    }

    /// The name of a file: `crm.key`.
    pub(super) fn file(&mut self, name: &str, extension: &str) -> String {
        self.unique(name, 200, extension)
    }

    fn unique(&mut self, wanted: &str, longest: usize, extension: &str) -> String {
        let cut = |length: usize| &wanted[..wanted.len().min(length)];
        let mut name = format!("{}{extension}", cut(longest));
        while !self.taken.insert(name.clone()) {
            let number = self.next.entry(format!("{wanted}{extension}")).or_insert(1);
            *number += 1;
            let tail = format!("_{number}");
            name = format!("{}{tail}{extension}", cut(longest - tail.len()));
        }
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_fit_stay_and_others_are_mapped() {
        let mut names = Names::default();
        for (wanted, name) in [
            ("lms_admin_OAuth2", "lms_admin_OAuth2"),
            ("Leonardo-IoT", "Leonardo-IoT"),
            ("My Öwn  API", "My_wn_API"),
            ("a.b/c", "a_b_c"),
            ("", "imported"),
            (" ", "imported_2"),
            ("ä", "imported_3"),
            ("token", "token_1"),
            ("a.b.c", "a_b_c_2"),
            ("My API (prod)", "My_API_prod"),
            ("_", "_"),
            ("_ä", "imported_4"),
        ] {
            assert_eq!(names.name(wanted), name, "{wanted}");
        }
        let long = "x".repeat(151);
        assert_eq!(names.name(&long), "x".repeat(150));
        assert_eq!(names.name(&long), format!("{}_2", "x".repeat(148)));
    }

    #[test]
    fn variables_can_be_exported_and_are_no_settings() {
        let mut names = Names::default();
        assert_eq!(names.variable("Leonardo-IoT", "CLIENT_SECRET"), "LEONARDO_IOT_CLIENT_SECRET");
        assert_eq!(names.variable("Leonardo_IoT", "CLIENT_SECRET"), "LEONARDO_IOT_CLIENT_SECRET_2");
        assert_eq!(names.variable("sidepass__log_", "CLIENT_SECRET"), "SIDEPASS_LOG_CLIENT_SECRET");
        assert_eq!(names.variable("007", "PASSWORD"), "P_007_PASSWORD");
        assert_eq!(
            (names.variable("_a", "X"), names.variable("-", "!")),
            ("A_X".into(), "CREDENTIAL".into())
        );
        assert_eq!((names.file("a", ".key"), names.file("a", ".key")), ("a.key".into(), "a_2.key".into()));
    }

    proptest::proptest! {
        #[test]
        fn every_name_is_one(wanted in proptest::collection::vec(".{0,160}", 1..4)) {
            let mut names = Names::default();
            for wanted in wanted {
                let name = names.name(&wanted);
                proptest::prop_assert!(Name::new(&name).is_some() && name != "token" && name != "claim", "{}", name);
            }
        }
    }
}
