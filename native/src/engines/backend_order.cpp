// Tries backends in order; verdicts beside the bundle rule one out.
#include "engines/backend_order.h"

#include <optional>
#include <vector>

#include "base/log.h"
#include "base/status.h"
#include "formats/validation_result.h"

namespace se {

std::unique_ptr<Engine> open_on_first_backend(const Bundle *bundle, const std::string &asked, const MakeEngine &make) {
  std::vector<std::string> order = {asked};
  if (asked.empty()) {
    order = {bundle != nullptr ? bundle->backend : "cpu"};
    if (order.front() != "cpu") order.emplace_back("cpu");
  }
  std::string reason;
  for (const std::string &backend : order) {
    const auto go_on = [&](const std::string &why) {
      reason = "the backend " + ticked(backend) + why;
      log(SE_LOG_WARNING, reason + "; going on with " + ticked(order.back()));
    };
    // Whoever asks for one backend gets it, to certify it again.
    const bool is_last = backend == order.back();
    const auto refused = is_last || bundle == nullptr ? std::nullopt : refusal(*bundle, backend);
    if (refused) {
      go_on(" is not used here: " + *refused);
      continue;
    }
    try {
      auto engine = make(backend);
      engine->explain(reason);
      return engine;
    } catch (const Error &error) {
      // A damaged bundle is no better elsewhere.
      if (is_last || error.status == SE_MODEL_CORRUPT) throw;
      go_on(" does not work here: " + error.message);
    }
  }
  throw Error(SE_INTERNAL, "no backend was tried");
}

}  // namespace se
