package mintonce

import (
	"context"
	"time"

	rpccode "google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

const (
	errorDomain = "mintonce"
	otherPeer   = "Is this target a mintonced, of a version that fits this client, and not a proxy in front of it?"
)

// classOfReason has the classes of known reasons. ROTATION_TOO_SOON passes by itself, and so is no refusal.
var classOfReason = map[string]error{
	"INVALID_REQUEST":   ErrRefused,
	"UNKNOWN_CLIENT":    ErrRefused,
	"UNAUTHENTICATED":   ErrRefused,
	"PERMISSION_DENIED": ErrRefused,
	"ISSUER_REFUSED":    ErrRefused,

	"ISSUER_THROTTLED":   ErrUnavailable,
	"ISSUER_UNAVAILABLE": ErrUnavailable,
	"ISSUER_MALFORMED":   ErrUnavailable,
	"STORE_UNAVAILABLE":  ErrUnavailable,
	"ROTATION_TOO_SOON":  ErrUnavailable,
	"WAIT_TIMED_OUT":     ErrUnavailable,
	reasonDraining:       ErrUnavailable,
	"LIMIT_EXCEEDED":     ErrUnavailable,
	"AUDIT_UNAVAILABLE":  ErrUnavailable,
	"BUDGET_USED_UP":     ErrUnavailable,

	reasonInternal: nil,
}

// classOfCode is for reasons that are newer than this client, and for errors without one.
func classOfCode(code codes.Code) error {
	switch code {
	case codes.Unavailable, codes.ResourceExhausted, codes.DeadlineExceeded, codes.Aborted:
		return ErrUnavailable
	case codes.InvalidArgument, codes.NotFound, codes.Unauthenticated, codes.PermissionDenied, codes.FailedPrecondition:
		return ErrRefused
	}
	return nil
}

// translate turns the error of a call into ours. ctx is the caller's: its end by cancellation is no *Error.
func translate(ctx context.Context, err error, trailer metadata.MD, link link, closed bool) error {
	state, _ := status.FromError(err)
	state = undoMismatch(state, trailer)
	if state.Code() == codes.Canceled {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if closed {
			return closedError("client")
		}
	}
	details := detailsOf(state)
	var translated *Error
	if details.reason != "" {
		translated = said(state, details)
	} else {
		translated = unsaid(state, link)
		translated.RetryAfter = details.retryAfter
	}
	if state.Code() == codes.DeadlineExceeded && isOver(ctx) {
		translated.causes = []error{context.DeadlineExceeded}
	}
	return translated
}

// sameMoment is how much earlier than the caller's context a server may notice the caller's deadline.
const sameMoment = 20 * time.Millisecond

// isOver says whether it was the caller's own deadline. The server knows it, too, and may answer a moment before it.
func isOver(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return ok && time.Until(deadline) < sameMoment
}

// details are what the server said about an error. reason is "" when it said nothing.
type details struct {
	reason     string
	metadata   map[string]string
	retryAfter time.Duration
}

// detailsOf reads google.rpc.ErrorInfo and RetryInfo. What is absent, foreign or malformed counts as not said.
func detailsOf(state *status.Status) (found details) {
	for _, detail := range state.Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			if detail.GetDomain() == errorDomain {
				found.reason, found.metadata = detail.GetReason(), detail.GetMetadata()
			}
		case *errdetails.RetryInfo:
			found.retryAfter = max(0, detail.GetRetryDelay().AsDuration())
		}
	}
	return found
}

func said(state *status.Status, details details) *Error {
	class, known := classOfReason[details.reason]
	if !known {
		class = classOfCode(state.Code())
	}
	message := state.Message()
	if message == "" {
		message = details.reason
	}
	return &Error{
		Reason:      visible(details.reason, maxName),
		Message:     visible(message, maxText),
		Remedy:      visible(details.metadata["remedy"], maxText),
		RetryAfter:  details.retryAfter,
		Code:        state.Code(),
		IssuerError: visible(details.metadata["issuer_error"], maxText),
		RequestID:   visible(details.metadata["request_id"], maxText),
		class:       class,
	}
}

// unsaid is for errors without a reason: gRPC itself failed, or something that is no mintonced answered. The text of the
// other side stays out, unless it is gRPC's own on a connection: an unexpected failure may quote anything.
func unsaid(state *status.Status, link link) *Error {
	code, target := state.Code(), visible(link.target, maxShown)
	switch code {
	case codes.Unavailable:
		why, remedy := link.explain(state.Message())
		return &Error{
			Reason: reasonUnreachable, Message: "cannot reach mintonced at " + target + ": " + why, Remedy: remedy,
			Code: code, class: ErrUnreachable,
		}
	case codes.DeadlineExceeded:
		return &Error{
			Reason: reasonDeadline, Message: "no answer from " + target + " before the deadline", Code: code,
			Remedy: "Allow more time, or look into the server's log: a mint may take up to 10 seconds.",
			class:  ErrUnavailable,
		}
	case codes.ResourceExhausted:
		// gRPC's own limits, on either side: message sizes, metadata, concurrent streams.
		return &Error{
			Reason: codeName(code), Message: target + " has no room for this call", Code: code, class: ErrUnavailable,
			Remedy: "Ask again later, and for less at once. If it goes on, look into the server's log and limits.",
		}
	}
	remedy := otherPeer
	switch code {
	case codes.Unauthenticated:
		remedy = "Something on the way wants other credentials: see MINTONCE_CERTIFICATE_FILE, MINTONCE_BEARER_FILE and " +
			"MINTONCE_API_KEY_FILE. " + otherPeer
	case codes.PermissionDenied:
		remedy = "Something on the way refuses this caller. " + otherPeer
	}
	return &Error{
		Reason: codeName(code), Message: target + " answered " + codeName(code) + " without a reason", Remedy: remedy,
		Code: code, class: classOfCode(code),
	}
}

// codeName is the name of a code as the gRPC specification writes it, such as NOT_FOUND.
func codeName(code codes.Code) string { return rpccode.Code(code).String() }
