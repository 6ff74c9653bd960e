// Tries backends in order, except those that failed validation.
#include "engines/backend_order.h"

#include <optional>
#include <vector>

#include "base/log.h"
#include "base/status.h"
#include "formats/validation_result.h"

namespace se {

std::unique_ptr<Engine> open_on_first_backend(const Bundle *bundle, const std::string &requested,
                                              const MakeEngine &make) {
  std::vector<std::string> order = {requested};
  if (requested.empty()) {
    order = {bundle != nullptr ? bundle->backend : "cpu"};
    if (order.front() != "cpu") order.emplace_back("cpu");
  }
  std::string reason;
  for (const std::string &backend : order) {
    const auto skip = [&](const std::string &why) {
      reason = "the backend " + ticked(backend) + why;
      log(SE_LOG_WARNING, reason + "; using " + ticked(order.back()));
    };
    // An explicitly requested backend is always used, so that it can be certified again.
    const bool is_last = backend == order.back();
    const auto failure = is_last || bundle == nullptr ? std::nullopt : validation_failure(*bundle, backend);
    if (failure) {
      skip(" is not used here: " + *failure);
      continue;
    }
    try {
      auto engine = make(backend);
      engine->explain(reason);
      return engine;
    } catch (const Error &error) {
      // A damaged bundle would fail on every backend.
      if (is_last || error.status == SE_MODEL_CORRUPT) throw;
      skip(" does not work here: " + error.message);
    }
  }
  throw Error(SE_INTERNAL, "no backend was tried");
}

}  // namespace se
