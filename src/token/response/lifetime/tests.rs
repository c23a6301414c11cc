use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::config::profile::MemberPath;

const NOW: f64 = 1_790_000_000.0;

fn lifetime(answer: Value, token: &str, last: Option<u64>) -> (f64, LifetimeFrom) {
    by_rules(answer, token, last, &AnswerRules::default())
}

fn by_rules(answer: Value, token: &str, last: Option<u64>, rules: &AnswerRules) -> (f64, LifetimeFrom) {
    let Value::Object(answer) = answer else { panic!("not an object") };
    let evidence = Evidence {
        answer: &answer,
        rules,
        token,
        service_now: NOW,
        last: last.map(Duration::from_secs),
        default: Duration::from_secs(300),
    };
    let (lifetime, from) = read(&evidence);
    (lifetime.as_secs_f64(), from)
}

#[test]
fn takes_expires_in_as_integer_float_or_text() {
    for value in [json!(3600), json!(3600.0), json!("3600"), json!(" 3600 "), json!("3.6e3")] {
        let found = lifetime(json!({"expires_in": value, "expires_at": 1}), "t", None);
        assert_eq!(found, (3600.0, LifetimeFrom::ExpiresIn), "{value}");
    }
}

#[test]
fn counts_zero_negative_null_and_garbage_as_missing() {
    let values = [json!(0), json!(-1), json!(null), json!(""), json!("abc"), json!("inf"), json!("NaN")];
    for value in values.into_iter().chain([json!([3600]), json!({}), json!(true), json!(1e-9), json!("-5")]) {
        let found = lifetime(json!({"expires_in": value}), "t", None);
        assert_eq!(found, (300.0, LifetimeFrom::Default), "{value}");
    }
}

#[test]
fn saturates_what_is_huge() {
    for value in [json!(1e20), json!(18_446_744_073_709_551_615_u64), json!("1e300")] {
        assert_eq!(lifetime(json!({"expires_in": value}), "t", None), (LONGEST, LifetimeFrom::ExpiresIn));
    }
    assert_eq!(lifetime(json!({"expires_in": 2_592_000}), "t", None).0, 2_592_000.0);
}

#[test]
fn takes_absolute_times_in_seconds_milliseconds_and_words() {
    let values = [
        json!(1_790_000_600),
        json!("1790000600"),
        json!(1_790_000_600_000_u64),
        json!("2026-09-21T14:23:20Z"),
        json!("Mon, 21 Sep 2026 14:23:20 GMT"),
    ];
    for value in values {
        for key in ["expires_at", "expires_on", "expires"] {
            let found = lifetime(json!({"expires_in": 0, key: value}), "t", Some(7));
            assert_eq!(found, (600.0, LifetimeFrom::ExpiresAt), "{key} {value}");
        }
    }
    let old_facebook = lifetime(json!({"expires": 5_184_000}), "t", None);
    assert_eq!(old_facebook, (5_184_000.0, LifetimeFrom::ExpiresAt));
    assert_eq!(lifetime(json!({"expires_at": 1_789_999_000}), "t", None).1, LifetimeFrom::Default);
}

#[test]
fn falls_back_to_the_jwt_then_to_the_last_lifetime_then_to_the_default() {
    let token = jwt::testing::jwt(&json!({"exp": 1_790_000_900}));
    assert_eq!(lifetime(json!({}), &token, Some(7)), (900.0, LifetimeFrom::JwtExp));
    let expired = jwt::testing::jwt(&json!({"exp": 1}));
    assert_eq!(lifetime(json!({}), &expired, Some(7)), (7.0, LifetimeFrom::LastSeen));
    assert_eq!(lifetime(json!({}), "opaque", None), (300.0, LifetimeFrom::Default));
}

fn rule(path: Option<&str>, unit: LifetimeUnit) -> AnswerRules {
    let lifetime = path.and_then(MemberPath::parse);
    AnswerRules { lifetime, lifetime_unit: unit, ..AnswerRules::default() }
}

#[test]
fn a_rule_comes_first_and_what_it_does_not_find_is_looked_for_as_ever() {
    use LifetimeFrom::{ExpiresAt, ExpiresIn};
    let cases = [
        (json!({"data": {"life": "3600"}, "expires_in": 7}), LifetimeUnit::Seconds, (3600.0, ExpiresIn)),
        (json!({"data": {"life": 1_700_000}}), LifetimeUnit::Milliseconds, (1700.0, ExpiresIn)),
        (json!({"data": {"life": 30}}), LifetimeUnit::Minutes, (1800.0, ExpiresIn)),
        (json!({"data": {"life": "177:05:38"}}), LifetimeUnit::Clock, (637_538.0, ExpiresIn)),
        (json!({"data": {"life": 1_790_000_600}}), LifetimeUnit::Timestamp, (600.0, ExpiresAt)),
        (json!({"data": {"life": "2026-09-21T14:23:20Z"}}), LifetimeUnit::Timestamp, (600.0, ExpiresAt)),
        (json!({"data": {"life": 1_790_000_600_000_u64}}), LifetimeUnit::Timestamp, (600.0, ExpiresAt)),
        (json!({"data": {"life": 1}, "expires_in": 9}), LifetimeUnit::Timestamp, (9.0, ExpiresIn)),
        (json!({"data": {"life": "soon"}, "expires_in": 9}), LifetimeUnit::Minutes, (9.0, ExpiresIn)),
        (json!({"data": {"life": 0}, "expires_at": 1_790_000_600}), LifetimeUnit::Clock, (600.0, ExpiresAt)),
    ];
    for (answer, unit, expected) in cases {
        let found = by_rules(answer.clone(), "t", None, &rule(Some("data.life"), unit));
        assert_eq!(found, expected, "{answer} {unit:?}");
    }
}

#[test]
fn a_unit_alone_is_about_expires_in() {
    let adobe = json!({"expires_in": 86_399_999});
    let found = by_rules(adobe, "t", None, &rule(None, LifetimeUnit::Milliseconds));
    assert_eq!(found, (86_399.999, LifetimeFrom::ExpiresIn));
}

#[test]
fn camel_case_comes_behind_the_names_of_the_rfc() {
    let found = lifetime(json!({"expiresIn": "3599", "expiresOn": 1_790_000_600}), "t", None);
    assert_eq!(found, (3599.0, LifetimeFrom::ExpiresIn));
    let found = lifetime(json!({"expiresIn": 60, "expires_in": 3600}), "t", None);
    assert_eq!(found, (3600.0, LifetimeFrom::ExpiresIn));
    let found = lifetime(json!({"expiresOn": "1790000600", "expiresIn": null}), "t", None);
    assert_eq!(found, (600.0, LifetimeFrom::ExpiresAt));
}

#[test]
fn a_clock_has_hours_minutes_and_seconds() {
    assert_eq!(clock("177:05:38"), Some(637_538.0));
    assert_eq!(clock(" 7.09:05:38.1234567 "), Some(637_538.0));
    assert_eq!(clock("00:00:01"), Some(1.0));
    for wrong in [
        "",
        "1",
        "1:2",
        "0:00:00",
        "1:60:00",
        "1:00:60",
        "-1:00:00",
        "1:00:00:00",
        "a:b:c",
        "1:+2:03",
        "9999999999:00:00",
        "1:00:0x",
        "1..2:00:00",
    ] {
        assert_eq!(clock(wrong), None, "{wrong}");
    }
}

proptest! {
    #[test]
    fn no_rule_makes_it_zero_endless_or_a_panic(text in ".*", number in any::<f64>(), unit in 0_usize..5) {
        use LifetimeUnit::{Clock, Milliseconds, Minutes, Seconds, Timestamp};
        let unit = [Seconds, Milliseconds, Minutes, Timestamp, Clock][unit];
        for value in [json!(text), json!(number)] {
            let (seconds, _) = by_rules(json!({"a": [value]}), "t", None, &rule(Some("a.0"), unit));
            prop_assert!(seconds > 0.0 && seconds <= LONGEST);
        }
    }

    #[test]
    fn is_never_zero_and_never_endless(number in any::<f64>(), key in 0_usize..3, now in any::<f64>()) {
        let rules = AnswerRules::default();
        let answer = Map::from_iter([(["expires_in", "expires_at", "expires"][key].to_owned(), json!(number))]);
        let evidence = Evidence {
            answer: &answer, rules: &rules, token: "t", service_now: now, last: None, default: Duration::ZERO,
        };
        let (lifetime, _) = read(&evidence);
        prop_assert!(lifetime > Duration::ZERO && lifetime.as_secs_f64() <= LONGEST);
    }
}
