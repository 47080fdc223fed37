//! Which addresses requests may go to. Whoever may configure an action names a URL, and the
//! scheduler asks it from where the scheduler is: without this rule they would reach what
//! only this host, or its network, may.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use ipnet::IpNet;

/// Networks that requests may go to although they are not public.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks(Vec<IpNet>);

/// A text that names no networks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no network: take such as 10.0.0.0/8,fd00::/8 with a comma between each, or all for \
     every address"
)]
pub struct NoNetwork(String);

impl FromStr for Networks {
    type Err = NoNetwork;

    fn from_str(text: &str) -> Result<Self, NoNetwork> {
        if text == "all" {
            let all = [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)];
            return Ok(Self(all.into_iter().filter_map(|ip| IpNet::new(ip, 0).ok()).collect()));
        }
        let network = |name: &str| {
            let one = name.parse::<IpAddr>().map(IpNet::from);
            one.or_else(|_| name.parse()).map_err(|_| NoNetwork(name.chars().take(60).collect()))
        };
        text.split(',').map(|name| network(name.trim())).collect::<Result<_, _>>().map(Self)
    }
}

/// An address that requests may not go to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Private {
    /// The address.
    pub ip: IpAddr,
    /// What kind of address it is.
    pub what: &'static str,
}

impl fmt::Display for Private {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.ip, self.what)
    }
}

impl Networks {
    /// Refuses an address that is not public and was not allowed.
    pub fn check(&self, ip: IpAddr) -> Result<(), Private> {
        let ip = ip.to_canonical();
        match private(ip) {
            Some(what) if !self.0.iter().any(|network| network.contains(&ip)) => {
                Err(Private { ip, what })
            }
            _ => Ok(()),
        }
    }
}

/// What an address is that is not public; none if it is.
fn private(ip: IpAddr) -> Option<&'static str> {
    match ip {
        IpAddr::V4(ip) => private_v4(ip),
        IpAddr::V6(ip) => private_v6(ip),
    }
}

fn private_v4(ip: Ipv4Addr) -> Option<&'static str> {
    let [a, b, c, _] = ip.octets();
    Some(match (a, b, c) {
        (0, ..) => "which names this host",
        (127, ..) => "a loopback address",
        (10, ..) | (172, 16..=31, _) | (192, 168, _) => "a private address",
        (100, 64..=127, _) => "an address behind a provider's NAT",
        (169, 254, _) => "a link-local address",
        (224..=239, ..) => "a multicast address",
        (192, 0, 0 | 2) | (198, 18..=19, _) | (198, 51, 100) | (203, 0, 113) | (240.., ..) => {
            "a reserved address"
        }
        _ => return None,
    })
}

fn private_v6(ip: Ipv6Addr) -> Option<&'static str> {
    let [a, b, c, d, e, f, g, h] = ip.segments();
    let v4 =
        |high: u16, low: u16| private_v4(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)));
    Some(match (a, b) {
        _ if ip.is_unspecified() => "which names this host",
        _ if ip.is_loopback() => "a loopback address",
        (0xfc00..=0xfdff, _) => "a unique local address",
        (0xfe80..=0xfebf, _) => "a link-local address",
        (0xff00.., _) => "a multicast address",
        // What stands for an address of version 4, by way of a translator or a tunnel.
        (0x64, 0xff9b) if [c, d, e, f] == [0; 4] => return v4(g, h),
        (0x2002, _) => return v4(b, c),
        (0x2001, 0..=0x1ff | 0xdb8) | (0x3fff, 0..=0xfff) => "a reserved address",
        (0x2000..=0x3fff, _) => return None,
        _ => "a reserved address",
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn refused(networks: &str, ip: &str) -> bool {
        let networks: Networks = networks.parse().unwrap();
        networks.check(ip.parse().unwrap()).is_err()
    }

    #[test]
    fn what_is_not_public_is_refused() {
        let none = Networks::default();
        for ip in [
            "127.0.0.1",
            "127.9.9.9",
            "0.0.0.0",
            "0.1.2.3",
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "100.127.255.255",
            "224.0.0.1",
            "239.1.1.1",
            "255.255.255.255",
            "240.0.0.1",
            "192.0.0.1",
            "198.18.0.1",
            "::",
            "::1",
            "::7f00:1",
            "fc00::1",
            "fd12::1",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::7f00:1",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "2002:a00:1::1",
            "2001::1",
            "2001:db8::1",
        ] {
            assert!(none.check(ip.parse().unwrap()).is_err(), "{ip}");
        }
        for ip in [
            "8.8.8.8",
            "172.15.255.255",
            "172.32.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "2606:4700::1111",
            "2a00::1",
            "::ffff:8.8.8.8",
            "64:ff9b::808:808",
            "2002:808:808::1",
        ] {
            assert_eq!(none.check(ip.parse().unwrap()), Ok(()), "{ip}");
        }
    }

    #[test]
    fn only_what_is_named_is_allowed_besides() {
        let named = "10.0.0.0/8, fd00::/8,192.168.7.7";
        assert!(!refused(named, "10.200.0.1") && !refused(named, "fd00::1"));
        assert!(!refused(named, "::ffff:10.0.0.1"), "it is the same address");
        assert!(!refused(named, "192.168.7.7") && refused(named, "192.168.7.8"));
        assert!(refused(named, "127.0.0.1") && refused(named, "::1"));
        assert!(!refused("all", "127.0.0.1") && !refused("all", "::1"));
        for wrong in ["", "10.0.0.0/33", "ten", "10.0.0.0/8,", "All"] {
            assert!(wrong.parse::<Networks>().is_err(), "{wrong:?}");
        }
    }

    proptest! {
        /// However an address of version 4 is dressed, the same is said of it.
        #[test]
        fn a_disguise_changes_nothing(bits in any::<u32>()) {
            let none = Networks::default();
            let v4 = Ipv4Addr::from(bits);
            let [a, b] = [(bits >> 16) as u16, bits as u16];
            let refused = none.check(v4.into()).is_err();
            for dressed in [
                v4.to_ipv6_mapped(),
                Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, a, b),
                Ipv6Addr::new(0x2002, a, b, 0, 0, 0, 0, 1),
            ] {
                prop_assert_eq!(none.check(dressed.into()).is_err(), refused, "{}", dressed);
            }
        }
    }
}
