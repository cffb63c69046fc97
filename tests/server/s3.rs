//! Mistakes in the settings of a bucket. All other tests also run with S3 (tests/README.md).

use std::process::Command;

use deskreel_test_support::paths::program;
use deskreel_test_support::s3::{BUCKET, S3};

/// Returns the error with which the server ends.
fn refusal(s3: &S3, bucket: &str, secret: Option<&str>) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("server.toml");
    let text = format!(
        "version = 1\nname = \"test\"\n[server]\nlisten = \"127.0.0.1:0\"\nscheme = \"http\"\n\
         database = \"sqlite://{}\"\nstorage = \"s3://{bucket}/footage\"\n",
        folder.path().join("index.db").display()
    );
    std::fs::write(&file, text).unwrap();
    let mut serve = Command::new(program("deskreel-server"));
    serve.arg("serve").arg(file).envs(s3.environment());
    if let Some(secret) = secret {
        serve.env("AWS_SECRET_ACCESS_KEY", secret);
    }
    let output = serve.output().unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    said.lines().find(|line| line.starts_with("error")).unwrap_or_else(|| panic!("{said}")).to_owned()
}

#[test]
fn a_wrong_bucket_is_reported_once_before_the_server_listens() {
    let Some(s3) = S3::start() else { return };
    for (said, cause) in [
        (refusal(&s3, "elsewhere", None), "NoSuchBucket"),
        (refusal(&s3, BUCKET, Some("wrong")), "SignatureDoesNotMatch"),
    ] {
        assert!(said.starts_with("error: cannot use the store of `[server] storage`: "), "{said}");
        assert_eq!(said.matches(cause).count(), 1, "{said}");
    }
    let said = refusal(&s3, "", None);
    assert_eq!(
        said,
        "error: `s3:///footage` is not a storage URL: it names no bucket; write s3://BUCKET/PREFIX"
    );
}
