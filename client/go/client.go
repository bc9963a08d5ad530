package mintonce

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/mintonce/mintonce/client/go/mintoncev1"
)

// Client makes the calls of mintonced. It is safe for concurrent use. Keep it, and close it when done.
//
// To send one token again and again, use a [Source]: it reads memory where Get makes a call.
//
// A call whose context has no deadline gets the client's timeout. Errors are as [Error] says.
type Client struct {
	connection *connection
	timeout    time.Duration
}

// NewClient makes a client. It does not connect: the first call does.
func NewClient(options ...ClientOption) (*Client, error) {
	s, err := clientSettings(options)
	if err != nil {
		return nil, err
	}
	return newClient(s)
}

func newClient(s *settings) (*Client, error) {
	connection, err := connect(s)
	if err != nil {
		return nil, err
	}
	return &Client{connection: connection, timeout: s.timeout}, nil
}

// GetOption changes what [Client.Get] asks for.
type GetOption func(*pb.GetTokenRequest)

// WithMinTTL is the lifetime that the token should have left: a token with less is replaced first. The server honours at
// most half of a token's lifetime.
func WithMinTTL(lifetime time.Duration) GetOption {
	return func(request *pb.GetTokenRequest) { request.MinTtl = durationpb.New(lifetime) }
}

// Get returns the live token of a key, which is minted if there is none.
func (c *Client) Get(ctx context.Context, key Key, options ...GetOption) (*Token, error) {
	return c.get(ctx, key, c.timeout, options...)
}

func (c *Client) get(ctx context.Context, key Key, timeout time.Duration, options ...GetOption) (*Token, error) {
	message, err := key.message()
	if err != nil {
		return nil, err
	}
	request := &pb.GetTokenRequest{Key: message}
	for _, option := range options {
		option(request)
	}
	sentAt := now()
	response, err := call(ctx, c, timeout, func(ctx context.Context, l *line, trailer grpc.CallOption) (*pb.GetTokenResponse, error) {
		return l.tokens.GetToken(ctx, request, trailer)
	})
	if err != nil {
		return nil, err
	}
	return tokenOf(response.GetToken(), sentAt)
}

// Watch gives the live token of a key, then each successor as it is committed. It has no deadline but that of ctx.
//
// The sequence ends after an error: that of ctx, or an [Error] when the server drains or is lost. It ends without one when
// the server ends the watch. A break ends the watch at the server. A [Source] goes on where a watch ends.
func (c *Client) Watch(ctx context.Context, key Key) iter.Seq2[*Token, error] {
	return func(yield func(*Token, error) bool) {
		message, err := key.message()
		if err != nil {
			yield(nil, err)
			return
		}
		watchCtx, cancel := context.WithCancel(ctx)
		defer cancel()
		watchCtx, l, release, err := c.connection.open(watchCtx)
		if err != nil {
			yield(nil, err)
			return
		}
		defer release()
		defer cancel() // before the release: the stream is over when its line may close
		// The first message answers the call; what is pushed later was on its way for a part of a round trip.
		anchor := now()
		stream, err := l.tokens.WatchToken(watchCtx, &pb.WatchTokenRequest{Key: message})
		for err == nil {
			var response *pb.WatchTokenResponse
			if response, err = stream.Recv(); err == nil {
				if anchor == 0 {
					anchor = now()
				}
				token, fault := tokenOf(response.GetToken(), anchor)
				if !yield(token, fault) || fault != nil {
					return
				}
				anchor = 0
			}
		}
		if !errors.Is(err, io.EOF) {
			var trailer metadata.MD
			if stream != nil {
				trailer = stream.Trailer()
			}
			yield(nil, c.translate(ctx, err, trailer))
		}
	}
}

// Reject reports that a resource server refused the token of this generation. It reports true when that was the current
// token, which is served no more; false when it had been replaced before. It does not mint: Get does.
func (c *Client) Reject(ctx context.Context, key Key, generation int64) (wasCurrent bool, err error) {
	if generation <= 0 {
		return false, mistake("Reject: the generation must be above 0")
	}
	return c.reject(ctx, key, rejectGeneration(generation), c.timeout)
}

// RejectFingerprint is Reject for callers that do not know the generation. fingerprint is the SHA-256 of the text.
func (c *Client) RejectFingerprint(ctx context.Context, key Key, fingerprint [sha256.Size]byte) (wasCurrent bool, err error) {
	return c.reject(ctx, key, &pb.RejectTokenRequest{
		Rejected: &pb.RejectTokenRequest_AccessTokenSha256{AccessTokenSha256: fingerprint[:]},
	}, c.timeout)
}

func rejectGeneration(generation int64) *pb.RejectTokenRequest {
	return &pb.RejectTokenRequest{Rejected: &pb.RejectTokenRequest_Generation{Generation: generation}}
}

func (c *Client) reject(
	ctx context.Context, key Key, request *pb.RejectTokenRequest, timeout time.Duration,
) (bool, error) {
	message, err := key.message()
	if err != nil {
		return false, err
	}
	request.Key = message
	response, err := call(ctx, c, timeout, func(ctx context.Context, l *line, trailer grpc.CallOption) (*pb.RejectTokenResponse, error) {
		return l.tokens.RejectToken(ctx, request, trailer)
	})
	return response.GetWasCurrent(), err
}

// ListOptions narrows a list. The zero value lists everything.
type ListOptions struct {
	Client    string // only tokens of this client; "": of all
	PageSize  int32  // at most so many in a page; 0: 1000, which is also the maximum
	PageToken string // the NextPageToken of the page before
}

// List returns a page of the live tokens, never their text.
func (c *Client) List(ctx context.Context, options ListOptions) (*TokenPage, error) {
	if err := sendable("client", options.Client); err != nil {
		return nil, err
	}
	if err := sendable("page token", options.PageToken); err != nil {
		return nil, err
	}
	response, err := call(ctx, c, c.timeout, func(ctx context.Context, l *line, trailer grpc.CallOption) (*pb.ListTokensResponse, error) {
		return l.admin.ListTokens(ctx, &pb.ListTokensRequest{
			Client: options.Client, PageSize: options.PageSize, PageToken: options.PageToken,
		}, trailer)
	})
	if err != nil {
		return nil, err
	}
	return pageOf(response), nil
}

// Pages gives all pages of List. It ends after an error. The client's timeout is for each page.
func (c *Client) Pages(ctx context.Context, options ListOptions) iter.Seq2[*TokenPage, error] {
	return func(yield func(*TokenPage, error) bool) {
		for {
			page, err := c.List(ctx, options)
			if !yield(page, err) || err != nil || page.NextPageToken == "" {
				return
			}
			options.PageToken = page.NextPageToken
		}
	}
}

// Rotate mints the successor of a key's token now. The old one is served until then. It is never repeated automatically:
// each success mints.
func (c *Client) Rotate(ctx context.Context, key Key) (*Rotation, error) {
	message, err := key.message()
	if err != nil {
		return nil, err
	}
	response, err := call(ctx, c, c.timeout, func(ctx context.Context, l *line, trailer grpc.CallOption) (*pb.RotateTokenResponse, error) {
		return l.admin.RotateToken(ctx, &pb.RotateTokenRequest{Key: message}, trailer)
	})
	if err != nil {
		return nil, err
	}
	return &Rotation{PreviousGeneration: response.GetPreviousGeneration(), Generation: response.GetGeneration()}, nil
}

// Close ends what is under way: those calls fail with ErrClosed. Later calls do, too. It always returns nil.
func (c *Client) Close() error {
	c.connection.close()
	return nil
}

// String names the client by its target.
func (c *Client) String() string { return fmt.Sprintf("Client(target=%q)", c.connection.way.target) }

// GoString is String, for %#v.
func (c *Client) GoString() string { return c.String() }

// call makes one call with a deadline.
func call[T any](ctx context.Context, c *Client, timeout time.Duration, do func(context.Context, *line, grpc.CallOption) (T, error)) (T, error) {
	var none T
	callCtx, cancel := withDeadline(ctx, timeout)
	defer cancel()
	callCtx, l, release, err := c.connection.open(callCtx)
	if err != nil {
		return none, err
	}
	defer release()
	var trailer metadata.MD
	response, err := do(callCtx, l, grpc.Trailer(&trailer))
	if err != nil {
		return none, c.translate(ctx, err, trailer)
	}
	return response, nil
}

func (c *Client) translate(ctx context.Context, err error, trailer metadata.MD) error {
	return translate(ctx, err, trailer, c.connection.link, c.connection.isClosed())
}

// withDeadline gives a context without a deadline one.
func withDeadline(ctx context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	if _, has := ctx.Deadline(); has {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, timeout)
}
