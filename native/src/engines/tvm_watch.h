// Hears of every kernel that a Relax virtual machine runs, with its tensors as float32.
#pragma once

#include "engine.h"
#include "tvm_objects.h"

namespace se {

// An instrument for `set_instrument` of TVM's virtual machine, calling what `*receiver` holds at the time. The receiver
// outlives the machine.
TvmValue kernel_instrument(const KernelReceiver *receiver);

}  // namespace se
