// Registers when this library is loaded, which needs no GPU.
#include "opencl_plugin.h"

namespace se {
namespace {

[[maybe_unused]] const bool is_registered = register_gpu<OpenclTraits>();

}  // namespace
}  // namespace se
