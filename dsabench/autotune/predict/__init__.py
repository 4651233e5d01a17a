"""How long a compiled kernel will take, predicted from its machine code, the work of a call and the limits of a chip. Never a
measurement: a prediction orders candidates, measurements decide. Imports no Triton."""
