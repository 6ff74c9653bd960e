// The C functions that need no open model: version, errors, log, information about machine and files.
#include <cstdlib>

#include "api/arguments.h"
#include "api/info.h"
#include "base/log.h"
#include "base/status.h"
#include "sphere_edge.h"

extern "C" {

const char *se_version(void) { return SE_VERSION; }

const char *se_last_error(void) {
  const char *refusal = se_library_refusal();
  return refusal != nullptr ? refusal : se::last_message();
}

const char *se_last_hint(void) { return se_library_refusal() != nullptr ? SE_LIBRARY_REFUSAL_HINT : se::last_hint(); }

void se_string_free(char *string) { std::free(string); }

void se_log_set(se_log_fn log, void *user_data) { se::set_log(log, user_data); }

se_status se_system_info(char **out_json) { return se::guard_string(out_json, se::system_info_json); }

se_status se_gpu_info(char **out_json) { return se::guard_string(out_json, se::gpu_info_json); }

se_status se_model_info(const char *path, char **out_json) {
  return se::guard_string(out_json, [&] { return se::model_info_json(se::string_argument(path, "path")); });
}

}  // extern "C"
