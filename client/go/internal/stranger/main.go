// Command stranger calls Mintonce with nothing but grpc-go and the generated stubs, as a program without our client does.
// The environment names the server and the files of its own certificate; see conformance/README.md, "Strangers".
package main

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"log"
	"os"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	pb "github.com/mintonce/mintonce/client/go/mintoncev1"
)

type answer struct {
	Token     string `json:"token"`
	Watched   string `json:"watched"`
	Refused   string `json:"refused"`
	Rejected  bool   `json:"rejected"`
	Successor string `json:"successor"`
}

func main() {
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func run() error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	secure, err := transport()
	if err != nil {
		return err
	}
	connection, err := grpc.NewClient(os.Getenv("TARGET"), grpc.WithTransportCredentials(secure))
	if err != nil {
		return err
	}
	defer connection.Close()
	service := pb.NewTokenServiceClient(connection)
	key := &pb.TokenKey{Client: os.Getenv("CLIENT"), Audience: os.Getenv("AUDIENCE")}
	var said answer

	got, err := service.GetToken(ctx, &pb.GetTokenRequest{Key: key})
	if err != nil {
		return err
	}
	said.Token = digest(got.GetToken())

	watch, err := service.WatchToken(ctx, &pb.WatchTokenRequest{Key: key})
	if err != nil {
		return err
	}
	first, err := watch.Recv()
	if err != nil {
		return err
	}
	said.Watched = digest(first.GetToken())

	_, err = service.GetToken(ctx, &pb.GetTokenRequest{Key: &pb.TokenKey{Client: "nobody", Audience: key.Audience}})
	said.Refused = reason(err)

	rejected, err := service.RejectToken(ctx, &pb.RejectTokenRequest{
		Key: key, Rejected: &pb.RejectTokenRequest_Generation{Generation: got.GetToken().GetGeneration()},
	})
	if err != nil {
		return err
	}
	said.Rejected = rejected.GetWasCurrent()

	next, err := service.GetToken(ctx, &pb.GetTokenRequest{Key: key})
	if err != nil {
		return err
	}
	said.Successor = digest(next.GetToken())
	return json.NewEncoder(os.Stdout).Encode(said)
}

func transport() (credentials.TransportCredentials, error) {
	own, err := tls.LoadX509KeyPair(os.Getenv("CERTIFICATE_FILE"), os.Getenv("KEY_FILE"))
	if err != nil {
		return nil, err
	}
	authority, err := os.ReadFile(os.Getenv("CA_FILE"))
	if err != nil {
		return nil, err
	}
	trusted := x509.NewCertPool()
	if !trusted.AppendCertsFromPEM(authority) {
		return nil, errors.New("no certificate in CA_FILE")
	}
	return credentials.NewTLS(&tls.Config{Certificates: []tls.Certificate{own}, RootCAs: trusted}), nil
}

func digest(token *pb.Token) string {
	sum := sha256.Sum256([]byte(token.GetAccessToken()))
	return hex.EncodeToString(sum[:])
}

// reason is what the details of the status say, such as UNKNOWN_CLIENT; else the code.
func reason(err error) string {
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			return info.GetReason()
		}
	}
	return status.Code(err).String()
}
