/**
 * Access tokens of OAuth 2.0 that a fleet shares, minted once by mintonced.
 *
 * <p>{@link io.mintonce.TokenSource} keeps the token of one key at hand. {@link
 * io.mintonce.TokenClient} makes single calls. {@link io.mintonce.MintonceCallCredentials}
 * authorizes calls of gRPC APIs.
 *
 * <p>The package {@code io.mintonce.v1} holds generated code. It is not part of this API: its
 * messages print the token, and it may change with any version.
 */
@NullMarked
package io.mintonce;

import org.jspecify.annotations.NullMarked;
