"""A planned launch as what Triton's compiler takes, by the code that a launch on a GPU runs: what is compiled ahead is what would
be launched, to the last attribute of Triton's cache key."""

from __future__ import annotations

from typing import Any

from dsabench.kernels.triton.launch import Launch


def source_and_options(launch: Launch, target: Any) -> tuple[Any, Any]:
    """The triton.compiler.ASTSource and the backend's options of a launch on a triton GPUTarget. Tensors may be on the meta device;
    storage counts as aligned to 16 bytes, so that a tensor is when it begins at such an offset. Raises TypeError for an
    argument that Triton has no type for."""
    from triton import knobs
    from triton.compiler import ASTSource, make_backend
    from triton.runtime.jit import create_function_from_signature

    kernel = launch.kernel
    arguments = {  # as JITFunction.run completes them
        **launch.arguments,
        "num_warps": launch.num_warps,
        "num_stages": launch.num_stages,
        "debug": kernel.debug or knobs.runtime.debug,
        "instrumentation_mode": knobs.compilation.instrumentation_mode,
    }
    backend = make_backend(target)
    bound, specialization, options = create_function_from_signature(kernel.signature, kernel.params, backend)(
        **arguments
    )
    # 3.6 gives arguments without an attribute an empty entry in the key, 3.7 constants too: this knows.
    options, signature, constants, attributes = kernel._pack_args(backend, arguments, bound, specialization, options)
    return ASTSource(kernel, signature, constants, attributes), options
