// The same keys and bounds as sphere_edge/formats/generation.py, which reads them when a GGUF is packaged.
#include "formats/gguf_sampling.h"

#include <cstdio>
#include <string>

#include "base/status.h"

namespace se {
namespace {

struct Bounds {
  double least, most;
};

double advised(const GgufHeader &header, const std::string &name, double usual, Bounds bounds) {
  const std::string key = "general.sampling." + name;
  if (!header.has(key)) return usual;
  const double value = header.number(key).value_or(bounds.least - 1);
  if (value >= bounds.least && value <= bounds.most) return value;
  char range[64];
  std::snprintf(range, sizeof(range), "it must be a number from %g to %g", bounds.least, bounds.most);
  throw Error(SE_MODEL_CORRUPT, "the model's " + ticked(key) + " cannot be sampled with", range);
}

}  // namespace

SamplingDefaults gguf_sampling(const GgufHeader &header) {
  const SamplingDefaults usual;
  const auto real = [&](const char *name, float ours, Bounds bounds) {
    return static_cast<float>(advised(header, name, static_cast<double>(ours), bounds));
  };
  SamplingDefaults found;
  found.temperature = real("temp", usual.temperature, {0, 100});
  found.top_k = static_cast<int32_t>(advised(header, "top_k", usual.top_k, {0, INT32_MAX}));
  found.top_p = real("top_p", usual.top_p, {1e-6, 1});
  found.min_p = real("min_p", usual.min_p, {0, 1});
  found.repeat_penalty = real("penalty_repeat", usual.repeat_penalty, {1e-3, 1000});
  return found;
}

}  // namespace se
