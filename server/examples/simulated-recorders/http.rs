//! As much HTTP as it takes, over one connection that stays.

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufStream};
use tokio::net::TcpStream;

use crate::Result;

pub struct Connection {
    stream: BufStream<TcpStream>,
    host: String,
    /// Before every path.
    prefix: String,
}

impl Connection {
    /// `http://127.0.0.1:8443`, perhaps with a path.
    pub async fn open(server: &str) -> Result<Connection> {
        let address = server.strip_prefix("http://").ok_or("only http:// is spoken here")?;
        let (host, prefix) = address.find('/').map_or((address, ""), |at| address.split_at(at));
        let stream = TcpStream::connect(host).await?;
        stream.set_nodelay(true)?;
        let stream = BufStream::new(stream);
        Ok(Connection { stream, host: host.to_owned(), prefix: prefix.to_owned() })
    }

    /// The status. `headers` are whole lines.
    pub async fn send(&mut self, method: &str, path: &str, headers: &str, body: &[u8]) -> Result<u16> {
        let (host, prefix, length) = (&self.host, &self.prefix, body.len());
        let head = format!(
            "{method} {prefix}{path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\n{headers}\r\n"
        );
        self.stream.write_all(head.as_bytes()).await?;
        self.stream.write_all(body).await?;
        self.stream.flush().await?;
        self.answer().await
    }

    async fn answer(&mut self) -> Result<u16> {
        let mut status = None;
        let mut length = 0;
        loop {
            let mut line = String::new();
            if self.stream.read_line(&mut line).await? == 0 {
                return Err("the connection was closed instead of an answer".into());
            }
            let line = line.trim_end();
            match (status, line.split_once(':')) {
                (None, _) => status = Some(line.split(' ').nth(1).ok_or("no status")?.parse()?),
                (Some(status), None) if line.is_empty() => {
                    self.stream.read_exact(&mut vec![0; length]).await?;
                    return Ok(status);
                }
                (_, Some((name, value))) if name.eq_ignore_ascii_case("content-length") => {
                    length = value.trim().parse()?;
                }
                _ => {}
            }
        }
    }
}
