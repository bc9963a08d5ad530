package io.mintonce;

/** What a source does next. Times in seconds. */
sealed interface Step {
  /** Tell the server that a generation was refused. */
  record Report(long generation) implements Step {}

  /** Call GetToken. */
  record Fetch() implements Step {}

  /** Call WatchToken, for so many seconds at most. */
  record Watch(double limit) implements Step {}

  /** Do nothing for so many seconds, unless woken. */
  record Pause(double seconds) implements Step {}
}
