// What `sphere-edge certify` and `deploy` found out about a bundle on this device, and keep beside it.
#pragma once

#include <optional>
#include <string>

#include "formats/bundle.h"

namespace se {

// Why a backend was refused for this very bundle, by the verdict.json in the folder that holds the bundle's; nothing
// if it was not, or if there is no such file. A damaged one counts as none, with a warning.
std::optional<std::string> refusal(const Bundle &bundle, const std::string &backend);

}  // namespace se
