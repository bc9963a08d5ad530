package io.mintonce;

/**
 * The outcome of a rotation.
 *
 * @param previousGeneration the generation that was current before; 0: there was none
 * @param generation the generation that is current now
 */
public record Rotation(long previousGeneration, long generation) {}
