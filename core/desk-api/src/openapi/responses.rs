//! Responses that several operations share, as types for `responses(...)`: problems, which are components of
//! the document, and the answers to commands.

use std::collections::BTreeMap;

use utoipa::openapi::link::LinkBuilder;
use utoipa::openapi::schema::Type;
use utoipa::openapi::{
    Content, ContentBuilder, Header, HeaderBuilder, ObjectBuilder, Ref, RefOr, Response, ResponseBuilder,
};
use utoipa::{IntoResponses, ToResponse};

type Responses = BTreeMap<String, RefOr<Response>>;

macro_rules! problems {
    ($($(#[doc = $description:literal])+ $name:ident $status:literal $($header:literal $kind:ident)?;)+) => {
        $(
            $(#[doc = $description])+
            pub struct $name;

            impl IntoResponses for $name {
                fn responses() -> Responses {
                    [($status.to_owned(), Ref::from_response_name(stringify!($name)).into())].into()
                }
            }

            impl<'r> ToResponse<'r> for $name {
                fn response() -> (&'r str, RefOr<Response>) {
                    let response = problem(concat!($($description),+).trim());
                    $(let response = response.header($header, header(Type::$kind));)?
                    (stringify!($name), response.build().into())
                }
            }
        )+

        /// All problems by name.
        pub fn problems() -> Responses {
            [$($name::response()),+].map(|(name, response)| (name.to_owned(), response)).into()
        }
    };
}

problems! {
    /// The request or its JSON is broken.
    BadRequest "400";
    /// No credentials, wrong ones, or a session that is over.
    Unauthorized "401" "WWW-Authenticate" String;
    /// This page, session or agent may not do this.
    Forbidden "403";
    /// There is nothing here.
    NotFound "404";
    /// The path has other methods.
    WrongMethod "405" "Allow" String;
    /// The request took too long to arrive.
    SlowRequest "408";
    /// Nothing is being recorded.
    NothingRecorded "409";
    /// More than 64 KiB.
    TooLarge "413";
    /// The body must be application/json.
    NotJson "415";
    /// The Host is not a name of this recorder.
    UnknownHost "421";
    /// The request is not what this path expects.
    BadBody "422";
    /// Too many requests; Retry-After has the seconds to wait.
    TooMany "429" "Retry-After" Integer;
    /// The recorder failed; `fault` says why.
    Failed "500";
    /// The recorder is going down.
    GoingDown "503";
    /// It is not done yet, but may still happen.
    Late "504";
}

/// The problems that every request can have.
pub struct AnyProblem;

impl IntoResponses for AnyProblem {
    fn responses() -> Responses {
        let problems = [
            BadRequest::responses(),
            Forbidden::responses(),
            NotFound::responses(),
            WrongMethod::responses(),
            SlowRequest::responses(),
            TooLarge::responses(),
            UnknownHost::responses(),
            GoingDown::responses(),
        ];
        problems.into_iter().flatten().collect()
    }
}

/// The answers to a command that is not refused, with a link to its operation.
pub struct CommandAnswer;

impl IntoResponses for CommandAnswer {
    fn responses() -> Responses {
        let answer = |description: &str| {
            let link =
                LinkBuilder::new().operation_id("showOperation").parameter("id", "$response.body#/operation");
            ResponseBuilder::new()
                .description(description)
                .content("application/json", content("Operation"))
                .link("operation", link.build())
        };
        let pending =
            answer("Not done within two seconds; it continues.").header("Location", header(Type::String));
        [("200".to_owned(), answer("Done.").build().into()), ("202".to_owned(), pending.build().into())]
            .into()
    }
}

fn problem(description: &str) -> ResponseBuilder {
    ResponseBuilder::new().description(description).content("application/problem+json", content("Problem"))
}

fn content(schema: &str) -> Content {
    ContentBuilder::new().schema(Some(Ref::from_schema_name(schema))).build()
}

fn header(kind: Type) -> Header {
    HeaderBuilder::new().schema(Some(ObjectBuilder::new().schema_type(kind))).build()
}
