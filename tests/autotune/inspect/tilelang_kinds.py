# mypy: ignore-errors
"""Small TileLang programs, each with what `inspect` is to find in its machine code."""

import tilelang.language as T  # noqa: N812


def copy(BLOCK):
    n = T.dynamic("n")

    @T.prim_func
    def copy_rows(source: T.Tensor((n, 64), "float32"), target: T.Tensor((n, 64), "float32"), factor: T.float32):
        with T.Kernel(T.ceildiv(n, BLOCK), threads=128) as block:
            for i, j in T.Parallel(BLOCK, 64):
                target[block * BLOCK + i, j] = source[block * BLOCK + i, j] * factor

    return copy_rows


def product(STEPS):
    @T.prim_func
    def products(
        a: T.Tensor((64, STEPS * 64), "bfloat16"),
        b: T.Tensor((STEPS * 64, 64), "bfloat16"),
        c: T.Tensor((64, 64), "float32"),
    ):
        with T.Kernel(1, threads=128):
            left = T.alloc_shared((64, 64), "bfloat16")
            right = T.alloc_shared((64, 64), "bfloat16")
            sums = T.alloc_fragment((64, 64), "float32")
            T.clear(sums)
            for step in T.Pipelined(STEPS, num_stages=2):
                T.copy(a[0, step * 64], left)
                T.copy(b[step * 64, 0], right)
                T.gemm(left, right, sums)
            T.copy(sums, c)

    return products
