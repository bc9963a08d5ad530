package mintonce_test

import (
	"testing"
	"time"

	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"

	mintonce "github.com/mintonce/mintonce/client/go"
	"github.com/mintonce/mintonce/client/go/internal/scripted"
)

// several is a target that names these servers, as a name with several addresses does.
func several(t *testing.T, scheme string, servers ...*scripted.Server) string {
	t.Helper()
	names := manual.NewBuilderWithScheme(scheme)
	var addresses []resolver.Address
	for _, server := range servers {
		addresses = append(addresses, resolver.Address{Addr: server.Target()})
	}
	names.InitialState(resolver.State{Addresses: addresses})
	resolver.Register(names)
	return scheme + ":///replicas"
}

func TestCallsAreSpreadOverAllReplicasAndLeaveOneThatEnds(t *testing.T) {
	one, other := scripted.New(t), scripted.New(t)
	client, err := mintonce.NewClient(
		mintonce.WithTarget(several(t, "spread", one, other)), mintonce.WithTimeout(time.Second),
	)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	eventually(t, "both are asked", func() bool {
		if _, err := client.Get(t.Context(), mintonce.Key{Client: "billing"}); err != nil {
			t.Fatal(err)
		}
		return one.Calls("GetToken") > 0 && other.Calls("GetToken") > 0
	})
	one.Stop()
	for range 20 {
		if _, err := client.Get(t.Context(), mintonce.Key{Client: "billing"}); err != nil {
			t.Fatal(err)
		}
	}
}
