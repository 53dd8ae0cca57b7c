//! A TCP link that can be cut, frozen and restored.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What the link does with what comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// Passes it on.
    Open,
    /// Keeps connections and passes nothing on, as a cable without a carrier.
    Frozen,
    /// Ends connections and takes no new ones.
    Cut,
}

/// A link to one address. Dropped, it is cut for ever.
#[derive(Debug)]
pub struct Proxy {
    addr: SocketAddr,
    flow: watch::Sender<Flow>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// A link to `target` on a free port of the loopback address.
    pub async fn start(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (flow, seen) = watch::channel(Flow::Open);
        let task = tokio::spawn(serve(listener, target, seen));
        Self { addr, flow, task }
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// As a NATS url.
    pub fn url(&self) -> String {
        format!("nats://{}", self.addr)
    }

    /// Ends all connections and takes no new ones.
    pub fn cut(&self) {
        self.flow.send_replace(Flow::Cut);
    }

    /// Passes nothing on any more; both ends still believe in their connections.
    pub fn freeze(&self) {
        self.flow.send_replace(Flow::Frozen);
    }

    /// Passes everything on again, what was held back first.
    pub fn restore(&self) {
        self.flow.send_replace(Flow::Open);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.flow.send_replace(Flow::Cut);
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, target: SocketAddr, flow: watch::Receiver<Flow>) {
    while let Ok((near, _)) = listener.accept().await {
        let flow = flow.clone();
        tokio::spawn(async move {
            if *flow.borrow() == Flow::Cut {
                return;
            }
            let Ok(far) = TcpStream::connect(target).await else { return };
            let cut = cut(flow.clone());
            tokio::select! {
                () = pass(near, far, &flow) => {}
                () = cut => {}
            }
        });
    }
}

async fn cut(mut flow: watch::Receiver<Flow>) {
    // An error means that the proxy is gone, which is a cut.
    let _ = flow.wait_for(|flow| *flow == Flow::Cut).await;
}

async fn pass(near: TcpStream, far: TcpStream, flow: &watch::Receiver<Flow>) {
    // What goes out is small and wanted at once.
    let _ = (near.set_nodelay(true), far.set_nodelay(true));
    let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
    tokio::select! {
        () = pump(near_in, far_out, flow.clone()) => {}
        () = pump(far_in, near_out, flow.clone()) => {}
    }
}

async fn pump(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    mut flow: watch::Receiver<Flow>,
) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let Ok(n @ 1..) = from.read(&mut buffer).await else { return };
        if flow.wait_for(|flow| *flow == Flow::Open).await.is_err()
            || to.write_all(&buffer[..n]).await.is_err()
        {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::time::timeout;

    const SHORT: Duration = Duration::from_millis(200);

    async fn echo() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = stream.split();
                    let _ = tokio::io::copy(&mut from, &mut to).await;
                });
            }
        });
        addr
    }

    async fn said_back(stream: &mut TcpStream, word: &[u8]) -> bool {
        let mut heard = vec![0; word.len()];
        stream.write_all(word).await.is_ok()
            && matches!(timeout(SHORT, stream.read_exact(&mut heard)).await, Ok(Ok(_)))
            && heard == word
    }

    #[tokio::test]
    async fn a_frozen_link_holds_back_and_a_cut_one_ends() {
        let proxy = Proxy::start(echo().await).await;
        let mut stream = TcpStream::connect(proxy.addr()).await.unwrap();
        assert!(said_back(&mut stream, b"one").await);
        proxy.freeze();
        assert!(!said_back(&mut stream, b"two").await);
        proxy.restore();
        let mut held = [0; 3];
        timeout(crate::until::PATIENCE, stream.read_exact(&mut held)).await.unwrap().unwrap();
        assert_eq!(&held, b"two");
        proxy.cut();
        let end = timeout(crate::until::PATIENCE, stream.read(&mut held)).await.unwrap();
        assert!(matches!(end, Ok(0) | Err(_)));
        let mut refused = TcpStream::connect(proxy.addr()).await.unwrap();
        assert!(!said_back(&mut refused, b"no").await);
        proxy.restore();
        let mut again = TcpStream::connect(proxy.addr()).await.unwrap();
        assert!(said_back(&mut again, b"yes").await);
    }
}
