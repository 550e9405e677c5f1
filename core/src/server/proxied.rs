//! What a proxy says of its client before anything else: the PROXY protocol, versions 1 and 2, as
//! <https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt> has it.

use std::{io, net::IpAddr, time::Duration};

use proxy_header::{ParseConfig, ProxyHeader};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    time::timeout,
};

/// The address of the client for whom a proxy has made this connection; `None` when it is for nobody, such as a check of health,
/// or for somebody without an address. Reads the header and not a byte more, for what follows may be read by others. The error is
/// `NotConnected` when nothing was said at all, as by those who ask whether anybody listens.
pub(super) async fn client<C: AsyncRead + Unpin>(
    connection: &mut C,
    within: Duration,
) -> io::Result<Option<IpAddr>> {
    let header = timeout(within, header(connection)).await??;
    let wrong = |error| io::Error::new(io::ErrorKind::InvalidData, error);
    let (header, length) = ProxyHeader::parse(&header, ParseConfig::default()).map_err(wrong)?;
    debug_assert!(length <= MAX_BYTES);
    Ok(header.proxied_address().map(|of| of.source.ip().to_canonical()))
}

async fn header<C: AsyncRead + Unpin>(connection: &mut C) -> io::Result<Vec<u8>> {
    let refuse = |why| Err(io::Error::new(io::ErrorKind::InvalidData, why));
    // The shortest of version 1 is longer, and version 2 begins with as many bytes that never change.
    let mut header = vec![0; SIGNATURE.len()];
    let first = connection.read(&mut header).await?;
    if first == 0 {
        return Err(io::ErrorKind::NotConnected.into());
    }
    connection.read_exact(&mut header[first..]).await?;
    if header == SIGNATURE {
        header.resize(SIGNATURE.len() + 4, 0);
        connection.read_exact(&mut header[SIGNATURE.len()..]).await?;
        let more = usize::from(u16::from_be_bytes([header[14], header[15]]));
        if header.len() + more > MAX_BYTES {
            return refuse("the header is too long");
        }
        header.resize(header.len() + more, 0);
        connection.read_exact(&mut header[SIGNATURE.len() + 4..]).await?;
        return Ok(header);
    }
    if !header.starts_with(b"PROXY ") {
        return refuse("it begins without a header");
    }
    while !header.ends_with(b"\r\n") {
        if header.len() >= MAX_LINE_BYTES {
            return refuse("the header is too long");
        }
        header.push(connection.read_u8().await?);
    }
    Ok(header)
}

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// With its end, as the specification has it (2.1).
const MAX_LINE_BYTES: usize = 107;

/// With whatever a proxy adds, such as the certificate of its client.
const MAX_BYTES: usize = 4_096;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What is read of these bytes, and what is left of them.
    fn read(bytes: &[u8]) -> (io::Result<Option<IpAddr>>, &[u8]) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let mut rest = bytes;
        let found = runtime.block_on(client(&mut rest, Duration::from_secs(60)));
        (found, rest)
    }

    fn version_2(command: u8, family: u8, addresses: &[u8], more: &[u8]) -> Vec<u8> {
        let length = (addresses.len() + more.len()) as u16;
        [SIGNATURE, &[0x20 | command, family], &length.to_be_bytes(), addresses, more].concat()
    }

    const V4: [u8; 12] = [192, 0, 2, 1, 198, 51, 100, 2, 0xd0, 0, 0, 80];

    #[test]
    fn clients() {
        let mut v6 = [0_u8; 36];
        (v6[0], v6[1], v6[2], v6[3], v6[15]) = (0x20, 1, 0x0d, 0xb8, 7);
        let mut mapped = [0_u8; 36];
        (mapped[10], mapped[11]) = (0xff, 0xff);
        mapped[12..16].copy_from_slice(&[192, 0, 2, 9]);
        for (header, address) in [
            (b"PROXY TCP4 192.0.2.1 198.51.100.2 53248 80\r\n".to_vec(), Some("192.0.2.1")),
            (b"PROXY TCP6 2001:db8::7 2001:db8::1 53248 80\r\n".to_vec(), Some("2001:db8::7")),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
            (b"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n".to_vec(), None),
            (version_2(1, 0x11, &V4, b""), Some("192.0.2.1")),
            (version_2(1, 0x11, &V4, &[4, 0, 3, 1, 2, 3]), Some("192.0.2.1")),
            (version_2(1, 0x21, &v6, b""), Some("2001:db8::7")),
            (version_2(1, 0x21, &mapped, b""), Some("192.0.2.9")),
            (version_2(0, 0x11, &V4, b""), None),
            (version_2(0, 0, b"", b""), None),
        ] {
            let all = [&*header, b"GET / HTTP/1.1\r\n"].concat();
            let (found, rest) = read(&all);
            assert_eq!(found.unwrap(), address.map(|a| a.parse().unwrap()), "{header:?}");
            assert_eq!(rest, b"GET / HTTP/1.1\r\n", "not a byte more");
        }
    }

    #[test]
    fn what_is_none_is_refused() {
        let long = [b"PROXY TCP4 ", &[b'1'; 200][..], b"\r\n"].concat();
        let mut version_3 = version_2(1, 0x11, &V4, b"");
        version_3[12] = 0x31;
        for bytes in [
            b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.1 198.51.100.2 53248".to_vec(),
            b"PROXY TCP4 nobody 198.51.100.2 53248 80\r\n".to_vec(),
            b"PROXY TCP5 192.0.2.1 198.51.100.2 53248 80\r\n".to_vec(),
            b"proxy tcp4 192.0.2.1 198.51.100.2 53248 80\r\n".to_vec(),
            long,
            version_2(1, 0x11, &V4[..4], b""),
            version_2(1, 0x11, &V4, &[4, 0xff, 0xff]),
            version_2(1, 0x11, &V4, &vec![0; 5_000]),
            version_3,
            SIGNATURE.to_vec(),
            Vec::new(),
        ] {
            if let Ok(found) = read(&bytes).0 {
                // Additions that cannot be read take nothing from what stands before them.
                assert_eq!(found, Some("192.0.2.1".parse().unwrap()), "{bytes:?}");
                assert_eq!(bytes.len(), 31, "{bytes:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn never_panics(start in prop::sample::select(vec![&b"PROXY "[..], SIGNATURE, b""]), rest: Vec<u8>) {
            drop(read(&[start, &rest].concat()));
        }
    }
}
