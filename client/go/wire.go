package mintonce

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/mintonce/mintonce/client/go/mintoncev1"
)

// Key names one shared token: all callers that send the same key get the same token.
type Key struct {
	// Client is the name under which the OAuth client is registered with the server.
	Client string
	// Audience is the API that the token is for. "": the issuer's default.
	Audience string
	// Scopes are those of RFC 6749, section 3.3. Their order does not matter. A single string is split at its spaces.
	// None: the issuer's default.
	Scopes []string
}

// String quotes the texts: a terminal would obey their control characters.
func (k Key) String() string {
	return fmt.Sprintf("Key(client=%q, audience=%q, scopes=%q)", k.Client, k.Audience, k.Scopes)
}

func (k Key) message() (*pb.TokenKey, error) {
	scopes := k.Scopes
	if len(scopes) == 1 {
		scopes = strings.Fields(scopes[0])
	}
	for _, scope := range scopes {
		if err := sendable("scope", scope); err != nil {
			return nil, err
		}
	}
	if err := sendable("client", k.Client); err != nil {
		return nil, err
	}
	if err := sendable("audience", k.Audience); err != nil {
		return nil, err
	}
	return &pb.TokenKey{Client: k.Client, Audience: k.Audience, Scopes: slices.Clone(scopes)}, nil
}

// TokenSummary is a live token without its text.
type TokenSummary struct {
	Key        Key
	Generation int64
	ExpiresIn  time.Duration // as of the answer
	RefreshIn  time.Duration // as of the answer
	KeyHash    string        // the name of the key in the store and in logs
}

// String quotes the texts, as [Key.String] does.
func (s TokenSummary) String() string {
	return fmt.Sprintf("TokenSummary(%v, generation=%d, expires_in=%v, refresh_in=%v, key_hash=%q)",
		s.Key, s.Generation, s.ExpiresIn, s.RefreshIn, s.KeyHash)
}

// TokenPage is a page of a list of live tokens, sorted by client, audience and scopes.
type TokenPage struct {
	Tokens []TokenSummary
	// NextPageToken leads to the next page. "" on the last one.
	NextPageToken string
	// Incomplete says that a part of the store could not be reached, and that its tokens are missing.
	Incomplete bool
}

// String quotes the texts, as [Key.String] does.
func (p TokenPage) String() string {
	return fmt.Sprintf("TokenPage(%v, next_page_token=%q, incomplete=%t)", p.Tokens, p.NextPageToken, p.Incomplete)
}

// Rotation has the generations before and after a rotation.
type Rotation struct {
	PreviousGeneration int64 // 0: there was none
	Generation         int64
}

var (
	// Visible ASCII, of which the tokens of RFC 6750, section 2.1, are made.
	tokenText = regexp.MustCompile(`^[!-~]+$`)
	// A token of RFC 9110, section 5.6.2. An empty one counts as Bearer.
	tokenType = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]*$")
)

// tokenOf reads a token, and refuses one that no Authorization header can hold. anchor is the instant that its life is
// counted from: when the call was sent, or for a pushed successor when it came.
func tokenOf(message *pb.Token, anchor float64) (*Token, error) {
	if !tokenText.MatchString(message.GetAccessToken()) || !tokenType.MatchString(message.GetTokenType()) {
		return nil, &Error{
			Reason: reasonInternal, Message: "the server sent a token that no header can hold", Code: codes.Unknown,
			Remedy: "Is this target a mintonced, of a version that fits this client?",
		}
	}
	token := newToken(message.GetAccessToken(), message.GetTokenType())
	token.scopes = message.GetScopes()
	token.generation = message.GetGeneration()
	token.expiresAt = anchor + seconds(message.GetExpiresIn())
	token.refreshAt = anchor + seconds(message.GetRefreshIn())
	token.expireTime = message.GetExpireTime().AsTime()
	token.degraded = message.GetDegraded()
	switch message.GetOrigin() {
	case pb.Origin_ORIGIN_MEMORY:
		token.origin = OriginMemory
	case pb.Origin_ORIGIN_STORE:
		token.origin = OriginStore
	case pb.Origin_ORIGIN_MINT:
		token.origin = OriginMint
	default:
		token.origin = OriginUnknown
	}
	return token, nil
}

func pageOf(response *pb.ListTokensResponse) *TokenPage {
	page := &TokenPage{NextPageToken: response.GetNextPageToken(), Incomplete: response.GetIncomplete()}
	for _, each := range response.GetTokens() {
		key := each.GetKey()
		page.Tokens = append(page.Tokens, TokenSummary{
			Key:        Key{Client: key.GetClient(), Audience: key.GetAudience(), Scopes: key.GetScopes()},
			Generation: each.GetGeneration(),
			ExpiresIn:  each.GetExpiresIn().AsDuration(),
			RefreshIn:  each.GetRefreshIn().AsDuration(),
			KeyHash:    each.GetKeyHash(),
		})
	}
	return page
}

func seconds(d *durationpb.Duration) float64 {
	return float64(d.GetSeconds()) + float64(d.GetNanos())/1e9
}
