// A kernel whose weights cannot be an image is taken from a second program that reads buffers; the log says why.
#include "tvm/opencl_kernels.h"

#include <cctype>
#include <string_view>
#include <utility>

#include "base/log.h"

namespace se::cl {
namespace {

// Divisions and square roots may round differently; nothing here depends on it.
constexpr char kOptions[] = "-cl-mad-enable";
constexpr char kBuffersOnly[] = "-cl-mad-enable -DSE_BUFFERS";
// How sphere_edge/compiler/opencl_source.py declares a parameter that is an image, or a buffer with SE_BUFFERS.
constexpr std::string_view kTexture = "se_texels ";
// Appended to the names of kernels that have to read their weight from a buffer.
constexpr char kFromBuffer[] = ", weight from a buffer";
constexpr std::string_view kKernel = "__kernel void ";

// The indices of textures in the comma-separated parameters.
std::vector<size_t> textures_in(std::string_view parameters) {
  std::vector<size_t> indices;
  for (size_t index = 0;; ++index) {
    const size_t end = parameters.find(',');
    std::string_view one = parameters.substr(0, end);
    while (!one.empty() && std::isspace(static_cast<unsigned char>(one.front()))) one.remove_prefix(1);
    if (one.substr(0, kTexture.size()) == kTexture) indices.push_back(index);
    if (end == std::string_view::npos) return indices;
    parameters.remove_prefix(end + 1);
  }
}

// From the declarations in the source.
std::map<std::string, std::vector<size_t>> textures_of(std::string_view source) {
  std::map<std::string, std::vector<size_t>> all;
  if (source.find(kTexture) == std::string_view::npos) return all;
  while (true) {
    const size_t start = source.find(kKernel);
    if (start == std::string_view::npos) return all;
    source.remove_prefix(start + kKernel.size());
    const size_t open = source.find('(');
    const size_t close = source.find(')');
    if (open == std::string_view::npos || close == std::string_view::npos || close < open) return all;
    std::vector<size_t> indices = textures_in(source.substr(open + 1, close - open - 1));
    if (!indices.empty()) all[std::string(source.substr(0, open))] = std::move(indices);
  }
}

}  // namespace

KernelSet::KernelSet(Device &device, const GpuCodeParts &parts)
    : device_(device),
      parts_(parts),
      textures_(textures_of(parts.code)),
      usual_(device, parts, textures_.empty() || device.largest_image_texels() > 0 ? kOptions : kBuffersOnly) {
  if (textures_.empty() || device.largest_image_texels() > 0) return;
  log(SE_LOG_WARNING,
      "weights are read from buffers: the GPU " + ticked(device.name()) + " cannot make images of them");
  textures_.clear();
}

bool KernelSet::take_images(const std::string &name, const std::vector<GpuArgument> &arguments,
                            std::vector<Mem *> &images) {
  const auto found = textures_.find(name);
  if (found == textures_.end()) return read_buffers_.count(name) == 0;
  for (const size_t index : found->second) {
    if (index >= arguments.size() || arguments[index].buffer == nullptr) refuse_gpu_code();
    std::string why;
    images[index] = device_.image_of(*static_cast<Buffer *>(arguments[index].buffer), why);
    if (images[index] != nullptr) continue;
    log(SE_LOG_WARNING, "kernel " + ticked(name) + " reads its weight from a buffer: " + why);
    images.assign(images.size(), nullptr);
    read_buffers_.insert(name);
    textures_.erase(found);
    return false;
  }
  return true;
}

void KernelSet::run(const std::string &name, const std::vector<GpuArgument> &arguments, const size_t *groups,
                    const size_t *threads) {
  // A kernel object holds its arguments: set and queued together.
  const std::lock_guard lock(mutex_);
  std::vector<Mem *> images(arguments.size(), nullptr);
  const bool is_usual = take_images(name, arguments, images);
  if (!is_usual && !buffers_only_) buffers_only_ = std::make_unique<BuiltProgram>(device_, parts_, kBuffersOnly);
  Kernel *ready = (is_usual ? usual_ : *buffers_only_).kernel(name);
  for (size_t i = 0; i < arguments.size(); ++i) {
    const GpuArgument &argument = arguments[i];
    const void *data = images[i] != nullptr ? &images[i] : argument.data;
    const Int code = api().SetKernelArg(ready, static_cast<Uint>(i), argument.bytes, data);
    if (code != kSuccess) throw device_.failure(("cannot pass an argument to kernel " + ticked(name)).c_str(), code);
  }
  const size_t global[3] = {groups[0] * threads[0], groups[1] * threads[1], groups[2] * threads[2]};
  device_.launch(ready, is_usual ? name : name + kFromBuffer, 3, global, threads);
}

}  // namespace se::cl
