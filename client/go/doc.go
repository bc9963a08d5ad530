// Package mintonce is the client of Mintonce, which shares OAuth 2.0 access tokens among the services of a fleet: each is
// minted once.
//
// A [Source] keeps one token at hand. Reading it is reading memory; the source follows its successors in the background.
// Packages httpauth and grpcauth put it into requests. A [Client] makes single calls.
//
// No printing path shows the text of a token: only [Token.AccessToken] and [Token.Header] return it.
package mintonce
