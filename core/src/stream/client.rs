//! Where a request comes from, as far as trusted proxies say so.

use std::net::IpAddr;

use super::request::Request;
use crate::{
    config::{Config, ForwardedHeader, Trusted},
    wire::{forwarded, forwarded_for},
};

/// The proxies whose word counts.
#[derive(Debug)]
pub(crate) struct Proxies {
    trusted: Vec<Trusted>,
    header: ForwardedHeader,
}

impl Proxies {
    /// Those of the settings, which have been checked.
    pub(super) fn new(config: &Config) -> Self {
        let trusted = config.trusted_proxies.iter().filter_map(|entry| Trusted::parse(entry).ok()).collect();
        Self { trusted, header: config.forwarded_header }
    }

    /// Whether it is a proxy.
    pub(crate) fn trusts(&self, address: Option<IpAddr>) -> bool {
        self.trusted.iter().any(|trusted| trusted.is(address))
    }

    /// The header that they write, in lower case.
    #[cfg(feature = "runtime")]
    pub(crate) fn header(&self) -> &'static str {
        self.header.name()
    }

    /// The client's address: the nearest that is no proxy's, on the way from here to where the request comes from. Where
    /// that is not known it is the farthest one that is. The same for a request whose `peer` is its answer.
    pub(crate) fn client(&self, request: &Request<'_>) -> Option<IpAddr> {
        let name = self.header.name();
        let lines = request.headers.iter().filter(|(header, _)| header.eq_ignore_ascii_case(name));
        let lines = lines.map(|(_, value)| *value);
        let peer = request.peer.map(|peer| peer.to_canonical());
        match self.header {
            ForwardedHeader::XForwardedFor => self.farthest(peer, forwarded_for(lines)),
            ForwardedHeader::Forwarded => self.farthest(peer, forwarded(lines)),
        }
    }

    fn farthest(
        &self,
        peer: Option<IpAddr>,
        mut hops: impl Iterator<Item = Option<IpAddr>>,
    ) -> Option<IpAddr> {
        let mut client = peer;
        while self.trusts(client) {
            match hops.next().flatten() {
                Some(address) => client = Some(address),
                None => break,
            }
        }
        client
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn client(header: ForwardedHeader, peer: Option<IpAddr>, lines: &[(&str, &[u8])]) -> Option<IpAddr> {
        let trusted = ["10.0.0.0/8", "unix"].map(str::to_owned).to_vec();
        let config = Config::new().trusted_proxies(trusted).forwarded_header(header);
        let request = Request { method: "GET", path: "/", query: "", headers: lines, peer };
        let proxies = Proxies::new(&config);
        let client = proxies.client(&request);
        assert_eq!(proxies.client(&Request { peer: client, ..request }), client, "asked again");
        client
    }

    proptest! {
        /// Whatever a client writes to the left of what the proxy adds.
        #[test]
        fn a_client_cannot_pass_for_another(spoof in "[ -~]{0,60}", own: [u8; 4], from_unix: bool, is_line: bool) {
            let own = IpAddr::from(own);
            prop_assume!(own.to_string().split('.').next() != Some("10"));
            let peer = (!from_unix).then(|| "10.0.0.9".parse().unwrap());
            for (header, added) in
                [(ForwardedHeader::XForwardedFor, own.to_string()), (ForwardedHeader::Forwarded, format!("for=\"{own}\""))]
            {
                let (name, joined) = (header.name(), format!("{spoof}, {added}"));
                let one: [(&str, &[u8]); 1] = [(name, joined.as_bytes())];
                let two: [(&str, &[u8]); 2] = [(name, spoof.as_bytes()), (name, added.as_bytes())];
                let found = client(header, peer, if is_line { &two } else { &one });
                // A client that spoils the line is counted with the proxy.
                prop_assert!(found == Some(own) || header == ForwardedHeader::Forwarded && !is_line && found == peer);
            }
        }
    }
}
