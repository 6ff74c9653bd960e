// Weights of compiled models.
#include "formats/safetensors.h"

#include "target.h"

namespace {

const Target safetensors_target("safetensors", [](const std::string &data) { se::WeightFiles({file_with(data)}); });

}  // namespace
