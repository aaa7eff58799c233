//! Where a request comes from: the client's network address, also behind a reverse proxy that we trust.

use std::net::{IpAddr, SocketAddr};

use axum::{
    extract::ConnectInfo,
    http::{Extensions, HeaderMap},
};
use model::Problem;

/// Addresses that begin with the same bits, as in `10.0.0.0/8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    base: IpAddr,
    bits: u8,
}

impl Network {
    /// Reads `10.0.0.0/8`, `fd00::/8`, or one address.
    ///
    /// # Errors
    /// `network.invalid`.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        let (address, bits) = text.split_once('/').map_or((text, None), |(base, bits)| (base, Some(bits)));
        let base: Option<IpAddr> = address.trim().parse().ok();
        let width = |base: IpAddr| if base.is_ipv4() { 32 } else { 128 };
        let read = base.and_then(|base| {
            let bits = bits.map_or(Some(width(base)), |bits| bits.trim().parse().ok())?;
            (bits <= width(base)).then_some(Self { base, bits })
        });
        read.ok_or_else(|| {
            Problem::new("network.invalid", format!("`{text}` is no network"))
                .value(text)
                .cure("write it as in 10.0.0.0/8 or 192.0.2.7")
        })
    }

    /// Whether an address lies in it.
    #[must_use]
    pub fn holds(&self, address: IpAddr) -> bool {
        let number = |address: IpAddr| match address.to_canonical() {
            IpAddr::V4(v4) => (32, u128::from(v4.to_bits())),
            IpAddr::V6(v6) => (128, v6.to_bits()),
        };
        let ((width, base), (other, address)) = (number(self.base), number(address));
        width == other && (base ^ address).checked_shr(u32::from(width - self.bits)).unwrap_or(0) == 0
    }
}

/// The client of a request. The connection's other end, unless that is a proxy that we trust: then the last address of
/// `X-Forwarded-For` that no trusted proxy has (those before it, the client itself may have written).
#[must_use]
pub fn address(extensions: &Extensions, headers: &HeaderMap, trusted: &[Network]) -> Option<IpAddr> {
    let ConnectInfo(peer) = extensions.get::<ConnectInfo<SocketAddr>>()?;
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.holds(address));
    let peer = peer.ip().to_canonical();
    if !is_trusted(peer) {
        return Some(peer);
    }
    let mut nearest = peer;
    let hops = headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok());
    let hops: Vec<&str> = hops.flat_map(|value| value.split(',')).collect();
    for hop in hops.into_iter().rev() {
        let Ok(address) = hop.trim().parse::<IpAddr>() else { break };
        nearest = address.to_canonical();
        if !is_trusted(nearest) {
            break;
        }
    }
    Some(nearest)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn networks_hold_what_begins_alike() {
        for (network, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.1"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.8"),
            ("192.0.2.7/31", "192.0.2.6", "192.0.2.8"),
            ("0.0.0.0/0", "203.0.113.1", "::1"),
            ("fd00::/8", "fdff::1", "fe00::1"),
            ("::/0", "2001:db8::1", "10.0.0.1"),
        ] {
            let network = Network::parse(network).unwrap();
            assert!(network.holds(inside.parse().unwrap()), "{network:?} {inside}");
            assert!(!network.holds(outside.parse().unwrap()), "{network:?} {outside}");
        }
        assert!(Network::parse("10.0.0.0/8").unwrap().holds("::ffff:10.1.1.1".parse().unwrap()));
        for bad in ["", "10.0.0.0/33", "10.0.0/8", "::/129", "shop.example", "10.0.0.0/-1"] {
            assert_eq!(Network::parse(bad).unwrap_err().code, "network.invalid", "{bad}");
        }
    }

    #[test]
    fn only_trusted_proxies_may_say_whom_they_speak_for() {
        let trusted = [Network::parse("127.0.0.0/8").unwrap(), Network::parse("10.0.0.0/8").unwrap()];
        let client = |peer: &str, forwarded: &[&'static str]| {
            let mut extensions = Extensions::new();
            extensions.insert(ConnectInfo(SocketAddr::new(peer.parse().unwrap(), 1)));
            let mut headers = HeaderMap::new();
            for value in forwarded {
                headers.append("x-forwarded-for", HeaderValue::from_static(value));
            }
            address(&extensions, &headers, &trusted).unwrap().to_string()
        };
        assert_eq!(client("203.0.113.9", &["198.51.100.1"]), "203.0.113.9");
        assert_eq!(client("127.0.0.1", &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(client("127.0.0.1", &["192.0.2.66, 198.51.100.1, 10.0.0.2"]), "198.51.100.1");
        assert_eq!(client("127.0.0.1", &["192.0.2.66", "198.51.100.1"]), "198.51.100.1");
        assert_eq!(client("127.0.0.1", &["192.0.2.66, nonsense"]), "127.0.0.1");
        assert_eq!(client("127.0.0.1", &[]), "127.0.0.1");
        assert_eq!(client("::ffff:127.0.0.1", &["2001:db8::1"]), "2001:db8::1");
        assert_eq!(address(&Extensions::new(), &HeaderMap::new(), &trusted), None);
    }
}
