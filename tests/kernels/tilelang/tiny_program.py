"""Programs of a few lines."""

import tilelang.language as T  # noqa: N812


def scale(BLOCK):
    n = T.dynamic("n")

    @T.prim_func
    def scale(source: T.Tensor((n, 64), "bfloat16"), target: T.Tensor((n, 64), "float32"), factor: T.float32):
        with T.Kernel(T.ceildiv(n, BLOCK), threads=128) as block:
            rows = T.alloc_shared((BLOCK, 64), "bfloat16")
            T.copy(source[block * BLOCK, 0], rows)
            for i, j in T.Parallel(BLOCK, 64):
                target[block * BLOCK + i, j] = T.cast(rows[i, j], "float32") * factor

    return scale


def clusters(CLUSTER):
    rows, width = T.dynamic("rows"), T.dynamic("width", "int64")

    @T.prim_func
    def fill(target: T.StridedTensor((rows, width), (2 * width, 1), "int32"), value: T.int64):
        with T.Kernel(T.ceildiv(width, 128) * CLUSTER, rows, threads=128, cluster_dims=(CLUSTER, 1, 1)) as (part, row):
            for i in T.Parallel(128):
                if part // CLUSTER * 128 + i < width:
                    target[row, part // CLUSTER * 128 + i] = T.cast(value, "int32")

    return fill


def two():
    @T.prim_func
    def two(target: T.Tensor((128,), "float32")):
        with T.Kernel(1, threads=128):
            for i in T.Parallel(128):
                target[i] = 0.0
        with T.Kernel(1, threads=128):
            for i in T.Parallel(128):
                target[i] = 1.0

    return two


def waits():
    @T.prim_func
    def waits(target: T.Tensor((128,), "float32")):
        with T.Kernel(1, threads=128):
            T.pdl_sync()
            for i in T.Parallel(128):
                target[i] = 0.0

    return waits


def no_program():
    return 3
