// Registers when this library is loaded, which needs no GPU.
#include "tvm/opencl_plugin.h"

namespace se {
namespace {

const bool is_registered = register_gpu<OpenclTraits>();

}  // namespace

bool opencl_is_ours() { return is_registered; }

}  // namespace se
