"""What the TileLang implementations share: launches as data, lowering to CUDA C++ for NVRTC, cubins with what launching takes. Only
`lowering` imports TileLang, and only when a kernel is lowered."""
