// JSON of manifests and requests, and the form in which it is hashed.
#include "base/json.h"

#include "target.h"

namespace {

const Target json_target("json", [](const std::string &data) {
  se::canonical_json(se::parse_unambiguous_json(data, "the text", SE_INVALID_ARGUMENT));
});

}  // namespace
