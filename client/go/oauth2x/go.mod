module github.com/mintonce/mintonce/client/go/oauth2x

go 1.24.0

require (
	github.com/mintonce/mintonce/client/go v0.1.0
	golang.org/x/oauth2 v0.30.0
)

require (
	golang.org/x/net v0.42.0 // indirect
	golang.org/x/sys v0.34.0 // indirect
	golang.org/x/text v0.27.0 // indirect
	google.golang.org/genproto/googleapis/rpc v0.0.0-20250804133106-a7a43d27e69b // indirect
	google.golang.org/grpc v1.76.0 // indirect
	google.golang.org/protobuf v1.36.6 // indirect
)

// In this repository, the client beside it. Whoever depends on this module does not see this line.
replace github.com/mintonce/mintonce/client/go => ../
