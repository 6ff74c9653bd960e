// Passes cubins to the driver and launches their kernels.
#include "tvm/cuda_program.h"

namespace se::cuda {

Cubin::Cubin(Device &device, const GpuCodeParts &parts) : device_(device) {
  device_.enter();
  const Result result = api().ModuleLoadData(&module_, parts.code.data());
  if (result == kSuccess) return;
  if (result == kOutOfMemory) throw device_.failure("cannot take the kernels", result);
  throw Error(
      SE_LOAD_FAILED,
      "the driver of " + ticked(device_.name()) + " (" + device_.architecture() + ", " + device_.driver() +
          ") does not accept the kernels: " + error_name(result),
      "package the model for this GPU's architecture, or install a newer driver: 525 or later, 570 for Blackwell, "
      "580 for Thor");
}

Cubin::~Cubin() {
  if (module_ != nullptr && api().ModuleUnload(module_) == kSuccess) module_ = nullptr;
}

Function *Cubin::function(const std::string &name) {
  if (const auto found = functions_.find(name); found != functions_.end()) return found->second;
  Function *made = nullptr;
  const Result code = api().ModuleGetFunction(&made, module_, name.c_str());
  if (code != kSuccess) {
    throw Error(SE_MODEL_CORRUPT, "the compiled model has no kernel " + ticked(name) + ": " + error_name(code));
  }
  functions_.emplace(name, made);
  return made;
}

void Cubin::run(const std::string &name, const std::vector<GpuArgument> &arguments, const size_t *groups,
                const size_t *threads) {
  device_.enter();
  std::vector<void *> addresses;
  for (const GpuArgument &argument : arguments) addresses.push_back(const_cast<void *>(argument.data));
  const std::lock_guard lock(mutex_);
  device_.launch(function(name), name, groups, threads, addresses.data());
}

}  // namespace se::cuda
