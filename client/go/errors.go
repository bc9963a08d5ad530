package mintonce

import (
	"errors"
	"log/slog"
	"time"

	"google.golang.org/grpc/codes"
)

// The classes of errors, for [errors.Is]. They answer the question whether a retry may help.
var (
	// ErrRefused means that a retry fails, too, until the request, the policy or the client's registration is corrected.
	ErrRefused = errors.New("mintonce: refused")
	// ErrUnavailable means that there is no token now, and that a later try may succeed.
	ErrUnavailable = errors.New("mintonce: unavailable")
	// ErrUnreachable means that no server answered at the target. It is ErrUnavailable, too.
	ErrUnreachable = errors.New("mintonce: unreachable")
	// ErrExpired means that a source's token is over or was rejected, and that there is no successor. It is
	// ErrUnavailable, too.
	ErrExpired = errors.New("mintonce: token expired")
	// ErrClosed means that the client or source was used after Close.
	ErrClosed = errors.New("mintonce: closed")
)

// The reasons that the client itself gives, beside those of ErrorReason in the API.
const (
	reasonUnreachable  = "UNREACHABLE"
	reasonDeadline     = "DEADLINE_EXCEEDED"
	reasonExpired      = "TOKEN_EXPIRED"
	reasonClosed       = "CLOSED"
	reasonCredentials  = "CREDENTIALS"
	reasonInvalid      = "INVALID_REQUEST"
	reasonDraining     = "DRAINING"
	reasonInternal     = "INTERNAL"
	noSuccessorMessage = "no successor of the token came in time"
)

// Error is why a call failed. Neither the message nor the remedy ever holds a token.
//
// Ask for its class by errors.Is(err, ErrUnavailable) and the like, and for its fields by errors.As. It does not wrap
// the gRPC error: a gRPC server that returned it would pass that status on as its own.
//
// Two failures are no Error: the end of the caller's own context by cancellation, which is context.Canceled, and a
// mistake in the arguments, such as options that exclude each other.
type Error struct {
	// Reason is why, as in ErrorReason of the API without its prefix ("UNKNOWN_CLIENT"), or one of the client's own:
	// UNREACHABLE, DEADLINE_EXCEEDED, TOKEN_EXPIRED, CLOSED, CREDENTIALS (they cannot be used, or must not be sent to
	// that target), or the name of a gRPC status that came without a reason.
	Reason string
	// Message says what is wrong.
	Message string
	// Remedy says what a person can do about it. "" if nothing is known.
	Remedy string
	// RetryAfter is the time after which a later try may succeed. 0: unknown.
	RetryAfter time.Duration
	// Code is the gRPC status code.
	Code codes.Code
	// IssuerError is the issuer's own code (RFC 6749, section 5.2). "" if it gave none.
	IssuerError string
	// RequestID finds the call in the server's log. "" if the server gave none.
	RequestID string

	class  error
	causes []error
}

// Error says all that a person needs: the message, the reason and the remedy.
func (e *Error) Error() string {
	text := "mintonce: " + e.Message + " (" + e.Reason + ")"
	if e.Remedy != "" {
		text += ": " + e.Remedy
	}
	return text
}

// Is reports whether the error belongs to a class, such as ErrUnavailable.
func (e *Error) Is(class error) bool {
	if class == ErrUnavailable && (e.class == ErrUnreachable || e.class == ErrExpired) {
		return true
	}
	return e.class != nil && e.class == class
}

// Unwrap returns the causes: for ErrExpired the error of the last call, and context.DeadlineExceeded where the caller's
// own deadline ended the wait.
func (e *Error) Unwrap() []error { return e.causes }

// LogValue gives slog the fields.
func (e *Error) LogValue() slog.Value {
	if e == nil {
		return slog.AnyValue(nil)
	}
	values := []slog.Attr{
		slog.String("reason", e.Reason), slog.String("message", e.Message), slog.String("code", e.Code.String()),
	}
	add := func(name, value string) {
		if value != "" {
			values = append(values, slog.String(name, value))
		}
	}
	add("remedy", e.Remedy)
	add("issuer_error", e.IssuerError)
	add("request_id", e.RequestID)
	if e.RetryAfter > 0 {
		values = append(values, slog.Duration("retry_after", e.RetryAfter))
	}
	return slog.GroupValue(values...)
}

// again returns a copy for one more caller, who may change the fields of his own.
func (e *Error) again(causes ...error) *Error {
	fresh := *e
	fresh.causes = append(append([]error(nil), e.causes...), causes...)
	return &fresh
}

func closedError(what string) *Error {
	return &Error{
		Reason: reasonClosed, Message: "the " + what + " is closed", class: ErrClosed, Code: codes.Canceled,
		Remedy: "Keep the " + what + " open as long as it is used; close it last.",
	}
}

func noSuccessor(causes ...error) *Error {
	return &Error{
		Reason: reasonDeadline, Message: noSuccessorMessage, class: ErrUnavailable, Code: codes.DeadlineExceeded,
		Remedy: "Allow more time, or look into the server's log.", causes: causes,
	}
}

func unusable(message, remedy string) *Error {
	return &Error{Reason: reasonCredentials, Message: message, Remedy: remedy, class: ErrRefused, Code: codes.Unknown}
}

func invalid(message, remedy string) *Error {
	return &Error{
		Reason: reasonInvalid, Message: message, Remedy: remedy, class: ErrRefused, Code: codes.InvalidArgument,
	}
}

// asError is for the source's own calls, which have no caller whose context could end.
func asError(err error) *Error {
	var known *Error
	if errors.As(err, &known) {
		return known
	}
	return &Error{Reason: reasonInternal, Message: err.Error(), Code: codes.Unknown}
}
