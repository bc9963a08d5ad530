package mintonce_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	mintonce "github.com/mintonce/mintonce/client/go"
	"github.com/mintonce/mintonce/client/go/internal/scripted"
)

// authority issues certificates.
type authority struct {
	t           *testing.T
	folder      string
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	file        string
	serial      int64
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, folder: t.TempDir(), serial: 1}
	a.key, _ = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &a.key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	a.certificate, _ = x509.ParseCertificate(der)
	a.file = write(t, filepath.Join(a.folder, "ca.pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	return a
}

// issue writes a certificate with its key in PKCS#8, and one file with both.
func (a *authority) issue(name string) (certificateFile, keyFile string, both []byte) {
	a.t.Helper()
	a.serial++
	key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(a.serial), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{name}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if ip := net.ParseIP(name); ip != nil {
		template.DNSNames, template.IPAddresses = nil, []net.IP{ip}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, &key.PublicKey, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	pkcs8, _ := x509.MarshalPKCS8PrivateKey(key)
	certificatePEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
	return write(a.t, filepath.Join(a.folder, name+".pem"), certificatePEM),
		write(a.t, filepath.Join(a.folder, name+".key"), keyPEM), append(certificatePEM, keyPEM...)
}

// serve starts a server that wants certificates of the authority, and says which names have shown one.
func (a *authority) serve(name string) (*scripted.Server, func() []string) {
	certificateFile, keyFile, _ := a.issue(name)
	pair, err := tls.LoadX509KeyPair(certificateFile, keyFile)
	if err != nil {
		a.t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(a.certificate)
	var mu sync.Mutex
	var names []string
	config := &tls.Config{
		Certificates: []tls.Certificate{pair}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS12,
		VerifyConnection: func(state tls.ConnectionState) error {
			mu.Lock()
			defer mu.Unlock()
			names = append(names, state.PeerCertificates[0].Subject.CommonName)
			return nil
		},
	}
	return scripted.New(a.t, grpc.Creds(credentials.NewTLS(config))), func() []string {
		mu.Lock()
		defer mu.Unlock()
		return append([]string(nil), names...)
	}
}

func write(t *testing.T, path string, content []byte) string {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// logBuffer is a log that goroutines write to.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}
func (b *logBuffer) String() string { b.mu.Lock(); defer b.mu.Unlock(); return b.text.String() }

func TestMutualTLSFollowsItsFiles(t *testing.T) {
	a := newAuthority(t)
	server, names := a.serve("127.0.0.1")
	_, _, first := a.issue("first")
	_, _, second := a.issue("second")
	file := write(t, filepath.Join(a.folder, "me.pem"), first) // certificate and key in one file
	var log logBuffer
	client := dial(t, server, mintonce.WithTLS(mintonce.TLS{CAFile: a.file, CertificateFile: file}),
		mintonce.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
	source, err := mintonce.NewSource(t.Context(), "billing", mintonce.WithClient(client))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = source.Close() })
	eventually(t, "it watches", func() bool { return server.Watching() == 1 })
	write(t, file, []byte("broken, with a secret-part"))
	eventually(t, "it warns", func() bool {
		if _, err := client.Get(t.Context(), key); err != nil {
			t.Fatal(err)
		}
		return log.String() != ""
	})
	write(t, file, second)
	eventually(t, "the second certificate is shown", func() bool {
		if _, err := client.Get(t.Context(), key); err != nil {
			t.Fatal(err)
		}
		shown := names()
		return shown[len(shown)-1] == "second"
	})
	if shown := strings.Join(names(), " "); shown != "first second" {
		t.Errorf("shown: %s", shown)
	}
	if text := log.String(); strings.Count(text, "WARN") != 1 || strings.Contains(text, "secret") || !strings.Contains(text, file) {
		t.Errorf("log: %s", text)
	}
	// The watch goes on, on the old connection.
	if server.Calls(scripted.Watch) != 1 || server.Watching() != 1 {
		t.Errorf("%d watches were begun, %d are open", server.Calls(scripted.Watch), server.Watching())
	}
	if lines := client.Lines(); lines != 2 {
		t.Errorf("%d connections", lines)
	}
	_ = source.Close()
	eventually(t, "the old connection closes with its last call", func() bool { return client.Lines() == 1 })
}

func TestHintsSayWhatIsWrong(t *testing.T) {
	a, other := newAuthority(t), newAuthority(t)
	secured, _ := a.serve("127.0.0.1")
	elsewhere, _ := a.serve("elsewhere.example")
	clear := scripted.New(t)
	certificateFile, keyFile, _ := a.issue("me")
	full := mintonce.TLS{CAFile: a.file, CertificateFile: certificateFile, KeyFile: keyFile}
	wrongCA, noCertificate, named := full, full, full
	wrongCA.CAFile = other.file
	noCertificate.CertificateFile, noCertificate.KeyFile = "", ""
	named.ServerName = "elsewhere.example"
	cases := map[string]struct {
		server *scripted.Server
		option mintonce.Option
		hint   string // "": it works
	}{
		"all is well":           {secured, mintonce.WithTLS(full), ""},
		"a server name":         {elsewhere, mintonce.WithTLS(named), ""},
		"another CA":            {secured, mintonce.WithTLS(wrongCA), "not from a CA that this client trusts"},
		"another name":          {elsewhere, mintonce.WithTLS(full), "its certificate is for another name"},
		"no certificate":        {secured, mintonce.WithTLS(noCertificate), "The client shows no certificate"},
		"TLS to a clear server": {clear, mintonce.WithTLS(full), "it does not speak TLS"},
		"clear to a TLS server": {secured, mintonce.WithoutTLS(), "The connection is in clear"},
	}
	for name, each := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := dial(t, each.server, each.option).Get(t.Context(), key)
			if each.hint == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if !errors.Is(err, mintonce.ErrUnreachable) || !strings.Contains(err.Error(), each.hint) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestABearerFollowsItsFile(t *testing.T) {
	server := scripted.New(t)
	file := write(t, filepath.Join(t.TempDir(), "bearer"), []byte("one\n"))
	var log logBuffer
	client := dial(t, server, mintonce.WithBearerFile(file), mintonce.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
	sent := func() string {
		if _, err := client.Get(t.Context(), key); err != nil {
			t.Fatal(err)
		}
		return strings.Join(server.Metadata(scripted.Get, "authorization"), ",")
	}
	if got := sent(); got != "Bearer one" {
		t.Errorf("sent %q", got)
	}
	write(t, file, []byte("not one secret"))
	eventually(t, "it warns", func() bool { return sent() == "Bearer one" && log.String() != "" })
	write(t, file, []byte("two"))
	eventually(t, "the new one is sent", func() bool { return sent() == "Bearer two" })
	if text := log.String(); strings.Count(text, "WARN") != 1 || strings.Contains(text, "secret") {
		t.Errorf("log: %s", text)
	}
}

func TestCredentialsThatCannotBeUsed(t *testing.T) {
	a := newAuthority(t)
	certificateFile, keyFile, _ := a.issue("me")
	_, otherKey, _ := a.issue("other")
	folder := t.TempDir()
	encrypted := write(t, filepath.Join(folder, "encrypted.key"),
		pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte("secret")}))
	empty := write(t, filepath.Join(folder, "empty"), nil)
	large := write(t, filepath.Join(folder, "large"), make([]byte, 1<<20+1))
	words := write(t, filepath.Join(folder, "words"), []byte("secret words"))
	token := write(t, filepath.Join(folder, "token"), []byte("t"))
	cases := map[string]struct {
		options []mintonce.ClientOption
		says    string
	}{
		"no file":          {[]mintonce.ClientOption{mintonce.WithBearerFile(folder + "/none")}, "no such file"},
		"a folder":         {[]mintonce.ClientOption{mintonce.WithBearerFile(folder)}, "not a regular file"},
		"an empty bearer":  {[]mintonce.ClientOption{mintonce.WithBearerFile(empty)}, "is empty"},
		"a large bearer":   {[]mintonce.ClientOption{mintonce.WithBearerFile(large)}, "more than"},
		"words":            {[]mintonce.ClientOption{mintonce.WithAPIKeyFile(words)}, "RFC 6750"},
		"in clear, afar":   {[]mintonce.ClientOption{mintonce.WithBearerFile(token), mintonce.WithTarget("mintonce.example:1")}, "in clear"},
		"no authorities":   {[]mintonce.ClientOption{mintonce.WithTLS(mintonce.TLS{CAFile: words})}, "no certificates of authorities"},
		"another key":      {[]mintonce.ClientOption{mintonce.WithTLS(mintonce.TLS{CertificateFile: certificateFile, KeyFile: otherKey})}, "do not belong together"},
		"an encrypted key": {[]mintonce.ClientOption{mintonce.WithTLS(mintonce.TLS{CertificateFile: certificateFile, KeyFile: encrypted})}, "openssl pkcs8 -topk8 -nocrypt -in " + encrypted},
		"a key alone":      {[]mintonce.ClientOption{mintonce.WithTLS(mintonce.TLS{CertificateFile: keyFile})}, "no certificate with its unencrypted key"},
	}
	for name, each := range cases {
		_, err := mintonce.NewClient(each.options...)
		failure := asError(t, err)
		if !errors.Is(err, mintonce.ErrRefused) || failure.Reason != "CREDENTIALS" || !strings.Contains(err.Error(), each.says) ||
			strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAUnixSocketAndAName(t *testing.T) {
	server := scripted.New(t)
	_, port, _ := net.SplitHostPort(server.Target())
	server.Stop()
	for _, target := range []string{"dns:///localhost:" + port, "localhost:" + port} {
		server.Start()
		client, err := mintonce.NewClient(mintonce.WithTarget(target))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := client.Get(t.Context(), key); err != nil {
			t.Errorf("%s: %v", target, err)
		}
		_ = client.Close()
		server.Stop()
	}
	path := filepath.Join(t.TempDir(), "s")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	server.Serve(listener)
	client, err := mintonce.NewClient(mintonce.WithTarget("unix:" + path))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := client.Get(t.Context(), key); err != nil {
		t.Error(err)
	}
}

func TestTheEnvironmentDecidesWhatOptionsLeaveOpen(t *testing.T) {
	server := scripted.New(t)
	a := newAuthority(t)
	certificateFile, keyFile, _ := a.issue("me")
	secured, _ := a.serve("127.0.0.1")
	bearer := write(t, filepath.Join(t.TempDir(), "bearer"), []byte("from-the-environment"))
	cases := map[string]struct {
		environment map[string]string
		options     []mintonce.ClientOption
		says        string // "": it works
	}{
		"target":             {map[string]string{"TARGET": server.Target()}, nil, ""},
		"an option wins":     {map[string]string{"TARGET": "127.0.0.1:1"}, []mintonce.ClientOption{mintonce.WithTarget(server.Target())}, ""},
		"a URL":              {map[string]string{"TARGET": "https://user:secret@x:1/y"}, nil, "Write it without: x:1."},
		"mutual TLS":         {map[string]string{"TARGET": secured.Target(), "CA_FILE": a.file, "CERTIFICATE_FILE": certificateFile, "KEY_FILE": keyFile}, nil, ""},
		"TLS":                {map[string]string{"TARGET": server.Target(), "TLS": "YES"}, nil, "it does not speak TLS"},
		"no TLS":             {map[string]string{"TARGET": server.Target(), "TLS": "off"}, nil, ""},
		"maybe TLS":          {map[string]string{"TLS": "maybe"}, nil, "neither true nor false"},
		"no TLS, but a CA":   {map[string]string{"TLS": "no", "CA_FILE": a.file}, nil, "MINTONCE_TLS says no, but MINTONCE_CA_FILE is set"},
		"a key alone":        {map[string]string{"KEY_FILE": keyFile}, nil, "MINTONCE_KEY_FILE is set without"},
		"in clear, whatever": {map[string]string{"TARGET": server.Target(), "CA_FILE": a.file}, []mintonce.ClientOption{mintonce.WithoutTLS()}, ""},
		"a bearer":           {map[string]string{"TARGET": server.Target(), "BEARER_FILE": bearer}, nil, ""},
		"two bearers":        {map[string]string{"BEARER_FILE": bearer, "API_KEY_FILE": bearer}, nil, "are both set"},
		"no bearer":          {map[string]string{"TARGET": "x.example:1", "BEARER_FILE": bearer}, []mintonce.ClientOption{mintonce.WithoutBearer(), mintonce.WithTarget(server.Target())}, ""},
		"empty is unset":     {map[string]string{"TARGET": server.Target(), "TLS": "", "CA_FILE": "", "KEY_FILE": "", "BEARER_FILE": ""}, nil, ""},
	}
	for name, each := range cases {
		t.Run(name, func(t *testing.T) {
			for _, variable := range []string{"TARGET", "TLS", "CA_FILE", "CERTIFICATE_FILE", "KEY_FILE", "SERVER_NAME", "BEARER_FILE", "API_KEY_FILE"} {
				t.Setenv("MINTONCE_"+variable, each.environment[variable])
			}
			t.Setenv("http_proxy", "http://127.0.0.1:1")
			t.Setenv("https_proxy", "http://127.0.0.1:1")
			client, err := mintonce.NewClient(each.options...)
			if err == nil {
				defer client.Close()
				_, err = client.Get(t.Context(), key)
			}
			if each.says == "" && err != nil || each.says != "" && (err == nil || !strings.Contains(err.Error(), each.says)) {
				t.Errorf("got %v", err)
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("got %v", err)
			}
			if name == "a bearer" && server.Metadata(scripted.Get, "authorization")[0] != "Bearer from-the-environment" {
				t.Error("it was not sent")
			}
			if name == "no bearer" && len(server.Metadata(scripted.Get, "authorization")) != 0 {
				t.Error("it was sent")
			}
		})
	}
}
