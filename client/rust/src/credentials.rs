//! How a client shows who it is, and how it knows the server. All of it lives in files, which may be replaced any time.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use tonic::metadata::{Ascii, MetadataValue};

use crate::{
    Error, Result,
    files::{Fault, Watched},
};

pub(crate) const CA_FILE: &str = "MINTONCE_CA_FILE";
pub(crate) const CERTIFICATE_FILE: &str = "MINTONCE_CERTIFICATE_FILE";
pub(crate) const KEY_FILE: &str = "MINTONCE_KEY_FILE";
pub(crate) const SERVER_NAME: &str = "MINTONCE_SERVER_NAME";
pub(crate) const TLS: &str = "MINTONCE_TLS";
pub(crate) const BEARER_FILE: &str = "MINTONCE_BEARER_FILE";
pub(crate) const API_KEY_FILE: &str = "MINTONCE_API_KEY_FILE";

/// Bytes: what gRPC servers take as metadata by default.
const LONGEST: usize = 8192;

/// The variables of the environment; of another one in tests.
pub(crate) type Environment<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// TLS to the server.
///
/// The files are read again at most once a second, when a call is made. A new certificate or CA gets a new connection;
/// calls and watches under way end on the old one. Files that have become unusable leave the old ones in use, and are
/// warned of once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    pub(crate) ca_file: Option<PathBuf>,
    pub(crate) certificate_file: Option<PathBuf>,
    pub(crate) key_file: Option<PathBuf>,
    pub(crate) server_name: Option<String>,
}

impl Tls {
    /// The authorities that this host trusts (`SSL_CERT_FILE` is honoured), and no certificate of the client's own.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// PEM: who may vouch for the server, instead of the authorities that this host trusts.
    #[must_use]
    pub fn ca_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.ca_file = Some(path.into());
        self
    }

    /// PEM: the client's certificate and what leads to its authority; its key too, unless
    /// [`key_file`](Self::key_file) names another file.
    #[must_use]
    pub fn certificate_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.certificate_file = Some(path.into());
        self
    }

    /// PEM, unencrypted: the key of the certificate. PKCS#8, SEC1 or PKCS#1.
    #[must_use]
    pub fn key_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.key_file = Some(path.into());
        self
    }

    /// What the server's certificate is for, instead of the target's host name.
    #[must_use]
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
        self
    }

    /// As the environment says. `None`: it says nothing of TLS, or no.
    pub(crate) fn from_environment(environment: Environment<'_>) -> Result<Option<Self>> {
        let wanted = switch(&text(environment, TLS)?.unwrap_or_default())?;
        let given = [CA_FILE, CERTIFICATE_FILE, KEY_FILE, SERVER_NAME]
            .into_iter()
            .find(|name| value(environment, name).is_some());
        let tls = Self {
            ca_file: value(environment, CA_FILE).map(PathBuf::from),
            certificate_file: value(environment, CERTIFICATE_FILE).map(PathBuf::from),
            key_file: value(environment, KEY_FILE).map(PathBuf::from),
            server_name: text(environment, SERVER_NAME)?,
        };
        if let (Some(false), Some(given)) = (wanted, given) {
            return Err(Error::unusable(format!("{TLS} says no, but {given} is set"))
                .with_remedy("Unset one of them."));
        }
        if tls.key_file.is_some() && tls.certificate_file.is_none() {
            return Err(
                Error::unusable(format!("{KEY_FILE} is set without {CERTIFICATE_FILE}"))
                    .with_remedy("Set both, or neither."),
            );
        }
        Ok((given.is_some() || wanted == Some(true)).then_some(tls))
    }
}

/// The file of the bearer that the environment names.
pub(crate) fn bearer_from_environment(environment: Environment<'_>) -> Result<Option<PathBuf>> {
    match (value(environment, BEARER_FILE), value(environment, API_KEY_FILE)) {
        (Some(_), Some(_)) => Err(
            Error::unusable(format!("{BEARER_FILE} and {API_KEY_FILE} are both set"))
                .with_remedy("A call has one identity: set one of them."),
        ),
        (token, key) => Ok(token.or(key).map(PathBuf::from)),
    }
}

/// A variable; an empty one counts as none.
pub(crate) fn value(environment: Environment<'_>, name: &str) -> Option<OsString> {
    environment(name).filter(|value| !value.is_empty())
}

/// A variable that must be text.
pub(crate) fn text(environment: Environment<'_>, name: &str) -> Result<Option<String>> {
    let text = value(environment, name).map(OsString::into_string).transpose();
    text.map_err(|_| Error::invalid(format!("{name} is not text in UTF-8")))
}

fn switch(text: &str) -> Result<Option<bool>> {
    match text.to_ascii_lowercase().as_str() {
        "" => Ok(None),
        "1" | "true" | "yes" | "on" => Ok(Some(true)),
        "0" | "false" | "no" | "off" => Ok(Some(false)),
        _ => Err(Error::unusable(format!("{TLS} is neither true nor false"))
            .with_remedy("Set it to true, or unset it.")),
    }
}

/// The metadata that follows a file with a bearer token or an API key.
pub(crate) fn watched_bearer(path: &Path) -> Result<Watched<MetadataValue<Ascii>>> {
    let path = path.to_owned();
    Watched::new(
        vec![path.clone()],
        "The file must hold one bearer token or API key and nothing else: see MINTONCE_BEARER_FILE, \
         MINTONCE_API_KEY_FILE, bearer_file(…) and api_key_file(…).",
        move |contents| authorization(&contents[0], &path),
    )
}

/// The value of the authorization metadata. A fault shows nothing of the content.
fn authorization(content: &[u8], path: &Path) -> Result<MetadataValue<Ascii>, Fault> {
    let path = path.display();
    let bearer = content.trim_ascii();
    if bearer.is_empty() {
        return Err(format!("{path} is empty"));
    }
    if bearer.len() > LONGEST {
        return Err(format!("{path} has more than {LONGEST} bytes"));
    }
    let foreign = || format!("{path} holds something else than one bearer token (RFC 6750, section 2.1)");
    let text = std::str::from_utf8(bearer)
        .ok()
        .filter(|text| is_b64token(text))
        .ok_or_else(foreign)?;
    let mut value = MetadataValue::try_from(format!("Bearer {text}")).map_err(|_| foreign())?;
    value.set_sensitive(true);
    Ok(value)
}

/// `b64token` of RFC 6750, section 2.1. JWTs (RFC 7515) and the API keys of `mintonced` are such.
fn is_b64token(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._~+/-".contains(c);
    !body.is_empty() && body.chars().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &'static [(&str, &str)]) -> impl Fn(&str) -> Option<OsString> {
        |name| {
            pairs
                .iter()
                .find(|(each, _)| *each == name)
                .map(|(_, value)| value.into())
        }
    }

    fn tls(pairs: &'static [(&str, &str)]) -> Result<Option<Tls>> {
        Tls::from_environment(&environment(pairs))
    }

    #[test]
    fn nothing_said_is_no_tls() {
        assert_eq!(tls(&[]).unwrap(), None);
        assert_eq!(tls(&[(TLS, ""), (CA_FILE, "")]).unwrap(), None);
    }

    #[test]
    fn the_switch_has_four_words_for_each_answer() {
        assert_eq!(tls(&[(TLS, "TRUE")]).unwrap(), Some(Tls::new()));
        assert_eq!(tls(&[(TLS, "on")]).unwrap(), Some(Tls::new()));
        assert_eq!(tls(&[(TLS, "No")]).unwrap(), None);
        let error = tls(&[(TLS, "maybe")]).unwrap_err();
        assert_eq!(error.reason(), "CREDENTIALS");
        assert!(!error.to_string().contains("maybe"), "{error}");
    }

    #[test]
    fn a_file_turns_tls_on() {
        let expected = Tls::new()
            .ca_file("ca")
            .certificate_file("c")
            .key_file("k")
            .server_name("n");
        let pairs = &[
            (CA_FILE, "ca"),
            (CERTIFICATE_FILE, "c"),
            (KEY_FILE, "k"),
            (SERVER_NAME, "n"),
        ];
        assert_eq!(tls(pairs).unwrap(), Some(expected));
        assert_eq!(
            tls(&[(CERTIFICATE_FILE, "c")]).unwrap(),
            Some(Tls::new().certificate_file("c"))
        );
    }

    #[test]
    fn contradictions_are_refused() {
        let error = tls(&[(TLS, "off"), (CA_FILE, "ca")]).unwrap_err();
        assert!(error.message().contains(CA_FILE), "{error}");
        assert!(tls(&[(KEY_FILE, "k")]).is_err());
        let both: &[_] = &[(BEARER_FILE, "b"), (API_KEY_FILE, "k")];
        assert!(bearer_from_environment(&environment(both)).is_err());
    }

    #[test]
    fn either_variable_names_the_bearer() {
        let found = |pairs| bearer_from_environment(&environment(pairs)).unwrap();
        assert_eq!(found(&[(BEARER_FILE, "b"), (API_KEY_FILE, "")]), Some("b".into()));
        assert_eq!(found(&[(API_KEY_FILE, "k")]), Some("k".into()));
        assert_eq!(found(&[]), None);
    }

    #[test]
    fn a_bearer_is_one_word_of_rfc_6750() {
        let path = Path::new("the-file");
        assert_eq!(
            authorization(b" abc.d-_~+/==\n", path).unwrap().to_str().unwrap(),
            "Bearer abc.d-_~+/=="
        );
        for bad in [
            &b"two words"[..],
            b"",
            b"\n",
            b"secret=x",
            b"===",
            b"caf\xc3\xa9",
            b"\xff",
            &[b'a'; 8193],
        ] {
            let fault = authorization(bad, path).unwrap_err();
            assert!(
                fault.starts_with("the-file ") && !fault.contains("secret"),
                "{fault}"
            );
        }
        assert!(!format!("{:?}", authorization(b"hidden", path)).contains("hidden"));
    }
}
