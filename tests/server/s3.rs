//! The server with its footage in S3: moto, which judges the signature of each request, from script/pip-packages.txt. Where it is not
//! there, the tests say that they were skipped.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

/// A bucket `footage`, for the one user who has a key. Its first four requests make both, unsigned; all others are judged. It ends
/// with its standard input.
const MOTO: &str = r#"
import json, os, sys
os.environ["INITIAL_NO_AUTH_ACTION_COUNT"] = "4"
import boto3
from moto.server import ThreadedMotoServer

server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
host, port = server.get_host_and_port()
url = f"http://{host}:{port}"
nobody = dict(region_name="us-east-1", endpoint_url=url, aws_access_key_id="x", aws_secret_access_key="y")
iam = boto3.client("iam", **nobody)
iam.create_user(UserName="deskreel")
all_of_s3 = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
iam.put_user_policy(UserName="deskreel", PolicyName="s3", PolicyDocument=json.dumps(all_of_s3))
key = iam.create_access_key(UserName="deskreel")["AccessKey"]
boto3.client("s3", **nobody).create_bucket(Bucket="footage")
print(json.dumps({"url": url, "id": key["AccessKeyId"], "secret": key["SecretAccessKey"]}), flush=True)
sys.stdin.read()
"#;

struct S3 {
    child: Child,
    said: Value,
}

impl S3 {
    /// `None`: moto is not there.
    fn start() -> Option<S3> {
        let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/python/bin/python");
        let has_moto = Command::new(&python).args(["-c", "import moto.server"]).output();
        if !has_moto.is_ok_and(|output| output.status.success()) {
            eprintln!("skipped: there is no moto; run script/setup");
            return None;
        }
        let mut child = Command::new(python)
            .args(["-c", MOTO])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let said = serde_json::from_str(&line).expect("moto says where it is");
        Some(S3 { child, said })
    }

    /// For a program that is to use it.
    fn environment(&self) -> [(&'static str, String); 5] {
        let said = |key: &str| self.said[key].as_str().unwrap().to_owned();
        [
            ("AWS_ENDPOINT_URL", said("url")),
            ("AWS_ACCESS_KEY_ID", said("id")),
            ("AWS_SECRET_ACCESS_KEY", said("secret")),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_ALLOW_HTTP", "true".to_owned()),
        ]
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn inner() -> bool {
    std::env::var_os("DESKREEL_TEST_S3").is_some()
}

/// What touches footage, and kills under load.
#[test]
fn everything_holds_with_s3() {
    let Some(s3) = Some(()).filter(|()| !inner()).and_then(|()| S3::start()) else { return };
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--test-threads=2", "--color=never", "ingest::", "finished::", "people::", "crash::", "s3::"])
        .env("DESKREEL_TEST_S3", "footage")
        .envs(s3.environment())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success());
    assert!(said.contains("crash::nothing_acknowledged_is_lost"), "it ran the same tests");
}

/// What the server says when it cannot begin.
fn refusal(s3: &S3, bucket: &str, secret: Option<&str>) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("server.toml");
    let text = format!(
        "version = 1\nname = \"test\"\n[server]\nlisten = \"127.0.0.1:0\"\nscheme = \"http\"\n\
         database = \"sqlite://{}\"\nstorage = \"s3://{bucket}/footage\"\n",
        folder.path().join("index.db").display()
    );
    std::fs::write(&file, text).unwrap();
    let mut serve = Command::new(env!("CARGO_BIN_EXE_deskreel-server"));
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
fn what_is_wrong_with_a_bucket_is_told_once_and_before_the_server_listens() {
    let Some(s3) = Some(()).filter(|()| !inner()).and_then(|()| S3::start()) else { return };
    for (said, cause) in [
        (refusal(&s3, "elsewhere", None), "NoSuchBucket"),
        (refusal(&s3, "footage", Some("wrong")), "SignatureDoesNotMatch"),
    ] {
        assert!(said.starts_with("error: the store cannot be used: "), "{said}");
        assert_eq!(said.matches(cause).count(), 1, "{said}");
    }
    let said = refusal(&s3, "", None);
    assert_eq!(
        said,
        "error: `s3:///footage` is not a place to store in: it names no bucket; write s3://BUCKET/PREFIX"
    );
}
