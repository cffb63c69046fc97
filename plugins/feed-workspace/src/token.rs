//! Access tokens, by the grants of OAuth 2.0 (RFC 6749): requests and answers. Pure.

use serde_json::Value;

use crate::http::Trouble;

/// The proof with which a token is requested.
#[derive(PartialEq, Eq)]
pub enum Grant {
    Password {
        name: String,
        password: String,
    },
    /// The code of a log-in in a browser; valid once, and for minutes.
    Code {
        code: String,
        redirect_uri: String,
    },
    /// A token of an earlier answer; valid for weeks.
    Refresh(String),
}

/// The answer to a request for a token.
#[derive(PartialEq, Eq)]
pub struct Tokens {
    pub access: String,
    pub refresh: Option<String>,
}

impl Grant {
    /// The body of the request.
    pub fn form(&self, client_id: &str) -> String {
        let own: Vec<(&str, &str)> = match self {
            Grant::Password { name, password } => {
                vec![("grant_type", "password"), ("username", name), ("password", password)]
            }
            Grant::Code { code, redirect_uri } => {
                vec![("grant_type", "authorization_code"), ("code", code), ("redirect_uri", redirect_uri)]
            }
            Grant::Refresh(token) => vec![("grant_type", "refresh_token"), ("refresh_token", token)],
        };
        query(own.into_iter().chain([("client_id", client_id), ("scope", "*")]))
    }
}

impl Tokens {
    pub fn of(answer: &Value) -> Result<Tokens, Trouble> {
        let text = |key| answer[key].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        match text("access_token") {
            Some(access) => Ok(Tokens { access, refresh: text("refresh_token") }),
            None => Err(Trouble::LoggedOut("the answer has no `access_token`".to_owned())),
        }
    }
}

/// The page on which a user signs in for a code.
pub fn sign_in_page(server: &str, client_id: &str, redirect_uri: &str) -> String {
    let asks =
        [("response_type", "code"), ("client_id", client_id), ("redirect_uri", redirect_uri), ("scope", "*")];
    format!("{server}/auth/v3/oauth/authorize?{}", query(asks))
}

/// The parameters of a form or of a URL.
pub fn query<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let pairs: Vec<String> =
        pairs.into_iter().map(|(key, value)| format!("{key}={}", encoded(value))).collect();
    pairs.join("&")
}

/// Percent-encodes a value.
pub fn encoded(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_grant_has_its_form() {
        let code = Grant::Code { code: "a+b".to_owned(), redirect_uri: "http://localhost/".to_owned() };
        let password = Grant::Password { name: "t\\ann".to_owned(), password: "a b&".to_owned() };
        for (grant, form) in [
            (password, "grant_type=password&username=t%5Cann&password=a%20b%26&client_id=us&scope=%2A"),
            (
                code,
                "grant_type=authorization_code&code=a%2Bb&redirect_uri=http%3A%2F%2Flocalhost%2F&client_id=us&scope=%2A",
            ),
            (
                Grant::Refresh("r".to_owned()),
                "grant_type=refresh_token&refresh_token=r&client_id=us&scope=%2A",
            ),
        ] {
            assert_eq!(grant.form("us"), form);
        }
    }

    #[test]
    fn an_answer_has_an_access_token_and_may_have_one_to_refresh_it() {
        let tokens = Tokens::of(&json!({ "access_token": "a", "refresh_token": "r" })).unwrap();
        assert_eq!((&*tokens.access, tokens.refresh.as_deref()), ("a", Some("r")));
        assert!(Tokens::of(&json!({ "access_token": "a" })).unwrap().refresh.is_none());
        for answer in [json!({}), json!({ "access_token": 7 }), json!([]), json!({ "access_token": "" })] {
            assert!(Tokens::of(&answer).is_err(), "{answer}");
        }
    }
}
