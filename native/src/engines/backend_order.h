// Which backend a model is opened with: the one that was asked for, or the bundle's first and then the CPU.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "engines/engine.h"
#include "formats/bundle.h"

namespace se {

// Makes an engine on a backend, or throws the reason why that does not work.
using MakeEngine = std::function<std::unique_ptr<Engine>(const std::string &backend)>;

// The engine on the first backend that works; what its facts say as `backend_reason` is why it is not the first choice,
// also logged as a warning. `bundle`: null for a model file by itself, whose only choice is the CPU. `asked`: empty, or
// the only backend to try. Throws what `make` throws on the last one, and MODEL_CORRUPT at once.
std::unique_ptr<Engine> open_on_first_backend(const Bundle *bundle, const std::string &asked, const MakeEngine &make);

}  // namespace se
