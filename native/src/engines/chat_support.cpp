// What llama.cpp's chat code expects from its common.cpp and log.cpp, which are not linked: they would bring argument
// parsing, downloads and a thread that prints.
#include <regex>
#include <string>
#include <vector>

#include "common.h"
#include "log.h"

void string_replace_all(std::string &text, const std::string &search, const std::string &replace) {
  if (search.empty()) return;
  for (size_t at = 0; (at = text.find(search, at)) != std::string::npos; at += replace.size()) {
    text.replace(at, search.size(), replace);
  }
}

std::string regex_escape(const std::string &text) {
  static const std::regex special("[.^$|()*+?\\[\\]{}\\\\]");
  return std::regex_replace(text, special, "\\$&");
}

// Of the two functions below only code for models that llama.cpp opened itself makes use; here templates come as text.
std::vector<llama_token> common_tokenize(const llama_vocab *, const std::string &, bool, bool) { return {}; }
std::string common_token_to_piece(const llama_vocab *, llama_token, bool) { return {}; }

// What fails is thrown as well; the rest is of no use to anyone but its authors.
int common_log_get_verbosity_thold() { return -1; }
common_log *common_log_main() { return nullptr; }
void common_log_add(common_log *, ggml_log_level, const char *, ...) {}
