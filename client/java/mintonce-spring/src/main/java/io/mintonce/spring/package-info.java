/** Authorizes requests of Spring's RestClient, RestTemplate and WebClient. */
@NullMarked
package io.mintonce.spring;

import org.jspecify.annotations.NullMarked;
