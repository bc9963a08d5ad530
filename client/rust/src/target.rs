//! Where the server is: gRPC's names, as far as they make sense without gRPC's own resolvers.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::PathBuf,
};

use crate::{
    Error, Result, credentials::Environment, credentials::text as variable, misplaced::looks_secret,
    text::visible,
};

const VARIABLE: &str = "MINTONCE_TARGET";
const DEFAULT: &str = "127.0.0.1:50051";
const URL_SCHEMES: [&str; 5] = ["http", "https", "grpc", "grpcs", "tcp"];
const FORMS: &str = "Write HOST:PORT, dns:///HOST:PORT, ipv4:ADDRESS:PORT, ipv6:[ADDRESS]:PORT or unix:PATH.";
const MAX_SHOWN: usize = 100;
/// gRPC's, for a name without one.
const DEFAULT_PORT: u16 = 443;

/// A parsed target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// As it was written, for messages.
    pub(crate) text: String,
    pub(crate) place: Place,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Tried in this order, from any of them.
    Tcp(Vec<(String, u16)>),
    Unix(PathBuf),
}

impl Target {
    /// The given one, else `MINTONCE_TARGET`, else 127.0.0.1:50051. An empty one counts as none.
    pub(crate) fn resolve(given: Option<&str>, environment: Environment<'_>) -> Result<Self> {
        let given = given.filter(|text| !text.is_empty()).map(str::to_owned);
        let chosen = given.map_or_else(|| variable(environment, VARIABLE), |text| Ok(Some(text)))?;
        Self::parse(&chosen.unwrap_or_else(|| DEFAULT.to_owned()))
    }

    fn parse(text: &str) -> Result<Self> {
        if let Some((scheme, rest)) = text.split_once("://")
            && URL_SCHEMES.contains(&scheme.to_ascii_lowercase().as_str())
        {
            return Err(is_url(scheme, rest));
        }
        // What stands before an @ may be a password; only in the path of a socket it may not.
        if looks_secret(text) || (text.contains('@') && !text.starts_with("unix:")) {
            return Err(
                Error::invalid("the target is no address, and is not shown: it may hold a secret").with_remedy(
                    "Write it as host:port, unix:PATH or dns:///host:port, without a user, a password or a key.",
                ),
            );
        }
        let place = if let Some(path) = text.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            (!path.is_empty()).then(|| Place::Unix(path.into()))
        } else if let Some(rest) = text.strip_prefix("dns:") {
            // dns://SERVER/NAME names a name server, which the system's resolver does not take.
            let name = rest.strip_prefix("///").unwrap_or(rest);
            endpoint(name).map(|one| Place::Tcp(vec![one]))
        } else if let Some(list) = text.strip_prefix("ipv4:") {
            addresses(list, |host| host.parse::<Ipv4Addr>().is_ok())
        } else if let Some(list) = text.strip_prefix("ipv6:") {
            addresses(list, |host| host.parse::<Ipv6Addr>().is_ok())
        } else {
            endpoint(text).map(|one| Place::Tcp(vec![one]))
        };
        let Some(place) = place else {
            let shown = visible(text, MAX_SHOWN);
            return Err(
                Error::invalid(format!("the target is not one that this client knows: {shown}"))
                    .with_remedy(FORMS),
            );
        };
        Ok(Self {
            text: text.to_owned(),
            place,
        })
    }

    /// Whether it stays on this host: only then may a bearer travel in clear. A name other than `localhost` may lead
    /// anywhere.
    pub(crate) fn is_local(&self) -> bool {
        match &self.place {
            Place::Unix(_) => true,
            Place::Tcp(endpoints) => endpoints.iter().all(|(host, _)| is_loopback(host)),
        }
    }

    /// The host name that a certificate must be for, if nothing else is said.
    pub(crate) fn host(&self) -> &str {
        match &self.place {
            Place::Unix(_) => "localhost",
            Place::Tcp(endpoints) => endpoints.first().map_or("localhost", |(host, _)| host),
        }
    }

    /// What goes as `:authority`.
    pub(crate) fn authority(&self) -> String {
        match &self.place {
            Place::Unix(_) => "localhost".to_owned(),
            Place::Tcp(endpoints) => endpoints.first().map_or_else(String::new, |(host, port)| {
                if host.contains(':') {
                    format!("[{host}]:{port}")
                } else {
                    format!("{host}:{port}")
                }
            }),
        }
    }
}

/// Whether a host is this one, whatever a resolver says.
pub(crate) fn is_loopback(host: &str) -> bool {
    let host = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(host);
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn is_url(scheme: &str, rest: &str) -> Error {
    let secure = ["https", "grpcs"].contains(&scheme.to_ascii_lowercase().as_str());
    let tls = if secure {
        " For TLS, set MINTONCE_CA_FILE or MINTONCE_TLS=true."
    } else {
        ""
    };
    let host = rest.split('/').next().unwrap_or_default();
    let host = host.rsplit('@').next().unwrap_or_default(); // before it may stand a password
    Error::invalid(format!("the target has a URL's scheme: {scheme}://"))
        .with_remedy(format!("Write it without: {}.{tls}", visible(host, MAX_SHOWN)))
}

fn addresses(list: &str, is_address: impl Fn(&str) -> bool) -> Option<Place> {
    let endpoints: Option<Vec<_>> = list
        .split(',')
        .map(|each| endpoint(each).filter(|(host, _)| is_address(host)))
        .collect();
    endpoints.map(Place::Tcp)
}

/// `HOST:PORT`, `[ADDRESS]:PORT`, or either without a port.
fn endpoint(text: &str) -> Option<(String, u16)> {
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']')?;
        (
            host,
            rest.strip_prefix(':').or_else(|| rest.is_empty().then_some(""))?,
        )
    } else if text.matches(':').count() > 1 {
        (text, "")
    } else {
        text.split_once(':').unwrap_or((text, ""))
    };
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._-:%".contains(c);
    if host.is_empty() || !host.chars().all(allowed) {
        return None;
    }
    let port = if port.is_empty() {
        DEFAULT_PORT
    } else {
        port.parse().ok()?
    };
    Some((host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;

    fn parsed(text: &str) -> Target {
        Target::parse(text).unwrap()
    }

    fn tcp(endpoints: &[(&str, u16)]) -> Place {
        Place::Tcp(
            endpoints
                .iter()
                .map(|(host, port)| ((*host).to_owned(), *port))
                .collect(),
        )
    }

    #[test]
    fn names_of_grpc_are_understood() {
        assert_eq!(parsed("mintonce:50051").place, tcp(&[("mintonce", 50051)]));
        assert_eq!(parsed("dns:///mintonce:50051").place, tcp(&[("mintonce", 50051)]));
        assert_eq!(parsed("dns:mintonce").place, tcp(&[("mintonce", 443)]));
        assert_eq!(parsed("[::1]:50051").place, tcp(&[("::1", 50051)]));
        assert_eq!(parsed("::1").place, tcp(&[("::1", 443)]));
        assert_eq!(
            parsed("ipv4:10.0.0.1:1,10.0.0.2:2").place,
            tcp(&[("10.0.0.1", 1), ("10.0.0.2", 2)])
        );
        assert_eq!(parsed("ipv6:[::1]:1").place, tcp(&[("::1", 1)]));
        assert_eq!(
            parsed("unix:/run/m.sock").place,
            Place::Unix("/run/m.sock".into())
        );
        assert_eq!(
            parsed("unix:///run/m.sock").place,
            Place::Unix("/run/m.sock".into())
        );
        assert_eq!(parsed("unix:m.sock").place, Place::Unix("m.sock".into()));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for text in [
            "dns://8.8.8.8/mintonce:1",
            "host:port",
            "unix:",
            "ipv4:name:1",
            "xds:///a",
            "a b:1",
            "h:99999",
            "[::1",
            "user:password@h:1",
            "mok_key",
        ] {
            assert_eq!(
                Target::parse(text).unwrap_err().reason(),
                "INVALID_REQUEST",
                "{text}"
            );
        }
    }

    #[test]
    fn a_url_is_refused_with_the_target_in_it() {
        let error = Target::parse("https://user:password@mintonce:443/path").unwrap_err();
        assert!(
            error.remedy().contains("mintonce:443") && error.remedy().contains("MINTONCE_TLS"),
            "{error:#}"
        );
        assert!(!format!("{error:#}").contains("password"), "{error:#}");
    }

    #[test]
    fn an_argument_beats_the_variable_and_empty_is_unset() {
        let set = |name: &str| (name == VARIABLE).then(|| "env:1".into());
        let empty = |name: &str| (name == VARIABLE).then(OsString::new);
        assert_eq!(Target::resolve(Some("arg:1"), &set).unwrap().text, "arg:1");
        assert_eq!(Target::resolve(Some(""), &set).unwrap().text, "env:1");
        assert_eq!(Target::resolve(None, &empty).unwrap().text, DEFAULT);
    }

    #[test]
    fn only_loopback_and_unix_sockets_are_local() {
        for text in [
            "unix:/x",
            "localhost:1",
            "LOCALHOST:1",
            "127.8.9.1:1",
            "[::1]:1",
            "dns:///localhost:1",
            "ipv4:127.0.0.1:1,127.0.0.2:1",
        ] {
            assert!(parsed(text).is_local(), "{text}");
        }
        for text in [
            "mintonce:1",
            "10.0.0.1:1",
            "localhost.example:1",
            "ipv4:127.0.0.1:1,10.0.0.1:1",
            "[::2]:1",
        ] {
            assert!(!parsed(text).is_local(), "{text}");
        }
    }
}
