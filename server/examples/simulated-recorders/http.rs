//! The part of HTTP that is needed, over one persistent connection.

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufStream};
use tokio::net::TcpStream;

use crate::Result;

pub struct Connection {
    stream: BufStream<TcpStream>,
    host: String,
    /// Precedes every path.
    prefix: String,
}

impl Connection {
    /// `server` is like `http://127.0.0.1:8443`, with or without a path.
    pub async fn open(server: &str) -> Result<Connection> {
        let address = server.strip_prefix("http://").ok_or("the server's address must begin with http://")?;
        let (host, prefix) = address.find('/').map_or((address, ""), |at| address.split_at(at));
        let stream = TcpStream::connect(host).await?;
        stream.set_nodelay(true)?;
        let stream = BufStream::new(stream);
        Ok(Connection { stream, host: host.to_owned(), prefix: prefix.to_owned() })
    }

    /// Returns the status. `headers` are whole lines.
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
                return Err("the connection was closed without an answer".into());
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
