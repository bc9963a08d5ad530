/** Authorizes requests of OkHttp. */
@NullMarked
package io.mintonce.okhttp;

import org.jspecify.annotations.NullMarked;
