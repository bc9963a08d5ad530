/** Credentials for libraries that take those of google-auth. */
@NullMarked
package io.mintonce.googleauth;

import org.jspecify.annotations.NullMarked;
