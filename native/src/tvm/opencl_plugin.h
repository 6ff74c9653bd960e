// Gives TVM's runtime, whose wheels bring none, the device `opencl` and modules of OpenCL C.
//
// TVM reaches a device through a C++ class, and its libraries may have been built with another C++ library than this
// code. So nothing here passes a type of the C++ library or an exception to it: what fails is kept and reported by
// `take_opencl_failure` instead.
#pragma once

#include <optional>

#include "../status.h"

namespace se {

// Device and module are registered when this library is loaded, which needs no GPU.

// Why this thread's last call of compiled code for OpenCL failed, if it did; then forgotten.
std::optional<Error> take_opencl_failure();

}  // namespace se
