// The engine for models compiled by TVM ahead of time; absent from builds without TVM's headers.
#pragma once

#include <memory>

#include "engines/engine.h"
#include "formats/bundle.h"

namespace se {

// Where compiled kernels of GPUs are kept between starts, instead of in the user's cache folder.
void use_cache_folder(const std::string &folder);

struct TvmChoice {
  // Where to run. Empty: the bundle's first choice, or the next one when that does not work here.
  std::string backend;
  bool measure_kernels = false;
};

// Loads the bundle's code and its weights. LOAD_FAILED, MODEL_CORRUPT, OOM_RAM, OOM_VRAM; UNSUPPORTED for a backend
// that the bundle has no code for, and in builds without TVM.
std::unique_ptr<Engine> make_tvm_engine(const Bundle &bundle, uint32_t context_tokens, int threads,
                                        const TvmChoice &choice);

}  // namespace se
