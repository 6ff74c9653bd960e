// The compiled code of a bundle: a library beside its weights, or linked into the app.
#pragma once

#include <string>

#include "formats/bundle.h"
#include "tvm/objects.h"

namespace se {

// TVM's module for one backend; the same for every model that is opened of one bundle. LOAD_FAILED where it cannot be
// loaded, MODEL_CORRUPT where there is none.
TvmValue compiled_code(const Bundle &bundle, const std::string &backend);

}  // namespace se
