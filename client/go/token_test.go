package mintonce_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	mintonce "github.com/mintonce/mintonce/client/go"
	"github.com/mintonce/mintonce/client/go/internal/scripted"
	pb "github.com/mintonce/mintonce/client/go/mintoncev1"
)

func TestNothingPrintsTheText(t *testing.T) {
	server := scripted.New(t)
	source := open(t, server)
	token := get(t, source)
	server.Fail(scripted.Reject, scripted.Failure(codes.ResourceExhausted, "ROTATION_TOO_SOON", 0))
	_, failure := source.Reject(t.Context(), token)
	values := map[string]any{
		"token": token, "copied": *token, "nested": struct{ Token *mintonce.Token }{token}, "hidden": struct{ t mintonce.Token }{*token},
		"slice": []*mintonce.Token{token}, "map": map[string]any{"t": token}, "source": source, "client": dial(t, server),
		"error": failure, "option": mintonce.WithBearerFile("secret-path"),
	}
	for name, value := range values {
		var texts []string
		verbs := []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X"}
		if name != "source" && name != "client" { // which change while numbers of theirs would be read
			verbs = append(verbs, "%d", "%t", "%c")
		}
		for _, verb := range verbs {
			texts = append(texts, fmt.Sprintf(verb, value))
		}
		if name != "source" && name != "client" && name != "option" {
			asJSON, err := json.Marshal(value)
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			texts = append(texts, string(asJSON))
		}
		var log strings.Builder
		slog.New(slog.NewTextHandler(&log, nil)).Info("x", "value", value)
		slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "value", value)
		texts = append(texts, log.String())
		for _, text := range texts {
			if strings.Contains(text, "secret") || strings.Contains(strings.ToLower(text), fmt.Sprintf("%x", "secret")) {
				t.Errorf("%s: %s", name, text)
			}
		}
	}
	if text := token.String(); !strings.Contains(text, "[redacted]") || !strings.Contains(text, "generation=101") {
		t.Errorf("got %s", text)
	}
	var none *mintonce.Token
	if text := fmt.Sprint(none); text != "Token(nil)" {
		t.Errorf("got %s", text)
	}
}

func TestAPrintedListIsVisible(t *testing.T) {
	const evil = "a\x1b[31m\nINJECTED"
	page := &mintonce.TokenPage{NextPageToken: evil, Tokens: []mintonce.TokenSummary{{
		Key: mintonce.Key{Client: evil, Audience: evil, Scopes: []string{evil}}, Generation: 7, ExpiresIn: time.Minute, KeyHash: evil,
	}}}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		text := fmt.Sprintf(verb, page)
		if strings.ContainsAny(text, "\x1b\n") || !strings.Contains(text, `a\x1b[31m\nINJECTED`) || !strings.Contains(text, "7") {
			t.Errorf("%s: %s", verb, text)
		}
	}
}

func TestTheHeaderHasTheSchemeThatAPIsKnow(t *testing.T) {
	server := scripted.New(t)
	client := dial(t, server)
	for tokenType, header := range map[string]string{
		"": "Bearer secret-", "bearer": "Bearer secret-", "BEARER": "Bearer secret-", "DPoP": "DPoP secret-",
	} {
		server.Publish()
		server.Change(func(token *pb.Token) { token.TokenType = tokenType })
		token, err := client.Get(t.Context(), key)
		if err != nil || !strings.HasPrefix(token.Header(), header) || token.Type() != tokenType {
			t.Errorf("%q: %v, %v", tokenType, token, err)
		}
	}
}

func TestEqualityIsByValue(t *testing.T) {
	server := scripted.New(t)
	source := open(t, server)
	first := get(t, source)
	copied := *first
	second, err := source.Reject(t.Context(), first)
	if err != nil {
		t.Fatal(err)
	}
	if !first.Equal(&copied) || first.Equal(second) || first.Equal(nil) {
		t.Error("Equal is wrong")
	}
	if first.Fingerprint() == second.Fingerprint() || first.ExpireTime().Before(time.Now()) {
		t.Error("fingerprint or expiry is wrong")
	}
}
