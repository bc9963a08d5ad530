package mintonce

import (
	"log/slog"
	"time"
)

// DefaultTimeout is the deadline of a call whose context has none. It is as long as the server allows a mint to take.
const DefaultTimeout = 10 * time.Second

// ClientOption sets up a [Client].
type ClientOption interface{ applyClient(*settings) }

// SourceOption sets up a [Source].
type SourceOption interface{ applySource(*settings) }

// Option sets up a [Client], or the one that a [Source] makes for itself.
type Option interface {
	ClientOption
	SourceOption
}

// settings is what the options say. A nil pointer means that the environment decides.
type settings struct {
	target   string
	tls      *TLS
	clear    bool // WithoutTLS
	bearer   *string
	noBearer bool // WithoutBearer
	timeout  time.Duration
	logger   *slog.Logger

	// Of a source alone.
	audience      string
	scopes        []string
	client        *Client
	waitForServer time.Duration
	connects      bool // an option says how to connect

	wrong error // the first mistake in the options
}

type option func(*settings)

func (o option) applyClient(s *settings) { o(s) }
func (o option) applySource(s *settings) { o(s) }

type sourceOption func(*settings)

func (o sourceOption) applySource(s *settings) { o(s) }

// TLS says how to speak TLS to the server. Files are PEM. They are looked at when a call is made, at most once a second,
// and a change of their content gets a new connection for the next call.
type TLS struct {
	// CAFile has who may vouch for the server. "": the authorities that this host trusts.
	CAFile string
	// CertificateFile has the client's certificate and what leads to its authority. "": it shows none.
	CertificateFile string
	// KeyFile has that certificate's key, unencrypted: PKCS#8, SEC 1 or PKCS#1. "": it is in CertificateFile.
	KeyFile string
	// ServerName is what the server's certificate is for. "": the target's host name.
	ServerName string
}

// WithTarget names the server: host:port, unix:PATH, or another name of gRPC such as dns:///host:port. Default: the
// environment's MINTONCE_TARGET, or 127.0.0.1:50051.
func WithTarget(target string) Option {
	return option(func(s *settings) { s.target, s.connects = target, true })
}

// WithTLS speaks TLS. Default: as MINTONCE_CA_FILE, MINTONCE_CERTIFICATE_FILE, MINTONCE_KEY_FILE, MINTONCE_SERVER_NAME and
// MINTONCE_TLS say; else in clear. TLS{} stands for the authorities of this host.
func WithTLS(tls TLS) Option {
	return option(func(s *settings) { s.tls, s.clear, s.connects = &tls, false, true })
}

// WithoutTLS speaks in clear, whatever the environment says.
func WithoutTLS() Option {
	return option(func(s *settings) { s.tls, s.clear, s.connects = nil, true, true })
}

// WithBearerFile sends the bearer token that the file holds, such as a projected token of Kubernetes. The file is read
// again when it changes. It is sent only over TLS, a Unix socket or loopback. Default: as MINTONCE_BEARER_FILE or
// MINTONCE_API_KEY_FILE says, else none.
func WithBearerFile(path string) Option {
	return option(func(s *settings) { s.bearer, s.noBearer, s.connects = &path, false, true })
}

// WithAPIKeyFile sends the API key of mintonced that the file holds, as WithBearerFile does.
func WithAPIKeyFile(path string) Option { return WithBearerFile(path) }

// WithoutBearer sends no bearer, whatever the environment says.
func WithoutBearer() Option {
	return option(func(s *settings) { s.bearer, s.noBearer, s.connects = nil, true, true })
}

// WithTimeout is the deadline of a call, retries included, whose context has none; of a source's own calls; and of a wait
// in Token, Reject and WaitUntilUpdated whose context has none. Default: DefaultTimeout.
func WithTimeout(timeout time.Duration) Option {
	return option(func(s *settings) {
		s.timeout = timeout
		if timeout <= 0 {
			s.wrong = mistake("WithTimeout: every call has a deadline, so it must be above 0")
		}
	})
}

// WithLogger is where warnings go: files that became unusable. Default: slog.Default().
func WithLogger(logger *slog.Logger) Option {
	return option(func(s *settings) { s.logger = logger })
}

// WithAudience is the API that the token is for. Default: the issuer's own.
func WithAudience(audience string) SourceOption {
	return sourceOption(func(s *settings) { s.audience = audience })
}

// WithScopes are the scopes to ask for (RFC 6749, section 3.3). Their order does not matter. A single string is split at
// its spaces. Default: the issuer's own.
func WithScopes(scopes ...string) SourceOption {
	return sourceOption(func(s *settings) { s.scopes = scopes })
}

// WithClient lets the source make its calls by a client that others use, too. It stays the caller's to close, after the
// source. How to connect is then said to that client.
func WithClient(client *Client) SourceOption {
	return sourceOption(func(s *settings) { s.client = client })
}

// WithWaitForServer lets NewSource wait for a server that is not there yet, for that long at most: a server that cannot be
// reached, or that drains, is tried again with growing pauses. Any other error ends it at once. Default: no wait.
func WithWaitForServer(limit time.Duration) SourceOption {
	return sourceOption(func(s *settings) { s.waitForServer = limit })
}

func clientSettings(options []ClientOption) (*settings, error) {
	s := &settings{}
	for _, option := range options {
		option.applyClient(s)
	}
	return s.complete()
}

func sourceSettings(options []SourceOption) (*settings, error) {
	s := &settings{}
	for _, option := range options {
		option.applySource(s)
	}
	if s.client != nil && s.connects {
		return nil, mistake("WithClient: say how to connect to that client, not to the source that shares it")
	}
	return s.complete()
}

func (s *settings) complete() (*settings, error) {
	if s.tls != nil && s.tls.KeyFile != "" && s.tls.CertificateFile == "" {
		s.wrong = mistake("TLS: KeyFile needs CertificateFile")
	}
	if s.timeout == 0 {
		s.timeout = DefaultTimeout
		if s.client != nil {
			s.timeout = s.client.timeout
		}
	}
	if s.logger == nil {
		s.logger = slog.Default()
	}
	return s, s.wrong
}

// mistake is an error of the program, not of a call: it is no *Error.
type mistake string

func (m mistake) Error() string { return "mintonce: " + string(m) }
