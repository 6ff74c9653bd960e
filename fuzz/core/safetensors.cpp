// Weights of compiled models.
#include "formats/safetensors.h"

#include "target.h"

void read(const std::string &data) { se::WeightFiles({file_with(data)}); }
