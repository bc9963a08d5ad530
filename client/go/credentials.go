package mintonce

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"time"

	"google.golang.org/grpc/credentials"
)

const (
	tlsRemedy = "The files must be there, be PEM, and belong together: see MINTONCE_CA_FILE, MINTONCE_CERTIFICATE_FILE and " +
		"MINTONCE_KEY_FILE, or WithTLS."
	bearerRemedy = "The file must hold one bearer token or API key and nothing else: see MINTONCE_BEARER_FILE and " +
		"MINTONCE_API_KEY_FILE, WithBearerFile and WithAPIKeyFile."
	longestBearer = 8192 // bytes: what gRPC servers take as metadata by default
)

// RFC 6750, section 2.1. JWTs (RFC 7515) and the API keys of mintonced are such.
var bearerText = regexp.MustCompile(`^[A-Za-z0-9._~+/-]+=*$`)

func sinceBase() time.Duration { return time.Since(base) }

// watchBearer follows a file whose content goes as `authorization: Bearer …`.
func watchBearer(path string, logger *slog.Logger) (*watched[func() string], error) {
	return watch(logger, bearerRemedy, sinceBase, []string{path}, func(contents [][]byte) (func() string, error) {
		text := string(bytes.TrimSpace(contents[0]))
		switch {
		case text == "":
			return nil, fileFault(path + " is empty")
		case len(text) > longestBearer:
			return nil, fileFault(fmt.Sprintf("%s has more than %d bytes", path, longestBearer))
		case !bearerText.MatchString(text):
			return nil, fileFault(path + " holds something else than one bearer token (RFC 6750, section 2.1)")
		}
		return func() string { return "Bearer " + text }, nil // a function, which no printer looks into
	})
}

// watchTLS follows the files of a TLS connection. Each change of their content makes new credentials.
func watchTLS(settings TLS, logger *slog.Logger) (*watched[credentials.TransportCredentials], error) {
	var paths []string
	for _, path := range []string{settings.CAFile, settings.CertificateFile, settings.KeyFile} {
		if path != "" {
			paths = append(paths, path)
		}
	}
	load := func(contents [][]byte) (credentials.TransportCredentials, error) {
		config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: settings.ServerName}
		if settings.CAFile != "" {
			roots, err := authorities(settings.CAFile, contents[0])
			if err != nil {
				return nil, err
			}
			config.RootCAs, contents = roots, contents[1:]
		}
		if settings.CertificateFile != "" {
			// With one file, the first and the last are the same.
			pair, err := keyPair(settings, contents[0], contents[len(contents)-1])
			if err != nil {
				return nil, err
			}
			config.Certificates = []tls.Certificate{pair}
		}
		return credentials.NewTLS(config), nil
	}
	return watch(logger, tlsRemedy, sinceBase, paths, load)
}

// authorities reads every certificate in a bundle, and is stricter than x509.CertPool.AppendCertsFromPEM, which passes over
// what it cannot read.
func authorities(path string, content []byte) (*x509.CertPool, error) {
	pool, found := x509.NewCertPool(), false
	for block, rest := pem.Decode(content); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fileFault(path + " holds no certificates of authorities: one of them is malformed")
		}
		pool.AddCert(certificate)
		found = true
	}
	if !found {
		return nil, fileFault(path + " holds no certificates of authorities: there is none in PEM")
	}
	return pool, nil
}

func keyPair(settings TLS, certificate, key []byte) (tls.Certificate, error) {
	pair, err := tls.X509KeyPair(certificate, key)
	if err == nil {
		return pair, nil
	}
	files, keyFile := settings.CertificateFile+" is", settings.CertificateFile
	if settings.KeyFile != "" {
		files, keyFile = settings.CertificateFile+" and "+settings.KeyFile+" are", settings.KeyFile
	}
	fault := files + " no certificate with its unencrypted key"
	// crypto/tls says what is wrong in words that hold nothing of the files but PEM block types: they stay out, too.
	switch {
	case bytes.Contains(key, []byte("ENCRYPTED")):
		fault += ": the key is encrypted. This command decrypts it: openssl pkcs8 -topk8 -nocrypt -in " + keyFile +
			" -out " + keyFile + ".p8"
	case strings.Contains(err.Error(), "does not match"):
		fault += ": they do not belong together"
	case strings.Contains(err.Error(), "parse private key"):
		fault += ": the key is of a kind that crypto/tls does not take. This command converts it: " +
			"openssl pkcs8 -topk8 -nocrypt -in " + keyFile + " -out " + keyFile + ".p8"
	case errors.As(err, new(x509.UnhandledCriticalExtension)):
		fault += ": the certificate has an extension that is not understood"
	}
	return tls.Certificate{}, fileFault(fault)
}
