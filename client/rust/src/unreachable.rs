//! Why there is no connection, and what a person can do about it, given what this client does.

use std::sync::Arc;

use crate::{
    connect::{CertificateFault, Failure},
    target::Target,
    text::visible,
};

const MAX_DETAILS: usize = 300;
const WHERE: &str = "Set the target with MINTONCE_TARGET or target(…).";
const USE_TLS: &str = "Use TLS: set MINTONCE_CA_FILE, or MINTONCE_TLS=true, or tls(…).";

/// How a client connects.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    pub(crate) target: Arc<Target>,
    pub(crate) tls: bool,
    /// The name that the server's certificate must have, where it is not the target's.
    pub(crate) server_name: Option<String>,
    pub(crate) shows_certificate: bool,
}

impl Link {
    /// What is wrong, in a few words, and the remedy for it.
    pub(crate) fn explain_failure(&self, failure: &Failure) -> (String, String) {
        let target = &self.target.text;
        match failure {
            Failure::NoSuchName => {
                ("its name cannot be resolved".into(), format!("Is the host name right? {WHERE}"))
            }
            Failure::NothingListens => ("nothing listens there".into(), self.is_it_running()),
            Failure::NoAnswer => (
                "the network does not reach it".into(),
                format!("Is a firewall between the two? {}", self.is_it_running()),
            ),
            Failure::Certificate(fault) => self.explain_certificate(*fault),
            Failure::NotTls => (
                "it does not speak TLS".into(),
                "The connection is TLS. Is this the right port? For a server in clear, unset MINTONCE_CA_FILE and the \
                 like, or call no_tls()."
                    .into(),
            ),
            Failure::HungUp => ("it closes the connection".into(), self.hint()),
            Failure::Other(text) => (
                visible(text, MAX_DETAILS),
                format!("Is mintonced running, and at {target}? {} {WHERE}", self.hint()),
            ),
        }
    }

    /// The same for a connection that ended. `text`: what HTTP/2 says.
    pub(crate) fn explain_end(&self, text: &str) -> (String, String) {
        if [
            "frame with invalid size",
            "PROTOCOL_ERROR",
            "FRAME_SIZE_ERROR",
            "unspecific protocol error",
        ]
        .iter()
        .any(|each| text.contains(each))
        {
            let remedy = if self.tls {
                format!("Is this the port of mintonced, and not of a web server? {WHERE}")
            } else {
                format!(
                    "The connection is in clear, and the server may want TLS. {USE_TLS} Or is this the port of a web \
                     server? {WHERE}"
                )
            };
            return ("it does not speak gRPC".into(), remedy);
        }
        (
            format!(
                "the connection was lost ({})",
                visible(if text.is_empty() { "no details" } else { text }, MAX_DETAILS)
            ),
            format!(
                "Call again: the server may be restarting. If it goes on: is mintonced running, and at {}? {}",
                self.target.text,
                self.hint()
            ),
        )
    }

    fn explain_certificate(&self, fault: CertificateFault) -> (String, String) {
        let (what, remedy) = match fault {
            CertificateFault::OtherName => {
                let expected = self.server_name.as_deref().unwrap_or("the target's host name");
                return (
                    "its certificate is for another name".into(),
                    format!(
                        "The client expects {expected}. Use a target whose name the certificate has, or say what it is \
                         for: MINTONCE_SERVER_NAME or Tls::server_name(…)."
                    ),
                );
            }
            CertificateFault::Expired => (
                "its certificate, or that of its CA, has expired",
                "Renew it. Or is the clock of this host wrong?",
            ),
            CertificateFault::NotYetValid => (
                "its certificate is not valid yet",
                "Is the clock of this host right?",
            ),
            CertificateFault::UnknownAuthority => (
                "its certificate is not from a CA that this client trusts",
                "The server's certificate must be from the CA in MINTONCE_CA_FILE or Tls::ca_file(…); else, from a CA \
                 that this host trusts.",
            ),
        };
        (what.into(), remedy.into())
    }

    fn is_it_running(&self) -> String {
        format!("Is mintonced running, and at {}? {WHERE}", self.target.text)
    }

    fn hint(&self) -> String {
        if !self.tls {
            format!("The connection is in clear. Does the server speak TLS? {USE_TLS}")
        } else if self.shows_certificate {
            "Is this client's certificate in date, and from a CA that the server trusts?".into()
        } else {
            "The client shows no certificate: if the server wants one, set MINTONCE_CERTIFICATE_FILE.".into()
        }
    }
}
