// The engine for models compiled by TVM ahead of time; absent from builds without TVM's headers.
#pragma once

#include <memory>

#include "engines/engine.h"
#include "formats/bundle.h"

namespace se {

// Loads the bundle's code and its weights. LOAD_FAILED, MODEL_CORRUPT, OOM_RAM, OOM_VRAM; UNSUPPORTED for a backend
// that the bundle has no code for, and in builds without TVM.
std::unique_ptr<Engine> make_tvm_engine(const Bundle &bundle, const EngineOptions &options);

}  // namespace se
