// Tries backends in order; verdicts beside the bundle rule one out.
#include "backend_order.h"

#include <optional>
#include <vector>

#include "../log.h"
#include "../status.h"
#include "../verdict.h"

namespace se {

std::unique_ptr<Engine> open_on_first_backend(const Bundle *bundle, const std::string &asked, const MakeEngine &make) {
  std::vector<std::string> order = {asked};
  if (asked.empty()) {
    order = {bundle != nullptr ? bundle->backend : "cpu"};
    if (order.front() != "cpu") order.emplace_back("cpu");
  }
  std::string reason;
  for (const std::string &backend : order) {
    // Whoever asks for one backend gets it, to certify it again.
    const bool is_last = backend == order.back();
    const auto refused = is_last || bundle == nullptr ? std::nullopt : refusal(*bundle, backend);
    if (refused) {
      reason = "the backend " + ticked(backend) + " is not used here: " + *refused;
      log(SE_LOG_WARNING, reason);
      continue;
    }
    try {
      auto engine = make(backend);
      engine->explain(reason);
      return engine;
    } catch (const Error &error) {
      // A damaged bundle is no better elsewhere.
      if (is_last || error.status == SE_MODEL_CORRUPT) throw;
      reason = "the backend " + ticked(backend) + " does not work here: " + error.message;
      log(SE_LOG_WARNING, reason);
    }
  }
  throw Error(SE_INTERNAL, "no backend was tried");
}

}  // namespace se
