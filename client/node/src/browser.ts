/** What a bundler for browsers gets instead of this package. */
throw new Error(
  "@mintonce/client is for Node.js: browsers speak no gRPC, and a service's token must not reach one. " +
    "Call your own service from the browser, and let that one hold the token.",
);

export {};
