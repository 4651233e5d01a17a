"""`dsabench compare --dense`: the DSA pipeline against dense attention over context lengths, and what selecting keys loses."""
