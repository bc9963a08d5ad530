/** Authorizes requests of {@code java.net.http}. */
@NullMarked
package io.mintonce.http;

import org.jspecify.annotations.NullMarked;
