package io.mintonce;

/** Where the server had a token from. */
public enum Origin {
  /** The server did not say, or said something that this version does not know. */
  UNKNOWN,
  /** The memory of the replica that answered. */
  MEMORY,
  /** The shared store: another replica, or an earlier run, minted the token. */
  STORE,
  /** The issuer: the token was minted for this call. */
  MINT
}
