package mintonce

import (
	"regexp"
	"strconv"

	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

const detailsKey = "grpc-status-details-bin"

// mismatch is what grpc-go makes of a status whose details name another code than the status itself. A proxy that changes
// codes leaves such details behind. In gRPC the code of the status counts; grpc-go says INTERNAL instead.
var mismatch = regexp.MustCompile(`^grpc-status-details-bin mismatch: grpc-status=(\w+), grpc-message=("(?:[^"\\]|\\.)*")`)

// undoMismatch restores the status as it was sent.
func undoMismatch(state *status.Status, trailer metadata.MD) *status.Status {
	if state.Code() != codes.Internal {
		return state
	}
	found := mismatch.FindStringSubmatch(state.Message())
	packed := trailer.Get(detailsKey)
	if found == nil || len(packed) != 1 {
		return state
	}
	sent := &spb.Status{}
	message, err := strconv.Unquote(found[2])
	if err != nil || proto.Unmarshal([]byte(packed[0]), sent) != nil {
		return state
	}
	for code := codes.OK; code <= codes.Unauthenticated; code++ {
		if code.String() == found[1] {
			return status.FromProto(&spb.Status{Code: int32(code), Message: message, Details: sent.GetDetails()})
		}
	}
	return state
}
