// The validation results that `sphere-edge certify` and `deploy` store beside a bundle on this device.
#pragma once

#include <optional>
#include <string>

#include "formats/bundle.h"

namespace se {

// Why a backend failed validation for this very bundle, by the verdict.json in the bundle's parent folder; nothing if
// it did not, or if there is no such file. A damaged file is ignored with a warning.
std::optional<std::string> validation_failure(const Bundle &bundle, const std::string &backend);

}  // namespace se
