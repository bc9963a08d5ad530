package mintonce

import (
	"os"
	"strings"
)

// link is how a client connects, to explain why it does not: gRPC says UNAVAILABLE for every cause, and a text that few
// people can read.
type link struct {
	target           string
	tls              bool
	serverName       string
	showsCertificate bool
	mayUseProxy      bool
}

const (
	maxDetails = 300
	whereHint  = "Set the target with MINTONCE_TARGET or WithTarget."
	tlsHint    = "Use TLS: set MINTONCE_CA_FILE or WithTLS, or MINTONCE_TLS=true."
)

// explain says what is wrong, in a few words, and the remedy for it. text is what gRPC says.
func (l link) explain(text string) (why, remedy string) {
	has := func(parts ...string) bool {
		for _, part := range parts {
			if strings.Contains(text, part) {
				return true
			}
		}
		return false
	}
	proxy := l.proxy()
	switch {
	case has("failed to do connect handshake", "proxyconnect", "failed to write the HTTP request"):
		if proxy == "" {
			proxy = "https_proxy"
		}
		return "the HTTP proxy refused the connection", "gRPC uses the proxy of the variable " + proxy +
			": name the server's host in no_proxy, or unset the variable."
	case has("no such host", "name resolver error", "produced zero addresses", "lookup "):
		return "its name cannot be resolved", "Is the host name right? " + whereHint
	case has("connection refused", "no such file"):
		return "nothing listens there", l.notRunning(proxy)
	case has("x509:", "certificate signed by unknown authority"):
		return l.ofCertificate(text)
	case has("first record does not look like a TLS handshake"):
		return "it does not speak TLS", "The connection is TLS. Is this the right port? For a server in clear, unset " +
			"MINTONCE_CA_FILE and the like, or use WithoutTLS."
	case has("looked like an HTTP/1.1 header", "malformed HTTP response", "missing selected ALPN"):
		return "it does not speak gRPC", "Is this the port of mintonced, and not of a web server? " + whereHint
	case has("error reading server preface", "authentication handshake failed", "remote error: tls"):
		if !l.tls {
			return "it closes the connection", "The connection is in clear, and the server may want TLS. " + tlsHint
		}
		return "it closes the connection", l.hint()
	case has("i/o timeout", "timed out", "unreachable", "no route to host", "deadline exceeded"):
		return "the network does not reach it", "Is a firewall between the two? " + l.notRunning(proxy)
	}
	if text == "" {
		text = "no details"
	}
	return "the connection was lost (" + visible(text, maxDetails) + ")",
		"Call again: the server may be restarting. If it goes on: is mintonced running, and at " +
			visible(l.target, maxShown) + "? " + l.hint()
}

// ofCertificate is for a server that shows a certificate that does not do.
func (l link) ofCertificate(text string) (why, remedy string) {
	switch {
	case strings.Contains(text, "certificate is valid for"), strings.Contains(text, "not valid for any names"),
		strings.Contains(text, "cannot validate certificate for"), strings.Contains(text, "doesn't contain any IP SANs"):
		expected := l.serverName
		if expected == "" {
			expected = "the target's host name"
		}
		return "its certificate is for another name", "The client expects " + expected + ". Use a target whose name the " +
			"certificate has, or say what it is for: MINTONCE_SERVER_NAME or TLS.ServerName."
	case strings.Contains(text, "is before"):
		return "its certificate is not valid yet", "Is the clock of this host right?"
	case strings.Contains(text, "has expired"):
		return "its certificate, or that of its CA, has expired", "Renew it. Or is the clock of this host wrong?"
	}
	return "its certificate is not from a CA that this client trusts", "The server's certificate must be from the CA in " +
		"MINTONCE_CA_FILE or TLS.CAFile; else, from a CA that this host trusts."
}

func (l link) notRunning(proxy string) string {
	text := "Is mintonced running, and at " + visible(l.target, maxShown) + "? " + whereHint
	if proxy != "" {
		text += " The connection goes through the proxy of the variable " + proxy + ": is that meant?"
	}
	return text
}

func (l link) hint() string {
	switch {
	case !l.tls:
		return "The connection is in clear. Does the server speak TLS? " + tlsHint
	case !l.showsCertificate:
		return "The client shows no certificate: if the server wants one, set MINTONCE_CERTIFICATE_FILE."
	}
	return "Is this client's certificate in date, and from a CA that the server trusts?"
}

// proxy names the variable that leads the connection to a proxy, as net/http reads them; "" for none. Its value may hold a
// password.
func (l link) proxy() string {
	if !l.mayUseProxy || strings.HasPrefix(l.target, "unix:") {
		return ""
	}
	for _, name := range []string{"HTTPS_PROXY", "https_proxy"} {
		if os.Getenv(name) != "" {
			return name
		}
	}
	return ""
}
