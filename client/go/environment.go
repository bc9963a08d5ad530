package mintonce

import (
	"net/netip"
	"os"
	"regexp"
	"strings"
)

const defaultTarget = "127.0.0.1:50051"

// The variables that decide what the options leave open. An empty one counts as unset.
const (
	envTarget      = "MINTONCE_TARGET"
	envCA          = "MINTONCE_CA_FILE"
	envCertificate = "MINTONCE_CERTIFICATE_FILE"
	envKey         = "MINTONCE_KEY_FILE"
	envServerName  = "MINTONCE_SERVER_NAME"
	envTLS         = "MINTONCE_TLS"
	envBearer      = "MINTONCE_BEARER_FILE"
	envAPIKey      = "MINTONCE_API_KEY_FILE"
)

// way is how to reach the server. A nil tls means in clear, a "" bearerFile none.
type way struct {
	target     string
	tls        *TLS
	bearerFile string
}

// chooseWay combines the options with the environment.
func (s *settings) chooseWay() (way, error) {
	var chosen way
	var err error
	if chosen.tls, err = s.chooseTLS(); err != nil {
		return way{}, err
	}
	if chosen.bearerFile, err = s.chooseBearer(); err != nil {
		return way{}, err
	}
	if chosen.target, err = s.chooseTarget(); err != nil {
		return way{}, err
	}
	if chosen.bearerFile != "" && chosen.tls == nil && !isLocal(chosen.target) {
		return way{}, unusable("a bearer would travel in clear to "+visible(chosen.target, maxShown),
			"Use TLS: set MINTONCE_CA_FILE (or MINTONCE_TLS=true for the authorities of this host), or WithTLS. In clear "+
				"it goes only to a Unix socket or to loopback.")
	}
	return chosen, nil
}

func (s *settings) chooseTLS() (*TLS, error) {
	if s.clear || s.tls != nil {
		return s.tls, nil
	}
	tls := TLS{
		CAFile: os.Getenv(envCA), CertificateFile: os.Getenv(envCertificate),
		KeyFile: os.Getenv(envKey), ServerName: os.Getenv(envServerName),
	}
	wanted, refused, err := tlsSwitch(os.Getenv(envTLS))
	if err != nil {
		return nil, err
	}
	given := ""
	for _, name := range []string{envServerName, envKey, envCertificate, envCA} {
		if os.Getenv(name) != "" {
			given = name
		}
	}
	switch {
	case refused && given != "":
		return nil, unusable(envTLS+" says no, but "+given+" is set", "Unset one of them.")
	case tls.KeyFile != "" && tls.CertificateFile == "":
		return nil, unusable(envKey+" is set without "+envCertificate, "Set both, or neither.")
	case wanted || given != "":
		return &tls, nil
	}
	return nil, nil
}

func tlsSwitch(text string) (wanted, refused bool, err error) {
	switch strings.ToLower(text) {
	case "":
		return false, false, nil
	case "1", "true", "yes", "on":
		return true, false, nil
	case "0", "false", "no", "off":
		return false, true, nil
	}
	return false, false, unusable(envTLS+" is neither true nor false", "Set it to true, or unset it.")
}

func (s *settings) chooseBearer() (string, error) {
	if s.noBearer {
		return "", nil
	}
	if s.bearer != nil {
		if *s.bearer == "" {
			return "", mistake("WithBearerFile: the path is empty")
		}
		return *s.bearer, nil
	}
	token, key := os.Getenv(envBearer), os.Getenv(envAPIKey)
	if token != "" && key != "" {
		return "", unusable(envBearer+" and "+envAPIKey+" are both set", "A call has one identity: set one of them.")
	}
	return token + key, nil
}

var urlScheme = regexp.MustCompile(`^(?i:(https?|grpcs?|tcp))://`)

func (s *settings) chooseTarget() (string, error) {
	target := s.target
	if target == "" {
		target = os.Getenv(envTarget)
	}
	if target == "" {
		target = defaultTarget
	}
	if err := sendable("target", target); err != nil {
		return "", err
	}
	if prefix := urlScheme.FindString(target); prefix != "" {
		rest, _, _ := strings.Cut(target[len(prefix):], "/")
		hint := ""
		if scheme := strings.ToLower(prefix); scheme == "https://" || scheme == "grpcs://" {
			hint = " For TLS, set MINTONCE_CA_FILE or MINTONCE_TLS=true."
		}
		rest = rest[strings.LastIndex(rest, "@")+1:] // what stands before it may be a password
		return "", invalid("the target has a URL's scheme: "+prefix, "Write it without: "+visible(rest, maxShown)+"."+hint)
	}
	// What stands before an @ may be a password; only in the path of a socket it may not.
	if looksSecret(target) || (strings.Contains(target, "@") && !strings.HasPrefix(target, "unix:")) {
		return "", invalid("the target is no address, and is not shown: it may hold a secret",
			"Write it as host:port, unix:PATH or dns:///host:port, without a user, a password or a key.")
	}
	return target, nil
}

// isLocal reports whether a target stays on this host, for only then may a bearer travel in clear: a Unix socket,
// localhost, or addresses of which each is loopback. What is not understood counts as remote.
func isLocal(target string) bool {
	if strings.HasPrefix(target, "unix:") || strings.HasPrefix(target, "unix-abstract:") {
		return true
	}
	for _, scheme := range []string{"dns:", "ipv4:", "ipv6:", "passthrough:"} {
		if rest, found := strings.CutPrefix(target, scheme); found {
			// dns://SERVER/NAME names a name server that could be anywhere; dns:///NAME does not.
			target = strings.TrimPrefix(rest, "///")
			break
		}
	}
	for address := range strings.SplitSeq(target, ",") {
		if !isLoopback(address) {
			return false
		}
	}
	return true
}

func isLoopback(address string) bool {
	host := hostOf(address)
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback() // a name may lead anywhere
}

func hostOf(address string) string {
	if rest, found := strings.CutPrefix(address, "["); found {
		host, port, closed := strings.Cut(rest, "]")
		if !closed || (port != "" && !strings.HasPrefix(port, ":")) {
			return ""
		}
		return host
	}
	if strings.Count(address, ":") > 1 {
		return address
	}
	host, _, _ := strings.Cut(address, ":")
	return host
}
