//! The OpenAPI document is complete: the server has its paths and methods, and no others.

use serde_json::Value;

use super::world::{TOKEN, world};

fn document() -> Value {
    world().ask("GET", "/api/v1/openapi.json", &[], "").json()
}

#[test]
fn what_the_document_has_is_served_with_these_methods_and_no_others() {
    let world = world();
    let document = document();
    let bearer = format!("Bearer {TOKEN}");
    let paths = document["paths"].as_object().unwrap();
    assert!(paths.len() >= 20);
    for (path, methods) in paths {
        let path = path.replace("{id}", "none");
        // Only the head is read, since a stream has no end. An ordinary request does not open a socket.
        for method in ["get", "post", "put", "delete", "options", "patch"] {
            let mut http = world.http();
            http.send(&method.to_uppercase(), &path, &[("Authorization", &bearer)], "");
            let answer = http.head().unwrap();
            let is_documented = methods.get(method).is_some();
            assert_eq!(answer.status != 405, is_documented, "{method} {path}: {}", answer.status);
            let documented = &methods[method]["responses"][answer.status.to_string()];
            assert!(
                !is_documented || documented.is_object(),
                "{method} {path}: {} is not there",
                answer.status
            );
        }
    }
}

#[test]
fn every_reference_leads_somewhere() {
    let document = document();
    let mut open = vec![&document];
    let mut followed = 0;
    while let Some(value) = open.pop() {
        match value {
            Value::Object(members) => {
                if let Some(Value::String(reference)) = members.get("$ref") {
                    let pointer = reference.strip_prefix('#').unwrap();
                    assert!(document.pointer(pointer).is_some(), "{reference}");
                    followed += 1;
                }
                open.extend(members.values());
            }
            Value::Array(elements) => open.extend(elements),
            _ => {}
        }
    }
    assert!(followed > 100);
}
