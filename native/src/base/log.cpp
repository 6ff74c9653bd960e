// Passes log lines on to the application's callback, from any thread.
#include "base/log.h"

#include <llama.h>

#include <mutex>
#include <shared_mutex>
#include <stdexcept>
#include <utility>

namespace se {
namespace {

// Held while the callback runs, so that the old one has returned when it has been replaced.
std::shared_mutex mutex;
se_log_fn callback = nullptr;
void *callback_data = nullptr;
thread_local bool is_logging = false;
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

// llama.cpp would end the process if a model contradicts itself. Its loader gets an exception instead, which it reports
// like any other; in its compute threads nobody would catch one.
void refuse_to_abort(const char *message) {
  if (collector != nullptr) throw std::runtime_error(message);
  log(SE_LOG_ERROR, message);
}

// Engines quote models, whose text must not control a terminal or break a line in two.
std::string one_line(const std::string &message) {
  std::string line;
  for (size_t i = 0; i < message.size(); ++i) {
    const auto byte = static_cast<unsigned char>(message[i]);
    // U+0080 to U+009F in UTF-8 are control characters, too.
    const auto next = static_cast<unsigned char>(i + 1 < message.size() ? message[i + 1] : 0);
    const bool is_wide_control = byte == 0xC2 && next >= 0x80 && next < 0xA0;
    line += byte < 0x20 || byte == 0x7F || is_wide_control ? ' ' : message[i];
    if (is_wide_control) ++i;
  }
  return line;
}

}  // namespace

void log(se_log_level level, const std::string &message) {
  // A callback that logs would recurse endlessly.
  if (is_logging) return;
  const std::shared_lock lock(mutex);
  if (callback == nullptr) return;
  is_logging = true;
  callback(level, one_line(message).c_str(), callback_data);
  is_logging = false;
}

void set_log(se_log_fn function, void *user_data) {
  const std::unique_lock lock(mutex);
  callback = function;
  callback_data = user_data;
}

// llama.cpp logs fragments; a message goes out when its line ends.
void take_engine_log(ggml_log_level level, const char *text, void *) {
  if (level != GGML_LOG_LEVEL_CONT) pending_level = level;
  pending += text;
  size_t end;
  while ((end = pending.find('\n')) != std::string::npos) {
    const std::string line = pending.substr(0, end);
    pending.erase(0, end + 1);
    if (line.empty()) continue;
    const bool is_cause = collector != nullptr && pending_level == GGML_LOG_LEVEL_ERROR;
    if (is_cause) collector->add(line);
    // The status of the call will report it.
    log(is_cause ? SE_LOG_INFO : level_of(pending_level), line);
  }
}

void adopt_engine_logs() {
  static std::once_flag once;
  std::call_once(once, [] {
    llama_log_set(take_engine_log, nullptr);
    ggml_set_abort_callback(refuse_to_abort);
  });
}

EngineErrors::EngineErrors() : outer_(std::exchange(collector, this)) {}
EngineErrors::~EngineErrors() { collector = outer_; }
// The first line is the cause; the next ones are its consequences.
void EngineErrors::add(const std::string &line) {
  if (first_.empty()) first_ = line;
}

}  // namespace se
