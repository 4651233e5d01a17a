"""A TileLang program with what the kernels here are made of: products of bf16 and fp8 with operands in shared memory and in registers,
copies ahead, conversions, reductions over threads."""

# mypy: ignore-errors

import tilelang.language as T  # noqa: N812


def attend(M, N, D, TILES, STAGES):
    """out = softmax-free attention over TILES·N keys: (q·kᵀ as bf16)·v, keys dequantized from fp8 by a scale a key; peak: the largest
    score of a row; codes8 = q8·k8ᵀ of the last tile."""

    @T.prim_func
    def attend(
        q: T.Tensor((M, D), "bfloat16"),
        q8: T.Tensor((M, D), "float8_e4m3fn"),
        k8: T.Tensor((TILES * N, D), "float8_e4m3fn"),
        scale: T.Tensor((TILES * N,), "float32"),
        v: T.Tensor((TILES * N, D), "bfloat16"),
        out: T.Tensor((M, D), "float32"),
        rounded: T.Tensor((M, D), "bfloat16"),
        peak: T.Tensor((M,), "float32"),
        codes: T.Tensor((M, N), "float32"),
    ):
        with T.Kernel(1, threads=2 * M):
            q_tile = T.alloc_shared((M, D), "bfloat16")
            q8_tile = T.alloc_shared((M, D), "float8_e4m3fn")
            k8_tile = T.alloc_shared((N, D), "float8_e4m3fn")
            k_tile = T.alloc_shared((N, D), "bfloat16")
            v_tile = T.alloc_shared((N, D), "bfloat16")
            scores = T.alloc_fragment((M, N), "float32")
            weights = T.alloc_fragment((M, N), "bfloat16")
            codes_sum = T.alloc_fragment((M, N), "float32")
            sums = T.alloc_fragment((M, D), "float32")
            best = T.alloc_fragment((M,), "float32")
            T.copy(q, q_tile)
            T.copy(q8, q8_tile)
            T.clear(sums)
            T.fill(best, -T.infinity("float32"))
            for t in T.Pipelined(TILES, num_stages=STAGES):
                T.copy(k8[t * N, 0], k8_tile)
                T.copy(v[t * N, 0], v_tile)
                for n, d in T.Parallel(N, D):
                    k_tile[n, d] = T.cast(T.cast(k8_tile[n, d], "float32") * scale[t * N + n], "bfloat16")
                T.gemm(q_tile, k_tile, scores, transpose_B=True, clear_accum=True)
                T.gemm(q8_tile, k8_tile, codes_sum, transpose_B=True, clear_accum=True)
                T.reduce_max(scores, best, dim=1, clear=False)
                T.copy(scores, weights)
                T.gemm(weights, v_tile, sums)
            T.copy(sums, out)
            T.copy(sums, rounded)
            T.copy(best, peak)
            T.copy(codes_sum, codes)

    return attend
