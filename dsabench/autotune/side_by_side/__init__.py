"""`dsabench compare`: implementations of an op side by side on a suite, in one interleaved run."""
