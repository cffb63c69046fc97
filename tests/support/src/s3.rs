//! An S3 of a test's own: moto, which checks the signature of each request. It comes from
//! script/pip-packages.txt.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::paths::python_program;

/// The variable with the name of a bucket. [`crate::server::Server`] keeps its footage there.
pub const VARIABLE: &str = "DESKREEL_TEST_S3";
pub const BUCKET: &str = "footage";

/// Makes a bucket, and the one user who has a key. Only its own first four requests may be unsigned. It ends
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
boto3.client("s3", **nobody).create_bucket(Bucket=sys.argv[1])
print(json.dumps({"url": url, "id": key["AccessKeyId"], "secret": key["SecretAccessKey"]}), flush=True)
sys.stdin.read()
"#;

pub struct S3 {
    child: Child,
    /// Its URL, and the user's key, as variables of the environment.
    access: Value,
}

impl S3 {
    /// `None` without moto.
    pub fn start() -> Option<S3> {
        let python = python_program("python");
        let has_moto = Command::new(&python).args(["-c", "import moto.server"]).output();
        if !has_moto.is_ok_and(|output| output.status.success()) {
            eprintln!("skipped: there is no moto; run script/setup");
            return None;
        }
        let mut child = Command::new(python)
            .args(["-c", MOTO, BUCKET])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let access = serde_json::from_str(&line).expect("moto prints its address");
        Some(S3 { child, access })
    }

    /// Variables for a program that uses it.
    pub fn environment(&self) -> [(&'static str, String); 5] {
        let access = |key: &str| self.access[key].as_str().unwrap().to_owned();
        [
            ("AWS_ENDPOINT_URL", access("url")),
            ("AWS_ACCESS_KEY_ID", access("id")),
            ("AWS_SECRET_ACCESS_KEY", access("secret")),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_ALLOW_HTTP", "true".to_owned()),
        ]
    }

    /// The number of recordings in the bucket, of whichever servers.
    pub fn recordings(&self) -> usize {
        const COUNT: &str = r#"
import boto3, sys
keys = (one.key for one in boto3.resource("s3", region_name="us-east-1").Bucket(sys.argv[1]).objects.all())
print(len({key.rpartition("/")[0] for key in keys}))
"#;
        let mut count = Command::new(python_program("python"));
        let output = count.args(["-c", COUNT, BUCKET]).envs(self.environment()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
