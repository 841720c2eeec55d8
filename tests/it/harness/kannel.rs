//! Kannel, a real SMS gateway: its two processes, and the fake message centre that it brings along.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use tempfile::TempDir;
use tokio::{io::AsyncReadExt as _, net::TcpStream};

use crate::{
    harness::PATIENCE,
    rig::port::{free, loopback},
};

/// Both processes, killed when dropped.
pub struct Kannel {
    /// The port at which it takes messages over HTTP.
    pub port: u16,
    centre: TcpStream,
    boxes: Vec<Child>,
    _dir: TempDir,
}

impl Drop for Kannel {
    fn drop(&mut self) {
        for child in &mut self.boxes {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Starts one of its processes. A missing Kannel fails the test.
fn start(program: &str, dir: &Path) -> Child {
    let log = std::fs::File::create(dir.join(program)).unwrap();
    let spawned = Command::new(format!("/usr/sbin/{program}"))
        .arg(dir.join("kannel.conf"))
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn();
    spawned.unwrap_or_else(|error| panic!("{program}: {error}; on Debian: apt-get install kannel"))
}

async fn connect(port: u16) -> TcpStream {
    let connected = async {
        loop {
            match TcpStream::connect(loopback(port)).await {
                Ok(stream) => return stream,
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    };
    let connected = tokio::time::timeout(PATIENCE, connected).await;
    connected.expect("Kannel listens")
}

impl Kannel {
    /// Starts it with this user, a group of its configuration.
    pub async fn start(user: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let [admin, inner, fake, port] = [(); 4].map(|()| free());
        let config = format!(
            "group = core\nadmin-port = {admin}\nadmin-interface = \"127.0.0.1\"\nadmin-password = x\n\
             smsbox-port = {inner}\nsmsbox-interface = \"127.0.0.1\"\nbox-allow-ip = \"127.0.0.1\"\n\
             dlr-storage = internal\n\n\
             group = smsc\nsmsc = fake\nsmsc-id = fake\nhost = 127.0.0.1\nport = {fake}\n\
             connect-allow-ip = 127.0.0.1\n\n\
             group = smsbox\nbearerbox-host = 127.0.0.1\nbearerbox-port = {inner}\n\
             sendsms-port = {port}\nsendsms-interface = \"127.0.0.1\"\n\n\
             {user}\n\
             group = sms-service\nkeyword = default\nmax-messages = 0\ntext = \"\"\n"
        );
        std::fs::write(dir.path().join("kannel.conf"), config).unwrap();
        let mut boxes = vec![start("bearerbox", dir.path())];
        let centre = connect(fake).await;
        boxes.push(start("smsbox", dir.path()));
        drop(connect(port).await);
        Self {
            port,
            centre,
            boxes,
            _dir: dir,
        }
    }

    /// What its message centre gets next: originator, recipient, and the text.
    pub async fn next(&mut self) -> (String, String, String) {
        let mut buffer = Vec::new();
        let line = async {
            while buffer.last() != Some(&b'\n') {
                let mut chunk = [0; 1024];
                let count = self.centre.read(&mut chunk).await.unwrap();
                assert!(count > 0, "Kannel is there");
                buffer.extend_from_slice(&chunk[..count]);
            }
        };
        let came = tokio::time::timeout(PATIENCE, line).await;
        came.expect("the message comes");
        let line = String::from_utf8(buffer).unwrap();
        let mut words = line.trim_end().splitn(4, ' ').map(str::to_owned);
        let (from, to) = (words.next().unwrap(), words.next().unwrap());
        assert_eq!(words.next().as_deref(), Some("text"));
        (from, to, words.next().unwrap())
    }
}
