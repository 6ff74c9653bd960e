// The log of the core and of the engines below it: one callback, silent unless the application sets one.
#pragma once

#include <ggml.h>

#include <string>

#include "sphere_edge.h"

namespace se {

void log(se_log_level level, const std::string &message);
void set_log(se_log_fn function, void *user_data);

// Sends llama.cpp's and ggml's messages here instead of to stderr. Called before any engine is used; cheap to repeat.
void adopt_engine_logs();

// Takes an engine's message, which may be part of a line: the callback for an engine with its own log.
void take_engine_log(ggml_log_level level, const char *text, void *);

// While it lives, keeps this thread's first error line of llama.cpp, to report why a load failed.
class EngineErrors {
 public:
  EngineErrors();
  ~EngineErrors();
  EngineErrors(const EngineErrors &) = delete;
  EngineErrors &operator=(const EngineErrors &) = delete;
  const std::string &first() const { return first_; }
  void add(const std::string &line);

 private:
  EngineErrors *outer_;
  std::string first_;
};

}  // namespace se
