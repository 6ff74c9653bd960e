// Traces every kernel that a Relax virtual machine runs, with its tensors as float32.
#pragma once

#include "engines/engine.h"
#include "tvm/device_backend.h"
#include "tvm/objects.h"

namespace se {

// An instrument for `set_instrument` of TVM's virtual machine that calls `*callback`, if it is set at that time, with
// tensors that `device` reads from a GPU's memory. Both outlive the machine.
TvmValue kernel_instrument(const TraceCallback *callback, DeviceBackend *device);

}  // namespace se
