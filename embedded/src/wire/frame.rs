//! Reads length-prefixed frames, and believes no length: a frame takes memory as its bytes arrive, within a budget that
//! all connections share, and has to arrive within a deadline.

use std::io::{Error, ErrorKind, Result};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// A frame is granted room in steps of this many bytes, so that a permit counts what a semaphore can hold.
const BYTES_PER_PERMIT: usize = 1024;

/// What a frame may cost.
#[derive(Debug, Clone)]
pub(crate) struct FrameLimits {
    pub(crate) max_bytes: usize,
    /// Between two requests.
    pub(crate) idle: Duration,
    /// From the first byte of a frame to its last.
    pub(crate) arrival: Duration,
}

/// Room for the requests of all connections together.
#[derive(Debug, Clone)]
pub(crate) struct FrameBudget(Arc<Semaphore>);

/// A frame, and the room that it takes up until it is dropped.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) bytes: Bytes,
    _room: OwnedSemaphorePermit,
}

impl FrameBudget {
    pub(crate) fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes.div_ceil(BYTES_PER_PERMIT))))
    }
}

/// The next frame, or `None` at the end of the stream.
///
/// # Errors
/// A length that is negative or above the limit, a frame that ends early or arrives too slowly, an idle connection.
pub(crate) async fn read<R>(
    reader: &mut R,
    limits: &FrameLimits,
    budget: &FrameBudget,
) -> Result<Option<Frame>>
where
    R: AsyncRead + Unpin,
{
    let mut prefix = [0; 4];
    let first = timeout(limits.idle, reader.read(&mut prefix))
        .await
        .map_err(|_| Error::new(ErrorKind::TimedOut, "the connection was idle for too long"))??;
    if first == 0 {
        return Ok(None);
    }
    timeout(limits.arrival, async {
        reader.read_exact(&mut prefix[first..]).await?;
        let length = usize::try_from(i32::from_be_bytes(prefix))
            .ok()
            .filter(|length| *length <= limits.max_bytes)
            .ok_or_else(|| Error::new(ErrorKind::InvalidData, "the length of a request is out of range"))?;
        read_body(reader, length, budget).await.map(Some)
    })
    .await
    .map_err(|_| Error::new(ErrorKind::TimedOut, "a request arrived too slowly"))?
}

async fn read_body<R>(reader: &mut R, length: usize, budget: &FrameBudget) -> Result<Frame>
where
    R: AsyncRead + Unpin,
{
    let permits = u32::try_from(length.div_ceil(BYTES_PER_PERMIT)).map_err(Error::other)?;
    let room = Arc::clone(&budget.0).acquire_many_owned(permits).await.map_err(Error::other)?;
    // The buffer grows with what arrives: a length alone costs nothing.
    let mut bytes = BytesMut::with_capacity(length.min(64 * BYTES_PER_PERMIT));
    let mut body = reader.take(length as u64);
    while bytes.len() < length {
        if body.read_buf(&mut bytes).await? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(Frame { bytes: bytes.freeze(), _room: room })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]
mod tests {
    use super::*;

    fn limits() -> FrameLimits {
        FrameLimits { max_bytes: 1_000, idle: Duration::from_mins(1), arrival: Duration::from_secs(5) }
    }

    #[tokio::test(start_paused = true)]
    async fn a_frame_is_read_whole_and_what_is_none_is_an_error() {
        let cases: [(&[u8], Option<&[u8]>); 7] = [
            (&[0, 0, 0, 2, 7, 8], Some(&[7, 8])),
            (&[0, 0, 0, 0], Some(&[])),
            (&[0, 0], None),
            (&[0, 0, 0, 3, 1], None),
            (&[0x7f, 0xff, 0xff, 0xff, 1], None),
            (&[0xff, 0xff, 0xff, 0xff, 1], None),
            (&[0, 0, 3, 0xe9, 1], None),
        ];
        let budget = FrameBudget::new(10_000);
        for (bytes, expected) in cases {
            let frame = read(&mut &bytes[..], &limits(), &budget).await;
            assert_eq!(frame.ok().flatten().as_ref().map(|frame| &frame.bytes[..]), expected, "{bytes:?}");
        }
        assert!(read(&mut &[][..], &limits(), &budget).await.unwrap().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_peer_and_a_slow_one_are_not_waited_for_forever() {
        let budget = FrameBudget::new(10_000);
        let (mut here, _there) = tokio::io::duplex(64);
        let error = read(&mut here, &limits(), &budget).await.unwrap_err();
        assert_eq!(error.to_string(), "the connection was idle for too long");

        let (mut here, mut there) = tokio::io::duplex(64);
        tokio::io::AsyncWriteExt::write_all(&mut there, &[0, 0, 0, 9, 1]).await.unwrap();
        let error = read(&mut here, &limits(), &budget).await.unwrap_err();
        assert_eq!(error.to_string(), "a request arrived too slowly");
    }

    #[tokio::test(start_paused = true)]
    async fn frames_wait_for_room_and_give_it_back() {
        let budget = FrameBudget::new(BYTES_PER_PERMIT);
        let bytes = [0, 0, 0, 1, 7];
        let held = read(&mut &bytes[..], &limits(), &budget).await.unwrap();
        assert!(read(&mut &bytes[..], &limits(), &budget).await.is_err());
        drop(held);
        assert!(read(&mut &bytes[..], &limits(), &budget).await.is_ok());
    }
}
