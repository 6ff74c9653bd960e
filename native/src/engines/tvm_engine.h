// The engine for models compiled by TVM ahead of time; absent from builds without TVM's headers.
#pragma once

#include <memory>

#include "../bundle.h"
#include "engine.h"

namespace se {

// Loads lib/model.so and maps the weights. LOAD_FAILED, MODEL_CORRUPT, OOM_RAM; UNSUPPORTED in builds without TVM.
std::unique_ptr<Engine> make_tvm_engine(const Bundle &bundle, uint32_t context_tokens, int threads);

}  // namespace se
