// Hears of every kernel that a Relax virtual machine runs, with its tensors as float32.
#pragma once

#include "engines/engine.h"
#include "tvm/device_backend.h"
#include "tvm/objects.h"

namespace se {

// An instrument for `set_instrument` of TVM's virtual machine, calling what `*receiver` holds at the time, with what
// `place` reads from a GPU's memory. Both outlive the machine.
TvmValue kernel_instrument(const KernelReceiver *receiver, TvmPlace *place);

}  // namespace se
