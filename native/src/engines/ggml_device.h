// The GPU that ggml runs GGUF models on, in builds that have one of its backends for GPUs.
#pragma once

#include <ggml-backend.h>

#include <string>

namespace se {

// ggml's GPU backend in this build, by our name for it, as `vulkan`; empty if there is none.
std::string ggml_gpu_backend();

// The first GPU that ggml's `backend` finds. UNSUPPORTED if this build has no such backend or it finds none.
ggml_backend_dev_t ggml_gpu(const std::string &backend);

}  // namespace se
