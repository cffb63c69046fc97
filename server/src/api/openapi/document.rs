//! Generates `openapi.json`, which the server sends. After a change of the API run
//! `UPDATE=1 cargo test -p deskreel-server --lib openapi`, and then `npm run types` in `web/`.
//!
//! Summaries and descriptions are the doc comments of handlers and types.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};
use utoipa::OpenApi;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Content, ResponseBuilder};

use super::*;
use crate::api::{
    admin, annotations, directory, export, finished_file, identities, interactions, link, media, routes,
    session, uploads,
};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Deskreel recording server",
        version = "1",
        description = "docs/server-api.md explains it for people."
    ),
    servers((url = "/api/v1")),
    security(("token" = []), ("session" = [])),
    paths(
        uploads::put_about,
        uploads::put_manifest,
        uploads::put_fragment,
        uploads::head_fragment,
        finished_file::put_file,
        link::open,
        link::events,
        session::log_in,
        session::current,
        session::log_out,
        interactions::find,
        interactions::one,
        annotations::delete,
        annotations::label,
        annotations::unlabel,
        annotations::add_note,
        annotations::remove_note,
        annotations::hold,
        annotations::release,
        export::interaction,
        export::recording,
        media::recording,
        media::fragments,
        media::hls,
        media::live,
        identities::list,
        identities::assign,
        directory::agents,
        directory::set_agents,
        directory::groups,
        directory::set_groups,
        directory::places,
        directory::set_places,
        admin::completeness,
        admin::users,
        admin::add_user,
        admin::remove_user,
        admin::add_token,
        admin::revoke_token,
        admin::add_enrolment,
        admin::enrol,
        admin::recorders,
        admin::revoke_recorder,
        admin::get_retention,
        admin::set_retention,
        admin::sweep,
        admin::audit,
        admin::metrics,
        routes::health,
        routes::document,
    ),
    components(schemas(Text, Digest, Problem)),
)]
struct Api;

fn document() -> Value {
    let mut api = Api::openapi();
    let components = api.components.get_or_insert_default();
    for (name, description) in PROBLEMS {
        let content = Content::new(Some(Ref::from_schema_name("Problem")));
        let problem = ResponseBuilder::new()
            .description(*description)
            .content("application/problem+json", content)
            .build();
        components.responses.insert((*name).to_owned(), problem.into());
    }
    let bearer = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build());
    components.add_security_scheme("token", bearer);
    let cookie = SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::new(crate::api::caller::COOKIE)));
    components.add_security_scheme("session", cookie);
    let mut document = serde_json::to_value(api).unwrap();
    require_nullable_members(&mut document);
    for item in document["paths"].as_object_mut().unwrap().values_mut() {
        for (method, operation) in item.as_object_mut().unwrap() {
            complete(method, operation);
        }
    }
    for_each_object(&mut document, &mut drop_wrong_format);
    document
}

/// Makes `Option` members of answers required: serde writes `None` as null. utoipa takes them for optional.
fn require_nullable_members(document: &mut Value) {
    let asked = schemas_of_requests(document);
    for (name, schema) in document["components"]["schemas"].as_object_mut().unwrap() {
        if asked.contains(name) {
            continue;
        }
        for_each_object(schema, &mut |object| {
            let Some(Value::Object(members)) = object.get("properties") else { return };
            let nullable: Vec<Value> = members
                .iter()
                .filter(|(_, member)| is_nullable(member))
                .map(|(name, _)| json!(name))
                .collect();
            let required = object.entry("required").or_insert(json!([])).as_array_mut().unwrap();
            required.extend(nullable);
        });
    }
}

fn is_nullable(schema: &Value) -> bool {
    let has = |key: &str, null: Value| schema[key].as_array().is_some_and(|all| all.contains(&null));
    has("type", json!("null")) || has("oneOf", json!({ "type": "null" }))
}

/// Names of the schemas that request bodies use.
fn schemas_of_requests(document: &mut Value) -> BTreeSet<String> {
    let mut open = Vec::new();
    for item in document["paths"].as_object_mut().unwrap().values_mut() {
        for operation in item.as_object_mut().unwrap().values_mut() {
            open.extend(operation.get("requestBody").cloned());
        }
    }
    let mut names = BTreeSet::new();
    while let Some(mut value) = open.pop() {
        for_each_object(&mut value, &mut |object| {
            let reference = object.get("$ref").and_then(Value::as_str);
            let Some(name) = reference.and_then(|text| text.strip_prefix("#/components/schemas/")) else {
                return;
            };
            if names.insert(name.to_owned()) {
                open.push(document["components"]["schemas"][name].clone());
            }
        });
    }
    names
}

/// Adds what `utoipa::path` cannot say.
fn complete(method: &str, operation: &mut Value) {
    // `security(())` means that no credentials are needed.
    if operation.get("security") == Some(&json!([{}])) {
        operation["security"] = json!([]);
    }
    if let Some(body) = operation.get_mut("requestBody") {
        body["required"] = json!(true);
    }
    // An optional parameter is absent, never null.
    let parameters = operation.get_mut("parameters").and_then(Value::as_array_mut);
    for parameter in parameters.into_iter().flatten() {
        let schema = &mut parameter["schema"];
        if let Some(kinds) = schema.get_mut("type").and_then(Value::as_array_mut) {
            kinds.retain(|kind| *kind != "null");
            schema["type"] = kinds.remove(0);
        }
        if let Some(schemas) = schema.get_mut("oneOf").and_then(Value::as_array_mut) {
            schemas.retain(|schema| schema["type"] != "null");
            *schema = schemas.remove(0);
        }
    }
    // Answers always have their headers; but only a recorder's HEAD gets these.
    if method == "head" {
        return;
    }
    for response in operation["responses"].as_object_mut().unwrap().values_mut() {
        let headers = response.get_mut("headers").and_then(Value::as_object_mut);
        for header in headers.into_iter().flat_map(|headers| headers.values_mut()) {
            header["required"] = json!(true);
        }
    }
}

/// utoipa gives `u32` the format int32 and `u64` int64, which are too small for them.
fn drop_wrong_format(object: &mut serde_json::Map<String, Value>) {
    if object.contains_key("minimum") && object.get("maximum") != Some(&json!(i64::MAX)) {
        object.remove("format");
    }
}

fn for_each_object(value: &mut Value, visit: &mut impl FnMut(&mut serde_json::Map<String, Value>)) {
    match value {
        Value::Object(object) => {
            visit(object);
            object.values_mut().for_each(|member| for_each_object(member, visit));
        }
        Value::Array(elements) => elements.iter_mut().for_each(|element| for_each_object(element, visit)),
        _ => {}
    }
}

/// JSON in which each value is on one line if it is short enough. Members are sorted, whatever
/// features serde_json has.
fn pretty(value: &Value, indent: usize) -> String {
    let (all, [open, close]) = match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by_key(|(name, _)| *name);
            let text = |(name, member)| format!("{}: {}", json!(name), pretty(member, indent + 2));
            (members.into_iter().map(text).collect::<Vec<_>>(), ["{ ", " }"])
        }
        Value::Array(elements) => {
            (elements.iter().map(|element| pretty(element, indent + 2)).collect(), ["[", "]"])
        }
        _ => return value.to_string(),
    };
    if all.is_empty() {
        return value.to_string();
    }
    let line = all.join(", ");
    if !line.contains('\n') && indent + line.len() < 90 {
        return format!("{open}{line}{close}");
    }
    let (inner, outer) = (" ".repeat(indent + 2), " ".repeat(indent));
    let (open, close) = (open.trim(), close.trim());
    format!("{open}\n{inner}{}\n{outer}{close}", all.join(&format!(",\n{inner}")))
}

#[test]
fn openapi_json_is_generated_from_the_code() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/api/openapi.json");
    let text = pretty(&document(), 0) + "\n";
    if std::env::var_os("UPDATE").is_some() {
        fs::write(path, &text).unwrap();
    }
    let is_current = fs::read_to_string(path).unwrap() == text;
    assert!(
        is_current,
        "openapi.json is out of date; run `UPDATE=1 cargo test -p deskreel-server --lib openapi`"
    );
}
