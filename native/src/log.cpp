// Passes log lines on to the application's callback, from any thread.
#include "log.h"

#include <llama.h>
#if defined(SE_WITH_WHISPER)
#include <whisper.h>
#endif

#include <mutex>
#include <stdexcept>
#include <utility>

namespace se {
namespace {

std::mutex mutex;
se_log_fn callback = nullptr;
void *callback_data = nullptr;
thread_local EngineErrors *collector = nullptr;
thread_local std::string pending;
thread_local ggml_log_level pending_level = GGML_LOG_LEVEL_INFO;

se_log_level level_of(ggml_log_level level) {
  switch (level) {
    case GGML_LOG_LEVEL_ERROR:
      return SE_LOG_ERROR;
    case GGML_LOG_LEVEL_WARN:
      return SE_LOG_WARNING;
    case GGML_LOG_LEVEL_INFO:
      return SE_LOG_INFO;
    default:
      return SE_LOG_DEBUG;
  }
}

// llama.cpp logs fragments; a message goes out when its line ends.
void take_fragment(ggml_log_level level, const char *text, void *) {
  if (level != GGML_LOG_LEVEL_CONT) pending_level = level;
  pending += text;
  size_t end;
  while ((end = pending.find('\n')) != std::string::npos) {
    const std::string line = pending.substr(0, end);
    pending.erase(0, end + 1);
    if (line.empty()) continue;
    if (collector != nullptr && pending_level == GGML_LOG_LEVEL_ERROR) collector->add(line);
    log(level_of(pending_level), line);
  }
}

// Where llama.cpp would end the process because a model contradicts itself, its loader gets an exception instead, which
// it reports like any other. Elsewhere (in its compute threads) there is nobody to catch one.
void refuse_to_abort(const char *message) {
  if (collector != nullptr) throw std::runtime_error(message);
  log(SE_LOG_ERROR, message);
}

}  // namespace

void log(se_log_level level, const std::string &message) {
  se_log_fn function;
  void *user_data;
  {
    const std::lock_guard lock(mutex);
    function = callback;
    user_data = callback_data;
  }
  if (function != nullptr) function(level, message.c_str(), user_data);
}

void set_log(se_log_fn function, void *user_data) {
  const std::lock_guard lock(mutex);
  callback = function;
  callback_data = user_data;
}

void adopt_engine_logs() {
  static std::once_flag once;
  std::call_once(once, [] {
    llama_log_set(take_fragment, nullptr);
#if defined(SE_WITH_WHISPER)
    whisper_log_set(take_fragment, nullptr);
#endif
    ggml_set_abort_callback(refuse_to_abort);
    llama_backend_init();
  });
}

EngineErrors::EngineErrors() : outer_(std::exchange(collector, this)) {}
EngineErrors::~EngineErrors() { collector = outer_; }
// The first line names the cause; the ones after it only say that the caller failed too.
void EngineErrors::add(const std::string &line) {
  if (first_.empty()) first_ = line;
}

}  // namespace se
