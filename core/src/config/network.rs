//! Networks, as settings name them.

use std::net::IpAddr;

/// Whom the setting `trusted_proxies` names by one of its entries.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Trusted {
    /// An address, or all that have their first `bits` in common with it.
    Network { first: IpAddr, bits: u8 },
    /// Whoever has no address, since a Unix socket has none.
    Unix,
}

impl Trusted {
    /// Reads an entry. The error is the end of a sentence that has named it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text == "unix" {
            return Ok(Self::Unix);
        }
        let (address, bits) =
            text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let given: IpAddr = address.parse().map_err(|_| "which is no address".to_owned())?;
        let most = width(given);
        let bits = match bits {
            None => most,
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits
                .parse()
                .ok()
                .filter(|bits| *bits <= most)
                .ok_or_else(|| format!("whose network has more than {most} bits"))?,
            Some(_) => return Err("whose network has no number of bits after the '/'".to_owned()),
        };
        // An IPv4 address in IPv6 is the IPv4 address, which clients come from.
        let first = given.to_canonical();
        let bits = match bits.checked_sub(most - width(first)) {
            Some(bits) if bits > 0 => bits,
            _ => return Err("which is everyone, so that any client could pass for another".to_owned()),
        };
        let begin = masked(first, bits);
        if begin != first {
            return Err(format!("whose network begins at {begin}/{bits}"));
        }
        Ok(Self::Network { first, bits })
    }

    /// Whether it is one of them. An IPv4 address must not be given as IPv6.
    pub(crate) fn is(self, address: Option<IpAddr>) -> bool {
        match (self, address) {
            (Self::Unix, None) => true,
            (Self::Network { first, bits }, Some(address)) => {
                address.is_ipv4() == first.is_ipv4() && masked(address, bits) == first
            }
            _ => false,
        }
    }
}

fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// The address with nothing after its first `bits`, of which there is one at least.
fn masked(address: IpAddr, bits: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => IpAddr::V4((v4.to_bits() & (u32::MAX << (32 - bits))).into()),
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() & (u128::MAX << (128 - bits))).into()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn who_is_meant() {
        for (entry, address, is_one) in [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.0", false),
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.0", false),
            ("192.0.2.1/32", "192.0.2.1", true),
            ("::ffff:192.0.2.1", "192.0.2.1", true),
            ("::ffff:10.0.0.0/104", "10.1.2.3", true),
            ("2001:db8::/32", "2001:db8:1::1", true),
            ("2001:db8::/32", "2001:db9::1", false),
            ("::1", "::1", true),
            ("128.0.0.0/1", "8000::", false),
            ("8000::/1", "128.0.0.1", false),
            ("unix", "127.0.0.1", false),
        ] {
            let trusted = Trusted::parse(entry).unwrap();
            assert_eq!(trusted.is(Some(address.parse().unwrap())), is_one, "{entry} and {address}");
            assert_eq!(trusted.is(None), entry == "unix", "{entry}");
        }
    }

    #[test]
    fn what_cannot_be_meant() {
        for (entry, why) in [
            ("", "which is no address"),
            ("localhost", "which is no address"),
            ("10.0.0.1:80", "which is no address"),
            ("[::1]", "which is no address"),
            (" 10.0.0.1", "which is no address"),
            ("010.0.0.1", "which is no address"),
            ("10.0.0.0/33", "whose network has more than 32 bits"),
            ("::/1290", "whose network has more than 128 bits"),
            ("10.0.0.0/", "whose network has more than 32 bits"),
            ("10.0.0.0/+8", "whose network has no number of bits after the '/'"),
            ("10.0.0.0/255.0.0.0", "whose network has no number of bits after the '/'"),
            ("10.0.0.1/8", "whose network begins at 10.0.0.0/8"),
            ("2001:db8::1/32", "whose network begins at 2001:db8::/32"),
            ("0.0.0.0/0", "which is everyone, so that any client could pass for another"),
            ("::/0", "which is everyone, so that any client could pass for another"),
            ("::ffff:0.0.0.0/96", "which is everyone, so that any client could pass for another"),
        ] {
            assert_eq!(Trusted::parse(entry), Err(why.to_owned()), "{entry}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "[0-9a-f:./]{0,24}|\\PC{0,12}", address: IpAddr) {
            if let Ok(trusted) = Trusted::parse(&text) {
                let _ = trusted.is(Some(address.to_canonical()));
            }
        }

        #[test]
        fn a_network_has_just_those_with_its_bits(address: u32, other: u32, bits in 1_u8..=32) {
            let first = address & (u32::MAX << (32 - bits));
            let entry = format!("{}/{bits}", std::net::Ipv4Addr::from(first));
            let trusted = Trusted::parse(&entry).unwrap();
            prop_assert!(trusted.is(Some(IpAddr::V4(address.into()))));
            let same = (address ^ other).leading_zeros() >= u32::from(bits);
            prop_assert_eq!(trusted.is(Some(IpAddr::V4(other.into()))), same);
        }
    }
}
