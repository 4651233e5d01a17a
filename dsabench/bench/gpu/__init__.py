"""What measuring on an NVIDIA GPU needs: which GPU, its clocks and state, timing by events and graphs, its ceilings."""
