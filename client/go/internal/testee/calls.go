package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	rpccode "google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/local"
	"google.golang.org/grpc/status"

	"github.com/mintonce/mintonce/client/go/grpcauth"
	"github.com/mintonce/mintonce/client/go/httpauth"
	pb "github.com/mintonce/mintonce/client/go/mintoncev1"
)

func (t *testee) http(ctx context.Context, r *request) answer {
	k, err := t.source(r)
	if err != nil {
		return failed(err)
	}
	if r.Adapter != "net-http" {
		return unsupported("no HTTP adapter is called " + r.Adapter)
	}
	var body io.Reader
	if r.Body != nil && r.Body.Text != nil {
		body = strings.NewReader(*r.Body.Text)
	} else if r.Body != nil && r.Body.Stream != nil {
		body = io.MultiReader(strings.NewReader(*r.Body.Stream)) // a reader of which net/http does not know how to rewind it
	}
	request, err := http.NewRequestWithContext(ctx, r.Method, r.URL, body)
	if err != nil {
		return failed(err)
	}
	client := &http.Client{Transport: &httpauth.Transport{Source: k.Source, Logger: t.logger}}
	response, err := client.Do(request)
	if err != nil {
		return t.failed(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return failed(err)
	}
	return ok(map[string]any{"status": response.StatusCode, "body": string(text)})
}

func (t *testee) grpcCall(ctx context.Context, r *request) answer {
	k, err := t.source(r)
	if err != nil {
		return failed(err)
	}
	if r.Adapter != "grpc-go" || r.Target == nil {
		return unsupported("no gRPC adapter is called " + r.Adapter)
	}
	transport := local.NewCredentials() // in clear, as the README says: Unix sockets and loopback alone
	if with, is := r.TLS.(map[string]any); is {
		files := tlsOf(with)
		config := &tls.Config{ServerName: files.ServerName, MinVersion: tls.VersionTLS12}
		if files.CAFile != "" {
			pem, err := os.ReadFile(files.CAFile)
			if err != nil {
				return failed(err)
			}
			config.RootCAs = x509.NewCertPool()
			config.RootCAs.AppendCertsFromPEM(pem)
		}
		transport = credentials.NewTLS(config)
	}
	conn, err := grpc.NewClient(*r.Target, grpc.WithTransportCredentials(transport),
		grpc.WithPerRPCCredentials(grpcauth.NewCredentials(k.Source)))
	if err != nil {
		return failed(err)
	}
	defer func() { _ = conn.Close() }()
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	_, err = pb.NewTokenServiceClient(conn).GetToken(ctx, &pb.GetTokenRequest{})
	return ok(map[string]any{"code": rpccode.Code(status.Code(err)).String()})
}
