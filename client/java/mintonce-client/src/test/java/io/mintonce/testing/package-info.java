/** A scripted server and certificates, for the tests of all modules. Never published. */
@org.jspecify.annotations.NullMarked
package io.mintonce.testing;
