/** The program that the conformance suite talks to. */
@org.jspecify.annotations.NullMarked
package io.mintonce.testee;
