//! The first message of a TLS client, read within bounds before anything is made for it.

use super::{
    budget::{Budget, Hold},
    places::{HttpPlace, Waiting},
};
use crate::config::limits::{HEADER_TIMEOUT, HELLO_BYTES_MAX};
use std::{
    io::{self, Read},
    sync::Arc,
};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{StartHandshake, rustls::server::Acceptor};

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoHello {
    #[error("it took too long, or gave way to another connection")]
    TooSlow,
    #[error("it has more than {HELLO_BYTES_MAX} bytes")]
    TooLong,
    #[error("unfinished requests hold all the memory that they may")]
    Full,
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Tls(#[from] tokio_rustls::rustls::Error),
}

/// Reads a whole `ClientHello`.
pub(super) async fn read(
    stream: TcpStream,
    (place, budget): (&mut HttpPlace, &Arc<Budget>),
) -> Result<StartHandshake<TcpStream>, NoHello> {
    let mut hold = Hold::new(budget.clone(), place.address());
    let mut acceptor = Acceptor::default();
    let mut read = 0;
    let accepted = timeout(HEADER_TIMEOUT, async {
        loop {
            tokio::select! {
                readable = stream.readable() => readable?,
                () = std::future::poll_fn(|context| place.poll_gone(context)) => return Err(NoHello::TooSlow),
            }
            let mut bounded = TryRead(&stream).take((HELLO_BYTES_MAX - read) as u64);
            match acceptor.read_tls(&mut bounded) {
                Ok(0) if read == HELLO_BYTES_MAX => return Err(NoHello::TooLong),
                Ok(0) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
                Ok(bytes) => read += bytes,
                // What is said to be readable on a fresh connection need not be.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(error) => return Err(error.into()),
            }
            match acceptor.accept() {
                Ok(Some(accepted)) => return Ok(accepted),
                Ok(None) => {}
                Err((error, mut alert)) => {
                    let mut bytes = Vec::new();
                    // Whether it arrives is the peer's luck.
                    if alert.write(&mut bytes).is_ok() {
                        let _ = stream.try_write(&bytes);
                    }
                    return Err(error.into());
                }
            }
            place.waits_for(Some(Waiting::ForRest));
            hold.set(read).map_err(|_| NoHello::Full)?;
        }
    });
    let accepted = accepted.await.unwrap_or(Err(NoHello::TooSlow))?;
    place.waits_for(None);
    Ok(StartHandshake::from_parts(accepted, stream))
}

/// Reads what is there, and never waits.
struct TryRead<'a>(&'a TcpStream);

impl Read for TryRead<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buffer)
    }
}
