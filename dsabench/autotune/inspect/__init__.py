"""What can be known about a GPU kernel without the GPU: compile each config for sm_90a, read the machine code."""
