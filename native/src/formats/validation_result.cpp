// Reads verdict.json as sphere_edge/certify/validation_result.py writes it: {"verdicts": [{backend, bundle, certified,
// reasons}]}.
#include "formats/validation_result.h"

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/status.h"

namespace se {
namespace fs = std::filesystem;
namespace {

constexpr char kResultsFile[] = "verdict.json";
constexpr uint64_t kLargestFile = 1 << 20;

std::optional<std::string> find_failure(const Json &document, const Bundle &bundle, const std::string &backend) {
  for (const Json &one : document.at("verdicts")) {
    if (one.at("backend") != backend || one.at("bundle") != bundle.id || one.at("certified").get<bool>()) continue;
    const Json &reasons = one.at("reasons");
    return "it failed validation on this device: " +
           (reasons.empty() ? std::string("no reason given") : reasons.at(0).get<std::string>());
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::string> validation_failure(const Bundle &bundle, const std::string &backend) {
  std::error_code error;
  const fs::path path = fs::canonical(bundle.folder, error).parent_path() / kResultsFile;
  if (error || !fs::is_regular_file(path, error)) return std::nullopt;
  try {
    const Json document = parse_json(read_file(path, kLargestFile), ticked(path.string()), SE_MODEL_CORRUPT);
    return find_failure(document, bundle, backend);
  } catch (const std::exception &problem) {
    log(SE_LOG_WARNING, "the validation result beside the bundle cannot be read: " + std::string(problem.what()));
    return std::nullopt;
  }
}

}  // namespace se
