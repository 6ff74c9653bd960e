// How the makers of a GGUF advise to sample from it.
#pragma once

#include "formats/bundle.h"
#include "formats/gguf.h"

namespace se {

// Its `general.sampling` keys; what they leave out is ours. MODEL_CORRUPT for a value that cannot be.
SamplingDefaults gguf_sampling(const GgufHeader &header);

}  // namespace se
