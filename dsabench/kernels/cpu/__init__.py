"""Building blocks of the CPU implementations: numba kernels whose inner loops are emitted as LLVM vector code.

No compiler is needed on the user's machine. Products run on `vdpbf16ps` where the CPU has it and on portable f32 vectors
elsewhere; which one is compiled follows from the dtype of the arrays (uint32 words of two bf16, or float32), so that each
kernel has one source.
"""
