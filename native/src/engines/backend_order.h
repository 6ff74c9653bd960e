// The backend that a model is opened with: the requested one, or the bundle's first choice and then the CPU.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "engines/engine.h"
#include "formats/bundle.h"

namespace se {

// Makes an engine on a backend, or throws why that does not work.
using MakeEngine = std::function<std::unique_ptr<Engine>(const std::string &backend)>;

// The engine on the first backend that works; `backend_reason` of its facts is why it is not the first choice, which is
// also logged as a warning. `bundle`: null for a bare model file, whose only choice is the CPU. `requested`: empty, or
// the only backend to try. Throws what `make` throws for the last one, and MODEL_CORRUPT immediately.
std::unique_ptr<Engine> open_on_first_backend(const Bundle *bundle, const std::string &requested,
                                              const MakeEngine &make);

}  // namespace se
