// ggml lists the devices of all its backends; the first that is not a CPU is the GPU.
#include "engines/ggml_device.h"

#include "base/status.h"
#if defined(SE_WITH_GGML_CUDA)
#include "engines/ggml_cuda.h"
#endif

namespace se {

std::string ggml_gpu_backend() { return SE_GGML_GPU; }

ggml_backend_dev_t ggml_gpu(const std::string &backend) {
  const std::string built = ggml_gpu_backend();
  if (backend != built) {
    throw Error(SE_UNSUPPORTED,
                "this build of the runtime runs a GGUF on the cpu" + (built.empty() ? "" : " or on " + ticked(built)) +
                    ", not on " + ticked(backend),
                "build one that does: sphere-edge runtime build --ggml-gpu " + backend);
  }
#if defined(SE_WITH_GGML_CUDA)
  if (const auto refusal = refused_by_cuda()) throw Error(SE_UNSUPPORTED, refusal->reason, refusal->hint);
#endif
  for (size_t i = 0; i < ggml_backend_dev_count(); ++i) {
    ggml_backend_dev_t device = ggml_backend_dev_get(i);
    const enum ggml_backend_dev_type type = ggml_backend_dev_type(device);
    if (type == GGML_BACKEND_DEVICE_TYPE_GPU || type == GGML_BACKEND_DEVICE_TYPE_IGPU) return device;
  }
  throw Error(SE_UNSUPPORTED, ticked(backend) + " finds no GPU here", "install the GPU's driver, or open with cpu");
}

}  // namespace se
