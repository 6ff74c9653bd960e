"""The passes from a traced model to machine code: our own lists, for Relax and for TIR.

The stock lists are made for automatic scheduling on GPUs. Here nearly every function is scheduled
by hand already; the rest (a row picked, an addition) is fused and left to LLVM's vectorizer.
"""

from __future__ import annotations

from typing import Any

import tvm
from tvm import relax, s_tir, tirx
from tvm.s_tir import dlight

from sphere_edge.compiler import group_limits

TIR_PIPELINE = "sphere_edge_cpu"
GPU_TIR_PIPELINE = "sphere_edge_gpu"


def relax_passes(*, gpu: bool = False) -> Any:
    """The pass from a traced model to code for the Relax virtual machine.

    `gpu`: functions that are not scheduled by hand get a thread for each of their numbers. It must
    be run within the target.
    """
    transform = relax.transform
    schedule = [dlight.ApplyDefaultSchedule(dlight.gpu.Fallback())] if gpu else []
    return tvm.transform.Sequential(
        [
            transform.LegalizeOps(),
            transform.AnnotateTIROpPattern(),
            transform.FoldConstant(),
            transform.FuseOps(),
            transform.FuseTIR(),
            *schedule,
            transform.DeadCodeElimination(),
            transform.RewriteDataflowReshape(),
            transform.ToNonDataflow(),
            transform.RemovePurityChecking(),
            # Calls in place (the KV cache) become plain calls on the same tensors here.
            transform.CallTIRRewrite(),
            # Plans for the largest sizes: the attribute tir_var_upper_bound of each function.
            transform.StaticPlanBlockMemory(),
            transform.LowerAllocTensor(),
            transform.KillAfterLastUse(),
            transform.LowerRuntimeBuiltin(),
            transform.ComputePrimValue(),
            transform.VMShapeLower(),
            transform.AttachGlobalSymbol(),
        ]
    )


def _tir_passes() -> tuple[Any, Any, Any]:
    """From loops to what LLVM takes.

    Left out of the stock list: what serves GPUs, and CompactBufferAllocation and
    CommonSubexprElim, which take seconds per unrolled kernel and find nothing there.
    """
    return _lowering([], []), _finalize_host, _finalize_device


def _gpu_tir_passes() -> tuple[Any, Any, Any]:
    """From loops over groups and threads to kernels and the code that starts them.

    Left out of the stock list: ThreadSync, as every kernel has its own barriers for
    each other, and passes that move code across them.
    """
    bindings = [s_tir.transform.LiftThreadBinding(), s_tir.transform.UnifyThreadBinding()]
    return _lowering(bindings, [group_limits.verified]), _finalize_host, _finalize_device


def _lowering(bindings: list[Any], checks: list[Any]) -> Any:
    """The passes of both, with `bindings` once blocks are opaque and `checks` on the last loops."""
    return tvm.transform.Sequential(
        [
            s_tir.transform.LowerInitBlock(),
            s_tir.transform.PlanAndUpdateBufferAllocationLocation(),
            s_tir.transform.ConvertBlocksToOpaque(),
            *bindings,
            s_tir.transform.LowerMatchBuffer(),
            s_tir.transform.StmtSimplify(),
            s_tir.transform.LowerOpaqueBlock(),
            tirx.transform.FlattenBuffer(),
            tirx.transform.NarrowDataType(32),
            tirx.transform.VectorizeLoop(True),
            tirx.transform.StorageRewrite(),
            tirx.transform.UnrollLoop(),
            tirx.transform.StmtSimplify(),
            tirx.transform.RemoveNoOp(),
            s_tir.transform.RewriteUnsafeSelect(),
            tirx.transform.VerifyMemory(),
            *checks,
            tirx.transform.AnnotateEntryFunc(),
            tirx.transform.SplitHostDevice(),
            tirx.transform.MakePackedAPI(),
        ]
    )


def _finalize_host() -> Any:
    return tvm.transform.Sequential(
        [tirx.transform.LowerTVMBuiltin(), tirx.transform.LowerIntrin()]
    )


def _finalize_device() -> Any:
    return tvm.transform.Sequential([tirx.transform.StmtSimplify(), tirx.transform.LowerIntrin()])


tirx.register_tir_pipeline(TIR_PIPELINE, _tir_passes)
tirx.register_tir_pipeline(GPU_TIR_PIPELINE, _gpu_tir_passes)
