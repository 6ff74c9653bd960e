"""The tunable sizes of GPU kernels, one row per GPU family.

Chosen from the vendors' programming guides, not yet measured on the devices:

mali     warps of 16 threads, local memory is in the same cache as everything else: small groups,
         and only what several threads read is put into it (Arm, OpenCL developer guide).
adreno   waves of 64 or 128 threads, local memory of its own: groups of whole waves (Qualcomm,
         Adreno OpenCL programming guide).
nvidia   warps of 32. apple: SIMD groups of 32. generic: what every OpenCL device can do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sphere_edge.compiler.target import GpuFamily


@dataclass(frozen=True)
class Tuning:
    """Sizes in threads, tokens, rows and keys; threads are powers of two.

    A thread of either multiplication works on four rows of the weight.
    """

    # Decode: quads of rows per group, and threads that share the columns of each. In a batch more
    # rows share the activations, which are more to read than a quad's weights.
    vector_rows: int
    batch_rows: int
    vector_split: int
    # Prefill: threads along rows and along tokens, and tokens per thread (a multiple of 4).
    matrix_rows: int
    matrix_tokens: int
    tokens_per_thread: int
    # Attention of one token: keys per group; of many: threads per group and largest tile of keys.
    split_keys: int
    attention_threads: int
    attention_keys: int
    # Threads on one row of a norm or on single numbers.
    row_threads: int


TUNINGS: Mapping[GpuFamily, Tuning] = {
    "mali": Tuning(
        vector_rows=4,
        batch_rows=8,
        vector_split=16,
        matrix_rows=8,
        matrix_tokens=8,
        tokens_per_thread=4,
        split_keys=128,
        attention_threads=64,
        attention_keys=16,
        row_threads=64,
    ),
    "adreno": Tuning(
        vector_rows=4,
        batch_rows=4,
        vector_split=32,
        matrix_rows=16,
        matrix_tokens=8,
        tokens_per_thread=8,
        split_keys=128,
        attention_threads=128,
        attention_keys=16,
        row_threads=128,
    ),
    "nvidia": Tuning(
        vector_rows=4,
        batch_rows=8,
        vector_split=32,
        matrix_rows=16,
        matrix_tokens=16,
        tokens_per_thread=4,
        split_keys=128,
        attention_threads=128,
        attention_keys=32,
        row_threads=256,
    ),
    "apple": Tuning(
        vector_rows=4,
        batch_rows=8,
        vector_split=32,
        matrix_rows=8,
        matrix_tokens=8,
        tokens_per_thread=4,
        split_keys=128,
        attention_threads=128,
        attention_keys=16,
        row_threads=128,
    ),
    "generic": Tuning(
        vector_rows=2,
        batch_rows=4,
        vector_split=16,
        matrix_rows=8,
        matrix_tokens=4,
        tokens_per_thread=4,
        split_keys=64,
        attention_threads=32,
        attention_keys=8,
        row_threads=32,
    ),
}
