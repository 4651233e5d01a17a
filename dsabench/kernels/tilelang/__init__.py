"""What the TileLang implementations share: launches as data, lowering to CUDA C++ for NVRTC, cubins with what launching takes, and the
building blocks of programs. TileLang is imported when a kernel is lowered, by `lowering`, and by what programs import."""
