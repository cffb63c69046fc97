//! Tokens in place of passwords: the code of a sign-in, exchanged once, and the refresh tokens after it.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::*;

struct Tokens {
    folder: Folder,
    workspace: Workspace,
}

impl Tokens {
    fn new() -> Tokens {
        let folder = Folder::new("ann\n");
        fs::create_dir(folder.path("tokens")).unwrap();
        let mut workspace = Workspace::start(folder.port, &[]);
        workspace.set("ann", json!({ "dn": dn("4711") }));
        Tokens { folder, workspace }
    }

    fn start(&self, own: Value) -> Running {
        let mut settings = json!({ "tokens_folder": self.folder.path("tokens"), "check_s": 1 });
        settings.as_object_mut().unwrap().extend(own.as_object().unwrap().clone());
        self.folder.start_with(settings)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path("tokens").join(name)
    }

    /// Somebody signs in and puts the code into the file.
    fn sign_in(&mut self, code: &str) {
        self.workspace.ask(json!({ "code": code, "user": "ann" }));
        fs::write(self.file("ann.code"), format!("{code}\n")).unwrap();
    }
}

fn read(file: &Path) -> Option<String> {
    fs::read_to_string(file).ok()
}

/// Expects the session to ask for a code, with the reason.
fn expect_ask(feed: &Running, why: &str) {
    let lost = feed.expect_state("lost");
    let reason = lost["reason"].as_str().unwrap();
    for part in [why, "/auth/v3/oauth/authorize?response_type=code&client_id=deskreel", "ann.code"] {
        assert!(reason.contains(part), "{reason}");
    }
}

#[test]
fn a_code_is_exchanged_once_and_refresh_tokens_serve_from_then_on() {
    let mut tokens = Tokens::new();
    let feed = tokens.start(json!({}));
    expect_ask(&feed, "there is no token yet");
    tokens.sign_in("c0de");
    feed.wait_for("feed.state live ann");
    assert_eq!(tokens.workspace.grants(), ["authorization_code"]);
    assert!(!tokens.file("ann.code").exists());
    let first = read(&tokens.file("ann.token"));
    assert!(first.is_some());
    let mode = fs::metadata(tokens.file("ann.token")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    tokens.workspace.ask(json!({ "log_out": "ann" }));
    feed.expect_state("lost");
    feed.wait_for("feed.state live ann");
    assert_eq!(tokens.workspace.grants(), ["refresh_token"]);
    assert_ne!(read(&tokens.file("ann.token")), first, "the server gives a new one each time");
    feed.stop();
    let feed = tokens.start(json!({}));
    feed.wait_for("feed.state live ann");
    assert_eq!(tokens.workspace.grants(), ["refresh_token"], "after a restart");
    feed.stop();
}

#[test]
fn a_wrong_code_or_a_revoked_token_asks_for_another_code() {
    let mut tokens = Tokens::new();
    fs::write(tokens.file("ann.code"), "wrong").unwrap();
    let feed = tokens.start(json!({}));
    expect_ask(&feed, "the code is wrong, used or too old");
    // It is not tried again.
    expect_ask(&feed, "there is no token yet");
    tokens.sign_in("c0de");
    feed.wait_for("feed.state live ann");
    tokens.workspace.ask(json!({ "revoke": "ann", "log_out": "ann" }));
    feed.expect_state("lost");
    expect_ask(&feed, "the token is no longer valid");
    // It is reported once, and not tried each second.
    feed.expect_nothing_for(Duration::from_millis(2500));
    tokens.sign_in("again");
    feed.wait_for("feed.state live ann");
    let code = "authorization_code";
    assert_eq!(tokens.workspace.grants(), [code, code, "refresh_token", code]);
    feed.stop();
}

/// As the vendor's own clients, and its simulator, do it.
#[test]
fn a_workspace_can_take_the_code() {
    let mut tokens = Tokens::new();
    let own = json!({ "code_use": "workspace" });
    tokens.sign_in("c0de");
    let feed = tokens.start(own);
    feed.wait_for("feed.state live ann");
    assert!(tokens.workspace.grants().is_empty());
    feed.stop();
}
