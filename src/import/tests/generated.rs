//! Whatever comes, is imported or refused; and what is printed loads.

use super::*;

/// JSON made of the words that the importers know, in right and wrong places.
fn any_json() -> impl Strategy<Value = Value> {
    let keys = prop::sample::select(vec![
        "d",
        "results",
        "value",
        "__metadata",
        "type",
        "Name",
        "TokenServiceUrl",
        "ClientId",
        "ClientAuthentication",
        "Scope",
        "ScopeContentType",
        "CustomParameters",
        "Key",
        "Value",
        "SendAsPartOf",
        "Kind",
        "User",
        "Password",
        "CompanyId",
        "SecureParam",
        "Description",
        "SecurityArtifactDescriptor",
        "DeployedOn",
        "destinationConfiguration",
        "Authentication",
        "URL",
        "ProxyType",
        "clientId",
        "tokenServiceURL",
        "tokenServiceURLType",
        "scope",
        "URL.headers.X-A",
        "URL.headers.X-Token",
        "tokenService.body.a",
        "tokenServiceURL.queries.${",
        "uaa",
        "credentials",
        "clientid",
        "clientsecret",
        "url",
        "certurl",
        "certificate",
        "key",
        "xsuaa",
        "VCAP_SERVICES",
        "OAuth2ClientCredentials",
        "x",
    ]);
    let text = prop_oneof![
        prop::sample::select(vec![
            "body",
            "header",
            "json",
            "urlencoded",
            "default",
            "successfactors",
            "https://h.example/t",
            "http://h/?secret=x1",
            "https://{tenant}.h/",
            "OAuth2ClientCredentials",
            "OAuth2Password",
            "NoAuthentication",
            "BasicAuthentication",
            "OAuth2SAMLBearerAssertion",
            "Common",
            "{\"a\":1}",
            "{{X-Y}}",
            "a\nb",
            "/Date(253402300800000)/",
            "/Date(1)/",
            "com.sap.hci.api.OAuth2ClientCredential",
            "service_account",
            "x509",
            "",
            " ",
            "ü",
            "token",
            "null",
            "${X}",
        ])
        .prop_map(str::to_owned),
        ".{0,8}",
    ];
    let leaf = prop_oneof![
        1 => Just(Value::Null),
        1 => any::<i32>().prop_map(Value::from),
        8 => text.prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 96, 12, move |inner| {
        prop_oneof![
            1 => prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            4 => prop::collection::vec((keys.clone(), inner), 0..12)
                .prop_map(|entries| entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
        ]
    })
}

/// An entity or a destination that is nearly right: more of them are imported than of any JSON.
fn nearly() -> impl Strategy<Value = Value> {
    let text = || prop_oneof![4 => "[ -~ü]{0,12}", 1 => ".{0,6}", 1 => Just("{\"a\": 1}".to_owned())];
    let url = prop::sample::select(vec![
        "https://h.example/a?b=c",
        "http://h/",
        "https://h/?apikey=1&grant_type=x",
        "x",
    ]);
    let authentication = prop::sample::select(vec![
        "OAuth2ClientCredentials",
        "OAuth2Password",
        "OAuth2RefreshToken",
        "OAuth2AuthorizationCode",
        "OAuth2SAMLBearerAssertion",
        "OAuth2TokenExchange",
        "BasicAuthentication",
        "NoAuthentication",
        "ClientCertificateAuthentication",
    ]);
    (text(), text(), url, (text(), text(), text()), 0..4_usize, (text(), text()), authentication).prop_map(
        |(name, id, url, (scope, description, audience), kind, (key, value), authentication)| match kind {
            0 => oauth2(json!({
                "Name": name, "ClientId": id, "TokenServiceUrl": url, "Scope": scope, "Description": description,
                "Audience": audience, "ScopeContentType": if value.len() > 3 { "json" } else { "" },
                "CustomParameters": [{ "Key": key, "Value": value, "SendAsPartOf": "url" }, { "Key": value, "Value": key, "SendAsPartOf": "header" }],
            })),
            1 => json!({ "Name": name, "SecureParam": null, "Description": description }),
            2 => json!({ "Name": name, "User": id, "CompanyId": key, "Kind": "successfactors", "Description": description }),
            _ => {
                let mut json = destination(authentication, json!({
                    "Name": name, "clientId": id, "tokenServiceURL": url, "scope": scope, "Description": description,
                    "URL": url.replace("/a", &audience), "User": id, "audience": audience, "companyId": key, "SystemUser": value,
                    "tokenServiceURLType": if id.len() > 6 { "Common" } else { "Dedicated" },
                }));
                json[format!("URL.headers.{key}")] = value.clone().into();
                json[format!("tokenService.body.{key}")] = value.into();
                json
            }
        },
    )
}

/// Imports with every importer; whatever is printed must load.
fn holds(json: &Value) -> Result<(), TestCaseError> {
    for kind in Kind::ALL {
        match import(kind, &json.to_string(), Origin::File("x.json")) {
            Err(ImportError(lines)) => prop_assert!(!lines.is_empty()),
            Ok(imported) => {
                if let Err(errors) = load_it(&imported.yaml) {
                    return Err(TestCaseError::fail(format!("{errors}\n{}\nof {json}", imported.yaml)));
                }
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_json_panics_and_what_is_printed_loads(json in any_json()) {
        holds(&json)?;
    }

    #[test]
    fn what_is_nearly_right_loads_or_is_told(json in prop::collection::vec(nearly(), 1..4)) {
        holds(&Value::from(json))?;
    }
}
