//! An HTTP API that wants a token.

use std::{
    collections::HashSet,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// What a request brought.
#[derive(Clone, Debug)]
pub struct Seen {
    pub path: String,
    pub authorization: Option<String>,
    pub body: String,
}

/// Answers 200, or 401 to a token that it does not accept. `/redirect?URL` leads elsewhere.
pub struct Api {
    address: SocketAddr,
    refused: Arc<Mutex<HashSet<String>>>,
    refuses_all: Arc<Mutex<bool>>,
    seen: Arc<Mutex<Vec<Seen>>>,
    task: JoinHandle<()>,
}

impl Api {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (refused, refuses_all) = (Arc::new(Mutex::new(HashSet::new())), Arc::new(Mutex::new(false)));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (refusals, all, log) = (refused.clone(), refuses_all.clone(), seen.clone());
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (refusals, all, log) = (refusals.clone(), all.clone(), log.clone());
                tokio::spawn(async move {
                    let mut stream = BufReader::new(stream);
                    let call = read(&mut stream).await;
                    let no = *all.lock().unwrap()
                        || call
                            .authorization
                            .as_ref()
                            .is_none_or(|each| refusals.lock().unwrap().contains(each));
                    let answer = match call.path.split_once("/redirect?") {
                        Some((_, to)) => format!("307 Go\r\nlocation: {to}\r\ncontent-length: 0\r\n"),
                        None if no => "401 No\r\ncontent-length: 0\r\n".to_owned(),
                        None => "200 OK\r\ncontent-length: 0\r\n".to_owned(),
                    };
                    log.lock().unwrap().push(call);
                    let answer = format!("HTTP/1.1 {answer}connection: close\r\n\r\n");
                    let _ = stream.get_mut().write_all(answer.as_bytes()).await;
                });
            }
        });
        Self {
            address,
            refused,
            refuses_all,
            seen,
            task,
        }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Do not accept this generation's token any more.
    pub fn refuse(&self, generation: i64) {
        self.refused
            .lock()
            .unwrap()
            .insert(format!("Bearer secret-{generation}"));
    }

    pub fn refuse_all(&self) {
        *self.refuses_all.lock().unwrap() = true;
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn read(stream: &mut BufReader<TcpStream>) -> Seen {
    let mut seen = Seen {
        path: String::new(),
        authorization: None,
        body: String::new(),
    };
    let (mut length, mut is_chunked) = (0, false);
    for number in 0.. {
        let mut line = String::new();
        stream.read_line(&mut line).await.unwrap();
        let line = line.trim();
        if line.is_empty() {
            break;
        }
        if number == 0 {
            seen.path = line.split(' ').nth(1).unwrap_or_default().to_owned();
        } else if let Some((name, value)) = line.split_once(':') {
            match name.to_ascii_lowercase().as_str() {
                "authorization" => seen.authorization = Some(value.trim().to_owned()),
                "content-length" => length = value.trim().parse().unwrap(),
                "transfer-encoding" => is_chunked = true,
                _ => {}
            }
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.unwrap();
    while is_chunked {
        let mut size = String::new();
        stream.read_line(&mut size).await.unwrap();
        let size = usize::from_str_radix(size.trim(), 16).unwrap();
        let mut chunk = vec![0; size + 2];
        stream.read_exact(&mut chunk).await.unwrap();
        body.extend(&chunk[..size]);
        is_chunked = size > 0;
    }
    seen.body = String::from_utf8(body).unwrap();
    seen
}
